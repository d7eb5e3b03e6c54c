//! The noise of values that are rotated by one mask, however it is written: as seen, and as predicted.

use super::measured::{agree, fraction, mean_square, phase};
use super::values::variances_of;
use crate::keys::{ClientKey, ServerKey};
use crate::lower::{self, Lowered, Wire};
use crate::params::Params;
use crate::program::{
    Domain, Edge, Input, Linear, Lookup, Node, Parts, Program, Row, Source, Term,
};
use crate::request::Request;
use crate::scale::encode;

/// How many twins there are.
const TWINS: usize = 12;

fn program(inputs: usize, nodes: Vec<Node>) -> Program {
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: inputs,
        max: 3,
    };
    Program::try_from(Parts {
        name: "twins".into(),
        input,
        nodes,
        output_scale: 1.0,
    })
    .unwrap()
}

fn row(terms: &[(usize, i32)]) -> Row {
    let terms = terms.iter().filter(|(_, weight)| *weight != 0);
    let term = |&(index, weight): &(usize, i32)| Term {
        source: Source::Input,
        index,
        weight,
    };
    Row {
        bias: 0,
        terms: terms.map(term).collect(),
    }
}

/// All values of a node through one table to one sum.
fn summed(node: usize, domains: Vec<Domain>, table: Vec<i32>) -> Node {
    let edge = |from: usize| Edge {
        from,
        to: 0,
        table: 0,
        weight: 1,
    };
    Node::Lookup(Lookup {
        node,
        edges: (0..domains.len()).map(edge).collect(),
        domains,
        tables: vec![table],
        bias: vec![0],
    })
}

/// A sum whose weight is split into two in one way after the other: rows of one value.
fn split() -> Program {
    let most = 2 * TWINS as i32;
    let rows = (0..TWINS as i32).map(|k| row(&[(0, k), (0, most - k)]));
    let domain = Domain::Interval {
        low: 0,
        high: i64::from(3 * most),
        shift: 4,
    };
    let table = (0..domain.entries() as i32)
        .map(|k| i32::from(k >= 2))
        .collect();
    let linear = Linear {
        rows: rows.collect(),
    };
    program(
        1,
        vec![Node::Linear(linear), summed(0, vec![domain; TWINS], table)],
    )
}

/// Neurons of a second layer that have the same edges and other biases.
fn neurons() -> Program {
    let linear = Linear {
        rows: vec![row(&[(0, 1)]), row(&[(1, 1)])],
    };
    let edge = |from: usize, to: usize| Edge {
        from,
        to,
        table: from,
        weight: 1,
    };
    let edges = (0..TWINS).flat_map(|to| [edge(0, to), edge(1, to)]);
    let neurons = Lookup {
        node: 0,
        domains: vec![Domain::interval(0, 3); 2],
        tables: vec![vec![0, 1, 3, 2], vec![2, 0, 1, 3]],
        edges: edges.collect(),
        bias: (0..TWINS as i64).collect(),
    };
    let domains = (0..TWINS as i64)
        .map(|k| Domain::interval(k, k + 6))
        .collect();
    let nodes = vec![
        Node::Linear(linear),
        Node::Lookup(neurons),
        summed(1, domains, vec![0, 0, 1, 1, 1, 1, 1]),
    ];
    program(2, nodes)
}

/// The result's error on ciphertexts against the prediction. Errors of one run are of one size for all twins, so it is runs
/// that count.
fn measure(program: &Program, params: &'static Params, runs: usize, what: &str) {
    let (lowered, _) = Lowered::best(program, params, -128.0).unwrap();
    let result = Wire {
        step: lowered.steps.len() - 1,
        at: 0,
    };
    let sum = lower::Row {
        bias: 0,
        terms: vec![(result, 1)],
    };
    let predicted = variances_of(&[&sum], program, &lowered, params)[0];
    let mut errors = Vec::with_capacity(runs);
    // A key's own share of the noise is the same for all that it encrypts.
    for keys in 0..runs / 20 {
        let (client, evaluation) = ClientKey::generate(params).unwrap();
        let server = ServerKey::from(&evaluation);
        for k in 20 * keys..20 * (keys + 1) {
            let inputs = program.parts().input.len;
            let input: Vec<u16> = (0..inputs).map(|i| ((k >> (2 * i)) % 4) as u16).collect();
            let request = Request::encrypt(&client, &input, lowered.input).unwrap();
            let values = crate::Model::values(program.clone(), &lowered, &server, &request);
            let found = phase(&values[result.step][0], &client.large[..]);
            let wanted = encode(program.run(&input)[0], lowered.result());
            errors.push(fraction(found.wrapping_sub(wanted)));
        }
    }
    agree(mean_square(errors.iter().copied()), predicted, runs, what);
}

#[test]
fn twins_add_their_deviations_however_they_are_written() {
    let toy = &Params::toys()[0];
    measure(&split(), toy, 400, "one sum, its weights split");
    measure(&neurons(), toy, 400, "equal neurons of a second layer");
}
