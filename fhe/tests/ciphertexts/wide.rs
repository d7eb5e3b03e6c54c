//! Sums of thousands of values on ciphertexts: bit for bit what they are in the clear, at the ends of their ranges too.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tacit_fhe::program::{
    Builder, Class, Domain, Edge, Input, Interval, Linear, Lookup, Node, Parts, Program, Row,
    Source, Term,
};
use tacit_fhe::{Model, Params};

use crate::common::{Keys, toy};
use crate::exact::infer;

/// A random number from each of these, one after the other.
struct Dice<'a>(&'a [u32], usize);

impl Dice<'_> {
    fn throw(&mut self, below: u32) -> u32 {
        self.1 += 1;
        (self.0[self.1 % self.0.len()].wrapping_mul(2 * self.1 as u32 + 1) >> 5) % below
    }

    fn from(&mut self, low: i32, high: i32) -> i32 {
        low + (self.throw(1 << 24) % (high - low + 1) as u32) as i32
    }
}

/// A table of one of the shapes that networks have.
fn table(kind: u32, range: Interval, shift: u8, dice: &mut Dice<'_>) -> Vec<i32> {
    let entries = ((range.high - range.low) >> shift) as i32 + 1;
    let at = dice.from(0, entries - 1);
    let entry = |k: i32| match kind {
        0 => i32::from(k >= at),
        1 => (k - at).clamp(0, 15),
        2 => (k - at).clamp(-4, 4),
        // Where there are few entries, whatever they say.
        _ if entries <= 16 => k * k % 7,
        _ => (k - at).abs().min(5),
    };
    (0..entries).map(entry).collect()
}

/// Looks the values of the last node up, each in two tables, into `results` sums.
fn lookup(before: &Program, results: usize, bits: u32, dice: &mut Dice<'_>) -> Node {
    let node = before.parts().nodes.len() - 1;
    let (mut domains, mut tables, mut edges) = (Vec::new(), Vec::new(), Vec::new());
    for (from, range) in before.ranges(node).iter().enumerate() {
        let shift = (range.count().ilog2() + 1).saturating_sub(bits) as u8;
        let (low, high) = (range.low, range.high);
        domains.push(Domain::Interval { low, high, shift });
        let kind = dice.from(0, 3) as u32;
        for _ in 0..2 {
            let to = dice.from(0, results as i32 - 1) as usize;
            tables.push(table(kind, *range, shift, dice));
            let weight = if dice.from(0, 1) == 0 { 1 } else { -2 };
            edges.push(Edge {
                from,
                to,
                table: tables.len() - 1,
                weight,
            });
        }
    }
    Node::Lookup(Lookup {
        node,
        domains,
        tables,
        edges,
        bias: vec![-3; results],
    })
}

fn sums(source: impl Fn(usize) -> Source, count: usize, terms: usize, dice: &mut Dice<'_>) -> Node {
    let most = [3, 12, 40][dice.from(0, 2) as usize];
    let rows = (0..count).map(|_| Row {
        bias: i64::from(dice.from(-50, 50)),
        terms: (0..terms)
            .map(|index| Term {
                source: source(index),
                index,
                weight: match dice.from(-most, most) {
                    0 => 1,
                    weight => weight,
                },
            })
            .collect(),
    });
    Node::Linear(Linear {
        rows: rows.collect(),
    })
}

fn program(inputs: usize, layers: usize, bits: u32, dice: &[u32]) -> Program {
    let dice = &mut Dice(dice, 0);
    let of = |nodes: &[Node]| {
        Program::try_from(Parts {
            name: "wide".into(),
            input: Input {
                offset: vec![0.0],
                gain: vec![1.0],
                len: inputs,
                max: 7,
            },
            nodes: nodes.to_vec(),
            output_scale: 1.0,
        })
        .unwrap()
    };
    let mut nodes = vec![sums(|_| Source::Input, 3, inputs, dice)];
    for layer in 0..layers {
        if layer > 0 {
            let before = nodes.len() - 1;
            nodes.push(sums(|_| Source::Node(before), 2, 3, dice));
        }
        nodes.push(lookup(&of(&nodes), 3, bits, dice));
    }
    of(&nodes)
}

/// Inputs that take the first sums to their ends, and others.
fn inputs(program: &Program, dice: &[u32]) -> Vec<Vec<u16>> {
    let (len, max) = (program.parts().input.len, program.parts().input.max);
    let mut all = Vec::new();
    let Node::Linear(first) = &program.parts().nodes[0] else {
        unreachable!("sums come first")
    };
    for row in &first.rows {
        for sign in [1, -1] {
            let mut input = vec![0; len];
            for term in row.terms.iter().filter(|term| sign * term.weight > 0) {
                input[term.index] = max;
            }
            all.push(input);
        }
    }
    let mut dice = Dice(dice, 77);
    let mut value = |_| dice.from(0, i32::from(max)) as u16;
    all.extend((0..3).map(|_| (0..len).map(&mut value).collect()));
    all
}

#[test]
fn wide_sums_are_exact() {
    let (served, widest, most) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let mut runner = TestRunner::new(Config {
        cases: 60,
        ..Config::default()
    });
    let dice = prop::collection::vec(any::<u32>(), 89);
    let recipes = (1..20_usize, 1..3_usize, 3..8_u32, 0..2_usize, dice);
    let seen = runner.run(&recipes, |(len, layers, bits, which, dice)| {
        let program = program(len, layers, bits, &dice);
        // Tables of one value that tell too much apart together are refused by name.
        let Ok(model) = Model::load(program.clone(), &Params::toys()[which]) else {
            return Ok(());
        };
        served.fetch_add(1, Ordering::Relaxed);
        let width = program.ranges(0).iter().map(|range| range.count()).max();
        widest.fetch_max(width.unwrap_or(0) as usize, Ordering::Relaxed);
        let each = model.noise().bootstraps / program.lookups();
        most.fetch_max(each, Ordering::Relaxed);
        for (k, input) in inputs(&program, &dice).iter().enumerate() {
            let found = infer(&model, toy(which), input, 1 + k % 2);
            prop_assert_eq!(found, program.run(input), "{:?}", input);
        }
        Ok(())
    });
    seen.unwrap();
    let [served, widest, most] = [served, widest, most].map(AtomicUsize::into_inner);
    println!("{served} programs, sums of up to {widest} values, {most} bootstraps a value");
    assert!(served >= 25 && widest >= 2048 && most >= 4);
}

/// A sum of 12 bits in 16 bins, one of 10 bits through a clamp, and a sum of both in the next layer.
#[test]
fn wide_sums_are_exact_on_a_secure_set() {
    let params = Params::by_name("tacit-2048-3").unwrap();
    let row = |weights: [i32; 6]| Row {
        bias: -9,
        terms: (0..6)
            .map(|index| Term {
                source: Source::Input,
                index,
                weight: weights[index],
            })
            .collect(),
    };
    let rows = vec![
        row([100, -140, 130, 90, -60, 65]),
        row([20, -30, 41, 10, -20, 25]),
    ];
    let ends = [(-9 - 1400, -9 + 2695), (-9 - 350, -9 + 672)];
    let domain = |k: usize, shift: u8| Domain::Interval {
        low: ends[k].0,
        high: ends[k].1,
        shift,
    };
    let clamp = |k: i64| ((k * 32 - 350) / 32).clamp(0, 11) as i32;
    let tables = vec![
        (0..16).map(|k| (k * 5 + 1) % 13).collect(),
        (0..32).map(clamp).collect(),
    ];
    let edge = |from: usize| Edge {
        from,
        to: from,
        table: from,
        weight: 1,
    };
    let first = Lookup {
        node: 0,
        domains: vec![domain(0, 8), domain(1, 5)],
        tables,
        edges: vec![edge(0), edge(1)],
        bias: vec![0, 0],
    };
    let term = |index: usize, weight: i32| Term {
        source: Source::Node(1),
        index,
        weight,
    };
    let second = Row {
        bias: 7,
        terms: vec![term(0, 31), term(1, -17)],
    };
    let last = Lookup {
        node: 2,
        domains: vec![Domain::Interval {
            low: 7 - 187,
            high: 7 + 372,
            shift: 6,
        }],
        tables: vec![(0..9).map(|k| k * k).collect()],
        edges: vec![edge(0)],
        bias: vec![-1],
    };
    let program = Program::try_from(Parts {
        name: "wide".into(),
        input: Input {
            offset: vec![0.0],
            gain: vec![1.0],
            len: 6,
            max: 7,
        },
        nodes: vec![
            Node::Linear(Linear { rows }),
            Node::Lookup(first),
            Node::Linear(Linear { rows: vec![second] }),
            Node::Lookup(last),
        ],
        output_scale: 1.0,
    })
    .unwrap();
    let model = Model::load(program.clone(), params).unwrap();
    println!(
        "{} bootstraps, wrong with 2^{:.0}",
        model.noise().bootstraps,
        model.noise().log2_p_fail
    );
    let keys = Keys::new(params);
    let ends = [[7, 0, 7, 7, 0, 7], [0, 7, 0, 0, 7, 0]];
    for input in ends
        .iter()
        .chain(&[[3, 1, 0, 5, 2, 6], [0; 6], [1, 2, 7, 0, 7, 3]])
    {
        assert_eq!(
            infer(&model, &keys, input, 2),
            program.run(input),
            "{input:?}"
        );
    }
}

/// Which of five scores of seven bits is the greatest, and how great: the first of equals.
#[test]
fn the_greatest_and_its_class_are_exact() {
    let mut builder = Builder::new(Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: 5,
        max: 12,
    })
    .unwrap();
    let rows = (0..5).map(|k| Row {
        bias: 0,
        terms: vec![Term {
            source: Source::Input,
            index: k,
            weight: 7,
        }],
    });
    let rows = rows.collect();
    let scores = builder.push(Node::Linear(Linear { rows })).unwrap();
    let mut small = builder.clone();
    builder.argmax(scores, Class::OneHot).unwrap();
    let class = builder.finish("class", 1.0).unwrap();
    // For the greatest, scores of a few values.
    let row = |index: usize| Row {
        bias: -3,
        terms: vec![Term {
            source: Source::Input,
            index,
            weight: 1,
        }],
    };
    let rows = (0..5).map(row).collect();
    let sums = small.push(Node::Linear(Linear { rows })).unwrap();
    let few = Lookup {
        node: sums,
        domains: vec![Domain::interval(-3, 9); 5],
        tables: vec![(-3..=9).map(|a: i32| a.max(0)).collect()],
        edges: (0..5)
            .map(|k| Edge {
                from: k,
                to: k,
                table: 0,
                weight: 1,
            })
            .collect(),
        bias: vec![0; 5],
    };
    let few = small.push(Node::Lookup(few)).unwrap();
    small.max(few, &[(0..5).collect(), vec![4, 2]]).unwrap();
    let greatest = small.finish("greatest", 1.0).unwrap();
    for program in [class, greatest] {
        let model = Model::load(program.clone(), &Params::toys()[0]).unwrap();
        for input in [
            [3, 12, 0, 12, 5],
            [0; 5],
            [12; 5],
            [0, 1, 2, 3, 4],
            [9, 8, 9, 8, 12],
            [1, 0, 2, 2, 1],
        ] {
            assert_eq!(
                infer(&model, toy(0), &input, 2),
                program.run(&input),
                "{input:?}"
            );
        }
    }
}
