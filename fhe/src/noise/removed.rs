//! The noise of what digits were removed from, and of twins: as seen, and as predicted.

use super::measured::{agree, fraction, mean_square, phase};
use super::values::variances_of;
use crate::keys::{ClientKey, ServerKey};
use crate::lookup::Sum;
use crate::lower::{self, Kind, Lowered, Wire};
use crate::params::Params;
use crate::program::{Builder, Domain, Edge, Input, Linear, Lookup, Node, Row, Source, Term};
use crate::request::Request;
use crate::scale::encode;

/// What is left of a wide sum, after its low digits were removed and before it is looked up for the last time, is as noisy as the analysis says: noise of the value that digits came from, of the digits, and what scaling
/// makes of both.
fn measure_digits(params: &'static Params, inputs: u16) {
    let mut builder = Builder::new(Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: 1,
        max: 4095,
    })
    .unwrap();
    let term = |source: Source, weight: i32| Term {
        source,
        index: 0,
        weight,
    };
    let row = |term: Term| Row {
        bias: 0,
        terms: vec![term],
    };
    let linear = |term: Term| {
        Node::Linear(Linear {
            rows: vec![row(term)],
        })
    };
    let lookup = |node: usize, shift: u8, tables: Vec<Vec<i32>>| {
        let edge = |k: usize| Edge {
            from: 0,
            to: 0,
            table: k,
            weight: 1,
        };
        let high = ((tables[0].len() as i64) << shift) - 1;
        Node::Lookup(Lookup {
            node,
            domains: vec![Domain::Interval {
                low: 0,
                high,
                shift,
            }],
            edges: (0..tables.len()).map(edge).collect(),
            tables,
            bias: vec![0],
        })
    };
    builder.push(linear(term(Source::Input, 1))).unwrap();
    builder
        .push(lookup(0, 8, vec![(0..16).map(|k| k * 5 % 8).collect()]))
        .unwrap();
    builder.push(linear(term(Source::Node(1), 9))).unwrap();
    builder
        .push(lookup(2, 2, vec![(0..16).map(|k| k * 5 % 9).collect()]))
        .unwrap();
    let program = builder.finish("", 1.0).unwrap();
    let (lowered, report) = Lowered::best(&program, params, -128.0).unwrap();
    assert!(report.log2_p_fail < -128.0, "{report:?}");

    // The last lookup of either node.
    let of_node = |node: usize| {
        let steps = lowered.steps.iter().filter(move |step| step.node == node);
        let mut looked = steps.filter_map(|step| match &step.kind {
            Kind::Lookups(looked, _) => looked.last(),
            _ => None,
        });
        looked.next_back().unwrap()
    };
    let all = [of_node(1), of_node(3)];
    let terms: Vec<usize> = all.iter().map(|looked| looked.input.terms.len()).collect();
    assert!(
        terms.iter().all(|&count| count >= 3),
        "digits were removed: {terms:?}"
    );
    let rows: Vec<_> = all.iter().map(|looked| &looked.input).collect();
    let predicted = variances_of(&rows, &program, &lowered, params);

    let (client, evaluation) = ClientKey::generate(params).unwrap();
    let server = ServerKey::from(&evaluation);
    let mut errors = vec![Vec::new(); all.len()];
    for k in 0..inputs {
        let input = [(u32::from(k) * 1597 % 4096) as u16];
        let request = Request::encrypt(&client, &input, lowered.input).unwrap();
        let values = crate::Model::values(program.clone(), &lowered, &server, &request);
        let clear = lowered.trace(&program, &input, |_| 0);
        for (looked, errors) in all.iter().zip(&mut errors) {
            let sum = Sum::new(&looked.input, looked.torus).apply(&values, params.long_dimension());
            let wanted = lowered.sum(&looked.input, looked.torus, &clear);
            let torus = 2 * i128::from(looked.torus);
            let wanted = encode(wanted.rem_euclid(torus) as i64, torus as u64);
            errors.push(fraction(
                phase(&sum, &client.large[..]).wrapping_sub(wanted),
            ));
        }
    }
    for (k, (errors, predicted)) in errors.iter().zip(&predicted).enumerate() {
        let what = format!("{} what is left of sum {k}", params.name());
        agree(
            mean_square(errors.iter().copied()),
            *predicted,
            usize::from(inputs),
            &what,
        );
    }
}

#[test]
fn removed_digits_leave_the_noise_that_the_analysis_says() {
    measure_digits(&Params::toys()[0], 400);
    measure_digits(&Params::toys()[1], 400);
}

/// Two values that differ by a constant are rotated by the same noise, digit by digit: whatever comes of them adds up by
/// deviations, not by variances.
#[test]
fn noise_of_twins_is_not_taken_for_independent() {
    let variance = |weights: [i32; 2]| {
        let mut builder = Builder::new(Input {
            offset: vec![0.0],
            gain: vec![1.0],
            len: 2,
            max: 511,
        })
        .unwrap();
        let term = |source: Source, index: usize, weight: i32| Term {
            source,
            index,
            weight,
        };
        // x + 2y, and weights times x and y + 8.
        let rows = [[1, 2], weights].map(|weights| Row {
            bias: if weights == [1, 2] { 0 } else { 8 },
            terms: (0..2).map(|k| term(Source::Input, k, weights[k])).collect(),
        });
        let [first, mut second] = rows;
        second.bias = 8;
        builder
            .push(Node::Linear(Linear {
                rows: vec![first, second],
            }))
            .unwrap();
        let domains = builder.ranges(0).iter().map(|range| Domain::Interval {
            low: range.low,
            high: range.high,
            shift: 7,
        });
        let domains: Vec<Domain> = domains.collect();
        let entries = domains.iter().map(|domain| domain.entries());
        let tables = entries
            .map(|n| (0..n as i32).map(|k| k * k % 5).collect())
            .collect();
        let edge = |k: usize| Edge {
            from: k,
            to: k,
            table: k,
            weight: 1,
        };
        builder
            .push(Node::Lookup(Lookup {
                node: 0,
                domains,
                tables,
                edges: vec![edge(0), edge(1)],
                bias: vec![0; 2],
            }))
            .unwrap();
        let program = builder.finish("", 1.0).unwrap();
        let params = Params::by_name("tacit-2048-3").unwrap();
        let (lowered, report) = Lowered::best(&program, params, -128.0).unwrap();
        assert!(report.bootstraps >= 8, "digits are removed from both");
        let last = lowered.steps.len() - 1;
        let sum = |all: &[usize]| lower::Row {
            bias: 0,
            terms: all.iter().map(|&at| (Wire { step: last, at }, 1)).collect(),
        };
        let rows = [sum(&[0]), sum(&[1]), sum(&[0, 1])];
        let rows: Vec<_> = rows.iter().collect();
        let of = variances_of(&rows, &program, &lowered, params);
        of[2] / (of[0] + of[1])
    };
    assert!((variance([1, 2]) - 2.0).abs() < 0.01);
    assert!((variance([2, 1]) - 1.0).abs() < 0.01);
}
