//! Keys with wrong bits, and bytes that were changed with or without a new checksum: nothing that is not right passes for
//! it.

use std::cell::Cell;

use sha2::{Digest, Sha256};
use tacit_fhe::program::{Domain, Edge, Input, Lookup, Node, Parts, Program};
use tacit_fhe::{
    Client, ClientKey, Error, EvaluationKey, Model, Params, Request, Response, Run, ServerKey,
};
use tacit_mpc::kernels::cpu;

use crate::common::{Keys, sums, toy};

/// Three sums of four inputs, and what a table says of each unless the sums are all.
fn model(sums_alone: bool) -> Model {
    let linear = sums(3, 4, 2);
    let edge = |k: usize| Edge {
        from: k,
        to: k,
        table: 0,
        weight: 3,
    };
    let lookup = Node::Lookup(Lookup {
        node: 0,
        domains: vec![Domain::Cyclic { modulus: 16 }; 3],
        tables: vec![vec![1, -2, 3, -1, 2, 0, 1, 3]],
        edges: (0..3).map(edge).collect(),
        bias: vec![0; 3],
    });
    let nodes = if sums_alone {
        vec![linear]
    } else {
        vec![linear, lookup]
    };
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: 4,
        max: 3,
    };
    let parts = Parts {
        name: "forged".into(),
        input,
        nodes,
        output_scale: 1.0,
    };
    Model::load(Program::try_from(parts).unwrap(), &Params::toys()[0]).unwrap()
}

const INPUTS: [[u16; 4]; 8] = [
    [0; 4],
    [3; 4],
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [1; 4],
    [2, 0, 2, 0],
    [0, 3, 0, 3],
    [1, 2, 2, 1],
];

/// The same bytes with the checksum that fits.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - 8;
    let sum = Sha256::digest(&bytes[..at]);
    bytes[at..].copy_from_slice(&sum[..8]);
    bytes
}

/// Where the parts of a message begin: header, length of the name, name, id, body, checksum.
fn parts(bytes: &[u8]) -> [(&'static str, usize); 6] {
    let name = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
    let id = name + 1 + usize::from(bytes[name]);
    [
        ("header", 0),
        ("length", name),
        ("name", name + 1),
        ("id", id),
        ("body", id + 16),
        ("checksum", bytes.len() - 8),
    ]
}

/// `bytes` with the id of `other`, and a checksum that fits.
fn with_id_of(bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let (at, from) = (parts(bytes)[3].1, parts(other)[3].1);
    let mut forged = bytes.to_vec();
    forged[at..at + 16].copy_from_slice(&other[from..from + 16]);
    sealed(forged)
}

/// How many answers of a server's are right, decrypted by a key.
fn right(model: &Model, keys: &Keys, decrypts: &Client) -> usize {
    let asks = keys.client(model);
    let answered = |input: &&[u16; 4]| {
        let request = asks.encrypt(&input[..]).unwrap();
        let response = model.run(&keys.server, &request, &Run::default()).unwrap();
        decrypts.decrypt(&response).unwrap() == model.program().run(&input[..])
    };
    INPUTS.iter().filter(answered).count()
}

#[test]
fn other_bits_under_the_same_id_decrypt_nothing() {
    let (keys, other) = (toy(0), Keys::new(&Params::toys()[0]));
    for sums_alone in [false, true] {
        let model = model(sums_alone);
        assert_eq!(right(&model, keys, &keys.client(&model)), INPUTS.len());
        let forged = with_id_of(&other.client, &keys.client);
        let forged = ClientKey::from_bytes(&forged).unwrap();
        assert_eq!(forged.id(), keys.server.id());
        let forged = Client::new(forged, model.interface()).unwrap();
        // Three numbers of a dozen values or more are right by chance about once in a thousand times.
        let by_chance = right(&model, keys, &forged);
        assert!(by_chance <= 1, "{by_chance} of {} are right", INPUTS.len());
        // And what it encrypts says nothing to the key that computes.
        let request = forged.encrypt(&INPUTS[2]).unwrap();
        let response = model.run(&keys.server, &request, &Run::default()).unwrap();
        assert_ne!(
            keys.client(&model).decrypt(&response).unwrap(),
            model.program().run(&INPUTS[2])
        );
    }
}

#[test]
fn few_wrong_bits_are_enough_to_decrypt_nothing() {
    let (keys, model) = (toy(0), model(false));
    let mut bytes = keys.client.clone();
    // The last bytes are of the key that results are encrypted under.
    let end = bytes.len() - 8;
    bytes[end - 8..end].iter_mut().for_each(|b| *b ^= 0xFF);
    let wrong = ClientKey::from_bytes(&sealed(bytes)).unwrap();
    let wrong = Client::new(wrong, model.interface()).unwrap();
    assert!(right(&model, keys, &wrong) <= 1);
}

#[test]
fn an_evaluation_key_under_another_id_is_refused_before_anything_is_computed() {
    let other = Keys::new(&Params::toys()[0]);
    let forged = with_id_of(&other.evaluation.to_bytes(), &toy(0).evaluation.to_bytes());
    let refused = EvaluationKey::from_bytes(&forged).unwrap_err();
    assert!(refused.to_string().contains("its id is not"), "{refused}");
    // As is one whose body was changed, however well.
    let mut changed = toy(0).evaluation.to_bytes();
    let body = parts(&changed)[4].1;
    for at in [body, body + 100, changed.len() - 20] {
        changed[at] ^= 1;
        let refused = EvaluationKey::from_bytes(&sealed(changed.clone())).unwrap_err();
        assert!(matches!(refused, Error::Malformed { .. }), "{refused}");
    }
}

#[test]
fn a_flipped_byte_is_refused_in_every_part_and_by_its_name() {
    let (keys, model) = (toy(0), model(false));
    let request = keys.client(&model).encrypt(&INPUTS[2]).unwrap();
    let response = model.run(&keys.server, &request, &Run::default()).unwrap();
    let read: [(&str, Vec<u8>, fn(&[u8]) -> Option<Error>); 4] = [
        ("a TFHE client key", keys.client.clone(), |b| {
            ClientKey::from_bytes(b).err()
        }),
        ("a TFHE evaluation key", keys.evaluation.to_bytes(), |b| {
            EvaluationKey::from_bytes(b).err()
        }),
        ("an encrypted input", request.to_bytes(), |b| {
            Request::from_bytes(b).err()
        }),
        ("an encrypted result", response.to_bytes(), |b| {
            Response::from_bytes(b).err()
        }),
    ];
    for (what, bytes, read) in &read {
        let parts = parts(bytes);
        for (k, (part, from)) in parts.iter().enumerate() {
            let to = parts.get(k + 1).map_or(bytes.len(), |next| next.1);
            // All of what is short; of bodies the beginning (counts, scales, seeds), the end, and places between.
            let step = 1 + (to - from) / 64;
            let places = (*from..to).filter(|at| at - from < 64 || to - at < 16 || at % step == 0);
            for at in places {
                for flip in [1, 0x80] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    let refused = read(&damaged)
                        .unwrap_or_else(|| panic!("{what}: byte {at}, in its {part}, is taken"));
                    let words = refused.to_string();
                    assert!(words.contains(what), "{part}: {words}");
                    // Bodies have no other defence than the checksum, and it names damage as such.
                    let named = matches!(
                        refused,
                        Error::Damaged { .. } | Error::Length { .. } | Error::Malformed { .. }
                    );
                    assert!(named || k < 3, "{part}: {words}");
                }
            }
        }
    }
}

#[test]
fn cut_and_foreign_keys_are_refused_by_name() {
    let [here, there] = [toy(0), toy(1)];
    let model = model(false);
    let evaluation = here.evaluation.to_bytes();
    for (bytes, cut) in [(&evaluation, 1), (&evaluation, 1000), (&here.client, 1)] {
        let bytes = &bytes[..bytes.len() - cut];
        let refused = [
            EvaluationKey::from_bytes(bytes).err(),
            ClientKey::from_bytes(bytes).err(),
        ];
        let cut_off = |e: &Option<Error>| matches!(e, Some(Error::Length { .. }));
        assert!(refused.iter().any(cut_off), "{refused:?}");
        assert!(refused.iter().all(Option::is_some));
    }
    // What says that it is of another set has another length than such keys have.
    let mut foreign = there.client.clone();
    let name = "toy-insecure";
    let at = parts(&foreign)[2].1;
    foreign.splice(at - 1..at + "toy-insecure-k2".len(), {
        let mut named = vec![name.len() as u8];
        named.extend_from_slice(name.as_bytes());
        named
    });
    let refused = ClientKey::from_bytes(&sealed(foreign)).unwrap_err();
    assert!(matches!(refused, Error::Length { .. }), "{refused}");
    let of_other = ClientKey::from_bytes(&there.client).unwrap();
    let refused = Client::new(of_other, model.interface()).unwrap_err();
    assert!(refused.to_string().contains("toy-insecure-k2"), "{refused}");
}

#[test]
fn sums_alone_need_no_evaluation_key_and_lookups_do() {
    let (sums, lookups) = (model(true), model(false));
    assert!(!sums.needs_key() && lookups.needs_key());
    let secret = ClientKey::generate_alone(&Params::toys()[0]).unwrap();
    let again = ClientKey::from_bytes(&secret.to_bytes()).unwrap();
    assert_eq!(again.id(), secret.id());
    assert_ne!(
        ClientKey::generate_alone(&Params::toys()[0]).unwrap().id(),
        secret.id()
    );
    let client = Client::new(secret, sums.interface()).unwrap();
    for input in &INPUTS {
        let request = Request::from_bytes(&client.encrypt(input).unwrap().to_bytes()).unwrap();
        let response = sums.run(None, &request, &Run::default()).unwrap();
        assert_eq!(response.to_bytes().len(), sums.response_len());
        assert_eq!(
            client.decrypt(&response).unwrap(),
            sums.program().run(input)
        );
    }
    let client = Client::new(again, lookups.interface()).unwrap();
    let request = client.encrypt(&INPUTS[0]).unwrap();
    let refused = lookups.run(None, &request, &Run::default()).unwrap_err();
    assert_eq!(refused, Error::NoKey);
    // A pair serves sums too, with its evaluation key or without.
    let keys = toy(0);
    let client = keys.client(&sums);
    let request = client.encrypt(&INPUTS[2]).unwrap();
    for key in [Some(&keys.server), None] {
        let response = sums.run(key, &request, &Run::default()).unwrap();
        assert_eq!(
            client.decrypt(&response).unwrap(),
            sums.program().run(&INPUTS[2])
        );
    }
}

#[test]
fn an_expansion_ends_when_nobody_wants_it_and_is_the_same_on_any_threads() {
    let keys = toy(0);
    let asked = Cell::new(0);
    let whole = ServerKey::expand(&keys.evaluation, &*cpu(), 1, &|| {
        asked.set(asked.get() + 1);
        true
    });
    let (whole, steps) = (whole.unwrap(), asked.get());
    assert!(steps >= 4, "{steps}");
    for most in 0..steps {
        asked.set(0);
        let stopped = ServerKey::expand(&keys.evaluation, &*cpu(), 2, &|| {
            asked.set(asked.get() + 1);
            asked.get() <= most
        });
        assert_eq!(stopped.unwrap_err(), Error::Interrupted);
        assert_eq!(asked.get(), most + 1, "no step after that");
    }
    let model = model(false);
    let client = keys.client(&model);
    let request = client.encrypt(&INPUTS[3]).unwrap();
    let response = model.run(&whole, &request, &Run::default()).unwrap();
    assert_eq!(
        client.decrypt(&response).unwrap(),
        model.program().run(&INPUTS[3])
    );
}
