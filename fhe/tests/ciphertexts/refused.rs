//! What is refused, and by what name: programs that fail too often, and keys, requests and responses that are damaged or
//! belong to something else.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Keys, sums, toy};
use tacit_fhe::program::{Domain, Edge, Input, Lookup, Node, Parts, Program};
use tacit_fhe::{
    Client, ClientKey, Error, EvaluationKey, LoadError, Model, Params, Request, Response, Run,
    noise,
};

/// `hidden` sums of 6 inputs, looked up modulo `modulus`, summed to 3 results.
fn program(hidden: usize, modulus: u32) -> Program {
    let linear = sums(hidden, 6, 3);
    let table = |shift: i32| {
        (0..modulus as i32 / 2)
            .map(|v| (v * (3 + shift) + shift) % 5 - 2)
            .collect()
    };
    let edge = |k: usize| Edge {
        from: k / 3,
        to: k % 3,
        table: k % 4,
        weight: 1,
    };
    let lookup = Lookup {
        node: 0,
        domains: vec![Domain::Cyclic { modulus }; hidden],
        tables: (0..4).map(table).collect(),
        edges: (0..3 * hidden).map(edge).collect(),
        bias: vec![0; 3],
    };
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: 6,
        max: 3,
    };
    let nodes = vec![linear, Node::Lookup(lookup)];
    Program::try_from(Parts {
        name: "small".into(),
        input,
        nodes,
        output_scale: 1.0,
    })
    .unwrap()
}

const INPUT: [u16; 6] = [3, 1, 0, 2, 3, 2];

/// A model, its keys, a request and its response.
fn answered() -> (Model, &'static Keys, Vec<u8>, Vec<u8>) {
    let model = Model::load(program(3, 16), &Params::toys()[0]).unwrap();
    let keys = toy(0);
    let request = keys.client(&model).encrypt(&INPUT).unwrap();
    let response = model.run(&keys.server, &request, &Run::default()).unwrap();
    (model, keys, request.to_bytes(), response.to_bytes())
}

#[test]
fn noise_that_is_refused_is_seen_to_fail_and_less_noise_is_not() {
    let noisy = &Params::toys()[2];
    let refused = Model::load(program(8, 16), noisy).unwrap_err();
    let LoadError::Noise(error) = &refused else {
        panic!("{refused}")
    };
    assert!(error.log2_p_fail > -64.0 && error.node == 1, "{refused}");
    assert!(
        refused.to_string().contains("the lookup in node 1"),
        "{refused}"
    );
    // No limit makes a set that fails often acceptable.
    assert!(Model::load_within(program(8, 16), noisy, 0.0).is_err());
    assert!(Model::load_within(program(8, 16), noisy, f64::NAN).is_err());

    let wrong = |model: &Model, keys: &Keys| {
        let client = keys.client(model);
        let infer = |_: usize| {
            let request = client.encrypt(&INPUT).unwrap();
            let response = model.run(&keys.server, &request, &Run::default()).unwrap();
            client.decrypt(&response).unwrap()
        };
        let right = model.program().run(&INPUT);
        (0..20).filter(|&k| infer(k) != right).count()
    };
    let forced = Model::load_unchecked(program(8, 16), noisy).unwrap();
    assert!(
        wrong(&forced, toy(2)) >= 5,
        "noise that is refused does harm"
    );
    let quiet = Model::load(program(8, 16), &Params::toys()[0]).unwrap();
    assert_eq!(wrong(&quiet, toy(0)), 0);
}

#[test]
fn secure_sets_serve_what_they_can_tell_apart_and_the_cheapest_is_chosen() {
    let choose = |hidden, modulus| Params::choose(&program(hidden, modulus), noise::DEFAULT_LIMIT);
    assert_eq!(choose(32, 32).unwrap().name(), "tacit-2048-2");
    assert_eq!(choose(32, 56).unwrap().name(), "tacit-4096-2");
    let refused = choose(32, 512).unwrap_err();
    assert!(
        refused.to_string().contains("larger polynomials"),
        "{refused}"
    );
    // More is refused than at 2^-64.
    assert!(Params::choose(&program(32, 72), -64.0).is_ok());
    assert!(Params::choose(&program(32, 72), -128.0).is_err());
}

#[test]
fn values_that_are_tied_but_need_different_moduli_are_refused() {
    let mut parts = program(3, 16).parts().clone();
    let Node::Lookup(second) = parts.nodes[1].clone() else {
        unreachable!()
    };
    let tables = second.tables.iter().map(|_| vec![1; 6]).collect();
    let domains = vec![Domain::Cyclic { modulus: 12 }; 3];
    parts.nodes.push(Node::Lookup(Lookup {
        domains,
        tables,
        ..second
    }));
    let program = Program::try_from(parts).unwrap();
    let refused = Model::load(program, &Params::toys()[0]).unwrap_err();
    assert!(matches!(refused, LoadError::Scale(_)), "{refused}");
    let words = refused.to_string();
    assert!(
        words.contains("node 2") && words.contains("modulo 12") && words.contains("modulo 16"),
        "{words}"
    );
}

#[test]
fn another_key_or_another_set_is_refused_by_name_and_decrypts_nothing() {
    let (model, keys, request, response) = answered();
    let request = Request::from_bytes(&request).unwrap();
    let response = Response::from_bytes(&response).unwrap();
    let other = Keys::new(&Params::toys()[0]);
    let refused = model
        .run(&other.server, &request, &Run::default())
        .unwrap_err();
    let words = refused.to_string();
    assert!(matches!(refused, Error::Key { .. }), "{words}");
    assert!(
        words.contains(&keys.server.id().to_string())
            && words.contains(&other.server.id().to_string())
    );
    assert!(matches!(
        other.client(&model).decrypt(&response),
        Err(Error::Key { .. })
    ));

    // A key of the same id but other bits, which nobody has but who forges files, reads nothing.
    let mut forged = other.client.clone();
    let id = forged
        .windows(16)
        .position(|bytes| bytes == other.server.id().bytes())
        .unwrap();
    forged[id..id + 16].copy_from_slice(keys.server.id().bytes());
    assert!(matches!(
        ClientKey::from_bytes(&forged),
        Err(Error::Damaged { .. })
    ));

    let set = toy(1);
    let refused = model
        .run(&set.server, &request, &Run::default())
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("`toy-insecure-k2`; `toy-insecure` is in use"),
        "{refused}"
    );
    let client = ClientKey::from_bytes(&set.client).unwrap();
    assert!(matches!(
        Client::new(client, model.interface()),
        Err(Error::Params { .. })
    ));
}

#[test]
fn damage_is_found_wherever_it_is() {
    let (_, keys, request, response) = answered();
    let evaluation = keys.evaluation.to_bytes();
    let read: [(&[u8], fn(&[u8]) -> Option<Error>); 4] = [
        (&keys.client, |bytes| ClientKey::from_bytes(bytes).err()),
        (&evaluation, |bytes| EvaluationKey::from_bytes(bytes).err()),
        (&request, |bytes| Request::from_bytes(bytes).err()),
        (&response, |bytes| Response::from_bytes(bytes).err()),
    ];
    for (bytes, read) in read {
        assert_eq!(read(bytes), None);
        let step = 1 + bytes.len() / 40;
        for len in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            assert!(
                read(&bytes[..len]).is_some(),
                "cut to {len} of {}",
                bytes.len()
            );
        }
        assert!(read(&[bytes, &[0]].concat()).is_some(), "a byte more");
        for at in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            assert!(
                read(&damaged).is_some(),
                "byte {at} of {} flipped",
                bytes.len()
            );
        }
    }
    // Kinds do not pass for one another.
    let error = Request::from_bytes(&response).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("an encrypted input of this version"),
        "{error}"
    );
}

#[test]
fn inputs_that_a_model_does_not_take_are_refused() {
    let (model, keys, _, _) = answered();
    let client = keys.client(&model);
    assert_eq!(
        client.encrypt(&[0; 5]).unwrap_err(),
        Error::Inputs {
            found: 5,
            wanted: 6
        }
    );
    let error = client.encrypt(&[0, 0, 4, 0, 0, 0]).unwrap_err();
    assert_eq!(
        error,
        Error::TooLarge {
            index: 2,
            value: 4,
            max: 3
        }
    );
    let mut interface = model.interface();
    interface.inputs = 7;
    let client = Client::new(ClientKey::from_bytes(&keys.client).unwrap(), interface).unwrap();
    let request = client.encrypt(&[0; 7]).unwrap();
    let refused = model
        .run(&keys.server, &request, &Run::default())
        .unwrap_err();
    assert_eq!(
        refused,
        Error::Inputs {
            found: 7,
            wanted: 6
        }
    );
}

#[test]
fn an_inference_stops_when_it_is_told_to() {
    let model = Model::load(program(20, 16), &Params::toys()[0]).unwrap();
    let keys = toy(0);
    let request = keys.client(&model).encrypt(&INPUT).unwrap();
    let asked = AtomicUsize::new(0);
    for threads in [1, 2] {
        asked.store(0, Ordering::Relaxed);
        // Before each of two nodes, and before the first batch.
        let once = |_| asked.fetch_add(1, Ordering::Relaxed) < 3;
        let stopped = model
            .run(
                &keys.server,
                &request,
                &Run {
                    threads,
                    go_on: &once,
                    ..Run::default()
                },
            )
            .unwrap_err();
        let Error::Cancelled { done, all: 20 } = stopped else {
            panic!("{stopped}")
        };
        assert!(done > 0 && done < 20, "{done}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let key = ClientKey::from_bytes(&toy(0).client).unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("ClientKey(toy-insecure, {}, …)", key.id())
    );
}

/// Hundreds of values that all have entries of their own: no set tells them apart.
#[test]
fn tables_that_tell_too_much_apart_are_refused_by_node_and_value() {
    let mut parts = program(1, 16).parts().clone();
    let [Node::Linear(sum), Node::Lookup(lookup)] = &mut parts.nodes[..] else {
        unreachable!()
    };
    for term in &mut sum.rows[0].terms {
        term.weight = 50;
    }
    lookup.domains = vec![Domain::interval(0, 900)];
    lookup.tables = vec![(0..901).map(|k| k * k % 7).collect()];
    lookup.edges.truncate(1);
    let program = Program::try_from(parts).unwrap();
    let refused = Params::choose(&program, noise::DEFAULT_LIMIT).unwrap_err();
    assert!(
        matches!(
            refused,
            LoadError::Wide {
                node: 1,
                value: 0,
                width: 901,
                ..
            }
        ),
        "{refused}"
    );
    let words = refused.to_string();
    assert!(
        words.contains("node 1: value 0 takes 901 values") && words.contains("low bits"),
        "{words}"
    );
}
