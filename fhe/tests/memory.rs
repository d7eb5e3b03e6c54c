//! What a model says of its memory, against the allocator.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;

use tacit_fhe::program::{
    Domain, Edge, Input, Linear, Lookup, Node, Parts, Program, Row, Source, Term,
};
use tacit_fhe::{Client, ClientKey, LoadError, Model, Params, Request, Run, ServerKey};
use tacit_mpc::counted::{Counted, held, peak};

#[global_allocator]
static COUNTED: Counted = Counted;

fn program(inputs: usize, nodes: Vec<Node>) -> Program {
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: inputs,
        max: 1,
    };
    let parts = Parts {
        name: String::new(),
        input,
        nodes,
        output_scale: 1.0,
    };
    Program::try_from(parts).unwrap()
}

/// `rows` sums of the first `terms` inputs.
fn sums(rows: usize, terms: usize) -> Node {
    let term = |index| Term {
        source: Source::Input,
        index,
        weight: 1,
    };
    let row = Row {
        bias: 0,
        terms: (0..terms).map(term).collect(),
    };
    Node::Linear(Linear {
        rows: vec![row; rows],
    })
}

/// Looks the first `count` values of a node up, each to a result of its own.
fn lookups(node: usize, count: usize, high: i64) -> Node {
    let edge = |k| Edge {
        from: k,
        to: k,
        table: 0,
        weight: 1,
    };
    Node::Lookup(Lookup {
        node,
        domains: vec![Domain::interval(0, high); count],
        edges: (0..count).map(edge).collect(),
        tables: vec![(0..=high as i32).map(|k| k % 2).collect()],
        bias: vec![0; count],
    })
}

/// What is held of a model that is prepared, and at most while a question is computed on one thread, is about what it says;
/// what is left out there is small.
fn measure(what: &str, program: Program, params: &'static Params) {
    let (client, evaluation) = ClientKey::generate(params).unwrap();
    let server = ServerKey::from(&evaluation);
    let before = held();
    let (model, loading) = peak(|| Model::load_unchecked(program, params).unwrap());
    let prepared = held() - before;
    let client = Client::new(client, model.interface()).unwrap();
    let row = vec![1; model.program().parts().input.len];
    let request = client.encrypt(&row).unwrap().to_bytes();
    let request = Request::from_bytes(&request).unwrap();
    let run = Run::default();
    let (_, question) = peak(|| model.run(&server, &request, &run).unwrap().to_bytes());
    let said = model.memory();
    println!(
        "{what}: {said:?}, held {prepared} prepared, {loading} before, {question} in a question"
    );
    for (said, held) in [
        (said.prepared, prepared),
        (said.prepared + said.loading, loading),
        (said.question, question),
    ] {
        let (said, held) = (said as f64, held as f64);
        let most = 1.3 * said + f64::from(1 << 19);
        assert!(
            (0.6 * said..most).contains(&held),
            "{what}: {said} said, {held} held"
        );
    }
}

#[test]
fn a_model_takes_as_much_memory_as_it_says() {
    let (one, two) = (&Params::toys()[0], &Params::toys()[1]);
    measure("weights", program(600, vec![sums(500, 600)]), one);
    measure("values", program(1, vec![sums(5000, 1)]), one);
    for toy in [one, two] {
        let nodes = vec![sums(600, 4), lookups(0, 600, 4)];
        measure("lookups", program(4, nodes), toy);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/models");
    let file = File::open(folder.join("mnist-128.tfhe")).unwrap();
    measure("mnist-128", Program::read(file).unwrap(), one);
}

/// Files of a few MiB, none of which takes even a tenth of a gigabyte before it is refused.
#[test]
fn what_takes_too_much_memory_is_refused_before_it_does() {
    let set = Params::by_name("tacit-2048-1").unwrap();
    for (what, program) in [
        ("values", program(1, vec![sums(300_000, 1)])),
        ("weights", program(8, vec![sums(100_000, 8)])),
    ] {
        let (error, most) = peak(|| Model::load_within(program, set, -64.0).unwrap_err());
        assert!(matches!(error, LoadError::Memory { .. }), "{what}: {error}");
        println!("{what}: {error}; {most} bytes were taken");
        assert!(most < 300 << 20, "{what}: {most}");
    }
}
