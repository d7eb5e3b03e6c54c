//! Programs compute what their models compute, the finer the nearer; and their ranges hold for any input.

use super::*;
use crate::program::{Node, Program};

/// The program of a plan.
fn program(source: &Source, plan: &Plan, sample: &Array2<f32>) -> Program {
    let (input, columns) = source.input(sample, plan.input);
    let values = source.values(sample).unwrap();
    let fitted = fit::fit(&source.network, &values, columns, plan).unwrap();
    emit::program(&source.network, &fitted, input, "").unwrap()
}

fn plan(source: &Source, (input, reach, bins, activation): (u16, i64, u32, u16)) -> Plan {
    Plan {
        input,
        layers: vec![
            Layer {
                reach,
                bins,
                activation,
            };
            source.depth()
        ],
        last: 1000,
    }
}

/// The root mean square error of a program, against the spread of the results, on rows that it was not fitted to.
fn error(source: &Source, plan: &Plan) -> f64 {
    let width = source.inputs();
    let all = rows(400, width);
    let sample = all.slice(ndarray::s![..200, ..]).to_owned();
    let others = all.slice(ndarray::s![200.., ..]).to_owned();
    let program = program(source, plan, &sample);
    let values = source.values(&others).unwrap();
    let outputs = &source.network.outputs;
    let wanted = Array2::from_shape_fn((200, outputs.len()), |(r, k)| values.forms[outputs[k]][r]);
    let found = measure::results(&program, &others);
    let mean = wanted.mean_axis(ndarray::Axis(0)).unwrap();
    let spread = (&wanted - &mean).mapv(|x| x * x).sum();
    ((&wanted - &found).mapv(|x| x * x).sum() / spread).sqrt()
}

fn cnn() -> Source {
    let (mut net, x) = Net::new(&[1, 1, 6, 6]);
    let a = net.conv(x, 3, 3);
    let a = net.norm(a);
    let a = net.max_pool(a, 3, 2);
    let a = net.g.relu(a).unwrap();
    let b = net.conv(a, 3, 3);
    let b = net.g.tanh(b).unwrap();
    let a = net.g.add(a, b).unwrap();
    let a = net.flat(a);
    let y = net.dense(a, 4);
    net.source(y).unwrap()
}

#[test]
fn finer_plans_come_nearer() {
    let functions: [fn(&mut Graph, Edge) -> tacit_nn::Result<Edge>; 4] =
        [Graph::relu, Graph::sigmoid, Graph::tanh, Graph::gelu];
    let mut sources: Vec<Source> = functions
        .iter()
        .map(|f| {
            let (mut net, x) = Net::new(&[1, 8]);
            let a = net.dense(x, 12);
            let a = f(&mut net.g, a).unwrap();
            let a = net.dense(a, 10);
            let a = f(&mut net.g, a).unwrap();
            let y = net.dense(a, 3);
            net.source(y).unwrap()
        })
        .collect();
    sources.push(cnn());
    for (k, source) in sources.iter().enumerate() {
        let of = |widths| error(source, &plan(source, widths));
        let coarse = of((3, 63, 32, 3));
        let middle = of((15, 1023, 64, 15));
        let fine = of((255, (1 << 20) - 1, 4096, 255));
        println!("{k}: {coarse:.3} {middle:.3} {fine:.4}");
        assert!(
            middle < 0.8 * coarse && fine < 0.05,
            "network {k}: {coarse} {middle} {fine}"
        );
    }
}

/// Integers of a maximum are the largest of the integers that it is of, exactly.
#[test]
fn maxima_of_integers_are_exact() {
    let (mut net, x) = Net::new(&[1, 1, 5, 5]);
    let a = net.max_pool(x, 3, 2);
    let y = net.g.reshape(a, &[1, 4]).unwrap();
    let source = net.source(y).unwrap();
    let sample = rows(50, 25);
    let program = program(&source, &plan(&source, (7, 1000, 64, 7)), &sample);
    let nodes = &program.parts().nodes;
    let [
        Node::Linear(first),
        Node::Lookup(lookup),
        ..,
        Node::Linear(results),
    ] = &nodes[..]
    else {
        panic!("{nodes:?}")
    };
    assert_eq!(lookup.edges.len(), 25);
    for row in rows(300, 25).rows() {
        let row = program.parts().input.quantize(&row.to_vec());
        // What an input of 7 levels is after its own lookup, which is the first node of lookups.
        let trace = program.trace(&row);
        let mut looked_up = [0; 25];
        for edge in &lookup.edges {
            looked_up[first.rows[edge.from].terms[0].index] = trace[1][edge.to];
        }
        for (k, result) in results.rows.iter().enumerate() {
            let (top, left) = (2 * (k / 2), 2 * (k % 2));
            let window = (0..9).map(|p| looked_up[(top + p / 3) * 5 + left + p % 3]);
            let parts = result.terms.iter().map(|term| match term.source {
                crate::program::Source::Node(node) => trace[node][term.index],
                crate::program::Source::Input => panic!("a maximum of the input as it came"),
            });
            assert_eq!(parts.sum::<i64>(), window.max().unwrap());
        }
    }
}

/// No input leaves what is proved: neither the corners that make each sum extreme, nor any other.
#[test]
fn extreme_inputs_stay_within_every_domain() {
    let source = cnn();
    let sample = rows(60, 36);
    for widths in [
        (1, 15, 16, 1),
        (3, 31, 32, 3),
        (15, 511, 16, 7),
        (255, 1 << 20, 32, 15),
    ] {
        let program = program(&source, &plan(&source, widths), &sample);
        let max = program.parts().input.max;
        let Node::Linear(first) = &program.parts().nodes[0] else {
            panic!("sums of the input first")
        };
        let corners = first.rows.iter().take(60).flat_map(|row| {
            [1, -1].map(|sign| {
                let mut input = vec![0; 36];
                for term in &row.terms {
                    input[term.index] = if sign * term.weight > 0 { max } else { 0 };
                }
                input
            })
        });
        let all = corners
            .chain([vec![0; 36], vec![max; 36]])
            .chain((0..40_u32).map(|k| {
                (0..36)
                    .map(|i| {
                        if (k.wrapping_mul(i + 7) >> 2) % 2 == 0 {
                            max
                        } else {
                            0
                        }
                    })
                    .collect()
            }));
        for input in all {
            // A value outside its domain would panic.
            for (node, values) in program.trace(&input).iter().enumerate() {
                for (value, range) in values.iter().zip(program.ranges(node)) {
                    assert!(range.low <= *value && *value <= range.high);
                }
            }
        }
        for node in &program.parts().nodes {
            let Node::Lookup(lookup) = node else { continue };
            assert!(lookup.domains.iter().all(|d| d.entries() <= 4 * 256));
        }
    }
}

/// The shipped perceptron, with the digits that it was trained for.
#[test]
fn a_perceptron_of_digits_by_one_bootstrap_a_neuron() {
    let (x, y) = digits();
    let source = Source::new(&example("mlp"), &[64]).unwrap();
    let request = Request {
        sample: &x,
        labels: Some(&y),
        target: Target::Accuracy(0.8),
        name: "digits",
        class: false,
    };
    let made = source.quantize(&request).unwrap();
    let cost = made.trial.cost.unwrap();
    assert!(
        cost.bootstraps <= 64 && cost.log2_p_fail <= -128.0,
        "{cost:?}"
    );
    assert_eq!((made.fitted, made.judged), (899, 898));
    // What the trial says of it is so.
    let right = (1..x.nrows()).step_by(2).filter(|&k| {
        let result = made
            .program
            .run(&made.program.parts().input.quantize(&x.row(k).to_vec()));
        let best = (0..10).rev().max_by_key(|&c| result[c]).unwrap();
        best == y[k]
    });
    let accuracy = right.count() as f64 / 898.0;
    assert!((accuracy - made.trial.nearness.accuracy.unwrap()).abs() < 1e-9);
    assert!(accuracy >= 0.8, "{accuracy}");
    // The cheapest that reaches it, of those that were tried.
    let cheaper = made
        .tried
        .iter()
        .filter(|t| t.nearness.meets(request.target));
    let seconds = cheaper.filter_map(|t| t.cost).map(|c| c.seconds());
    assert!(seconds.fold(f64::INFINITY, f64::min) >= cost.seconds() - 1e-12);
}

/// The class alone: what the scores say, and none of them.
#[test]
fn a_program_can_say_the_class_alone() {
    let (mut net, x) = Net::new(&[1, 6]);
    let a = net.dense(x, 8);
    let a = net.g.relu(a).unwrap();
    let y = net.dense(a, 3);
    let source = net.source(y).unwrap();
    let sample = rows(100, 6);
    let made = |class| {
        let request = Request {
            sample: &sample,
            labels: None,
            target: Target::Agreement(0.8),
            name: "class",
            class,
        };
        source.quantize(&request).unwrap()
    };
    let (scores, class) = (made(false), made(true));
    assert_eq!(class.program.parts().output_scale, 1.0);
    assert!(class.trial.cost.unwrap().bootstraps > scores.trial.cost.unwrap().bootstraps);
    // Both may be of different plans; each says what its own scores say.
    let found = measure::results(&class.program, &sample);
    assert_eq!(found.ncols(), 1);
    let values = source.values(&sample).unwrap();
    let best = |row: usize| {
        let score = |k: usize| values.forms[source.network.outputs[k]][row];
        (1..3).fold(0, |best, k| if score(k) > score(best) { k } else { best })
    };
    let same = (0..100).filter(|&row| found[[row, 0]] == best(row) as f64);
    assert!(same.count() >= 75);
}
