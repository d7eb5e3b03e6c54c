//! What an inference costs: a random program of the shape that digits need (64 inputs of 0 to 3, sums modulo 32, a table
//! an edge, 10 results), on every parameter set that serves it.
//!
//! `cargo bench -p tacit-fhe --bench inference -- [lookups] [threads]`
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use tacit_fhe::program::{
    Domain, Edge, Input, Linear, Lookup, Node, Parts, Program, Row, Source, Term,
};
use tacit_fhe::{Client, ClientKey, EvaluationKey, Model, Params, Request, Run, ServerKey};

/// CPU seconds of this process.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    let (at, wall) = (cpu(), Instant::now());
    let done = work();
    (done, cpu() - at, wall.elapsed().as_secs_f64())
}

fn program(lookups: usize, modulus: u32) -> Program {
    let mut state = 1_u64;
    let mut dice = move |most: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let term = |index: usize, weight: i32| Term {
        source: Source::Input,
        index,
        weight,
    };
    let mut row = || {
        let weights = (0..64)
            .map(|index| (index, dice(11) as i32 - 5))
            .filter(|(_, weight)| *weight != 0);
        Row {
            bias: 0,
            terms: weights.map(|(index, weight)| term(index, weight)).collect(),
        }
    };
    let linear = Linear {
        rows: (0..lookups).map(|_| row()).collect(),
    };
    let mut table = || (0..modulus / 2).map(|_| dice(9) as i32 - 4).collect();
    let edges = (0..lookups * 10).map(|k| Edge {
        from: k / 10,
        to: k % 10,
        table: k,
        weight: 1,
    });
    let lookup = Lookup {
        node: 0,
        domains: vec![Domain::Cyclic { modulus }; lookups],
        tables: (0..lookups * 10).map(|_| table()).collect(),
        edges: edges.collect(),
        bias: vec![0; 10],
    };
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: 64,
        max: 3,
    };
    let nodes = vec![Node::Linear(linear), Node::Lookup(lookup)];
    Program::try_from(Parts {
        name: "digits shape".into(),
        input,
        nodes,
        output_scale: 1.0,
    })
    .unwrap()
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let lookups = numbers.first().copied().unwrap_or(32);
    let threads = numbers.get(1).copied().unwrap_or(1);
    let program = program(lookups, 32);
    for params in Params::catalogue() {
        let model = match Model::load(program.clone(), params) {
            Ok(model) => model,
            Err(error) => {
                println!("{}: not served: {error}", params.name());
                continue;
            }
        };
        let ((key, evaluation), keygen, _) = timed(|| ClientKey::generate(params).unwrap());
        let (server, expand, _) = timed(|| ServerKey::from(&evaluation));
        println!(
            "{}: log2 p_fail {:.1}; keygen {keygen:.2} s, expansion {expand:.2} s CPU; key {:.1} MB on the wire, {:.0} MB \
             in memory; request {} B, response {} B",
            params.name(),
            model.noise().log2_p_fail,
            EvaluationKey::wire_len(params) as f64 / 1e6,
            server.memory() as f64 / 1e6,
            Request::wire_len(params, 64),
            model.response_len(),
        );
        let client = Client::new(key, model.interface()).unwrap();
        let input: Vec<u16> = (0..64).map(|k| (k * 7 % 4) as u16).collect();
        for _ in 0..2 {
            let (request, encrypt, _) = timed(|| client.encrypt(&input).unwrap());
            let run = Run {
                threads,
                ..Run::default()
            };
            let (response, inference, wall) = timed(|| model.run(&server, &request, &run).unwrap());
            let (result, decrypt, _) = timed(|| client.decrypt(&response).unwrap());
            assert_eq!(result, model.program().run(&input));
            println!(
                "  {lookups} lookups on {threads} threads: {inference:.3} s CPU, {wall:.3} s wall, {:.2} ms CPU a lookup; \
                 encrypt {:.2} ms, decrypt {:.2} ms",
                1e3 * inference / lookups as f64,
                1e3 * encrypt,
                1e3 * decrypt,
            );
        }
    }
}
