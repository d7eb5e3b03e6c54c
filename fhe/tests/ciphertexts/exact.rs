//! Programs on ciphertexts give what they give in the clear, bit for bit.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Keys, recipe, toy};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tacit_examples::PROGRAMS;
use tacit_fhe::noise::DEFAULT_LIMIT;
use tacit_fhe::program::Program;
use tacit_fhe::{Model, Params, Request, Response, Run};

/// The result of an input on ciphertexts that went over the wire and back.
pub(crate) fn infer(model: &Model, keys: &Keys, input: &[u16], threads: usize) -> Vec<i64> {
    let client = keys.client(model);
    let request = client.encrypt(input).unwrap().to_bytes();
    assert_eq!(
        request.len(),
        Request::wire_len(model.params(), input.len())
    );
    let request = Request::from_bytes(&request).unwrap();
    let run = Run {
        threads,
        ..Run::default()
    };
    let response = model.run(&keys.server, &request, &run).unwrap().to_bytes();
    assert_eq!(response.len(), model.response_len());
    client
        .decrypt(&Response::from_bytes(&response).unwrap())
        .unwrap()
}

#[test]
fn a_thousand_inputs_of_random_programs_are_exact() {
    let (inputs, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config {
        cases: 250,
        ..Config::default()
    });
    let seen = runner.run(&(recipe(), 0..2_usize), |(recipe, which)| {
        let program = recipe.program();
        // What fails too often or has no common scale is refused: another test's matter.
        let Ok(model) = Model::load(program.clone(), &Params::toys()[which]) else {
            return Ok(());
        };
        served.fetch_add(1, Ordering::Relaxed);
        for (k, input) in recipe.inputs(&program, 3).iter().enumerate() {
            let found = infer(&model, toy(which), input, 1 + k % 2);
            prop_assert_eq!(found, program.run(input), "{:?}", input);
            inputs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    seen.unwrap();
    let (inputs, served) = (inputs.into_inner(), served.into_inner());
    println!("{inputs} inputs of {served} programs");
    assert!(
        inputs >= 1000 && served >= 120,
        "{inputs} inputs of {served} programs"
    );
}

/// As many random programs as `cases`, as far as a set serves them, each on its least and its largest input.
fn exact_on(params: &'static Params, cases: u32) {
    let (keys, served) = (Keys::new(params), AtomicUsize::new(0));
    let mut runner = TestRunner::new(Config {
        cases,
        ..Config::default()
    });
    let seen = runner.run(&recipe(), |recipe| {
        let program = recipe.program();
        let Ok(model) = Model::load(program.clone(), params) else {
            return Ok(());
        };
        served.fetch_add(1, Ordering::Relaxed);
        let inputs = recipe.inputs(&program, 1);
        for input in [&inputs[0], &inputs[inputs.len() - 1]] {
            prop_assert_eq!(
                infer(&model, &keys, input, 2),
                program.run(input),
                "{:?}",
                input
            );
        }
        Ok(())
    });
    seen.unwrap();
    let (served, name) = (served.into_inner(), params.name());
    println!("{name}: {served} of {cases} programs");
    assert!(
        3 * served >= cases as usize,
        "{served} of {cases} programs fit to {name}"
    );
}

#[test]
fn a_secure_set_is_exact_too() {
    exact_on(Params::by_name("tacit-2048-2").unwrap(), 12);
}

#[test]
#[ignore = "a minute: cargo test --release -p tacit-fhe --test ciphertexts -- --ignored sets"]
fn all_secure_sets_are_exact() {
    for params in Params::catalogue() {
        exact_on(params, 12);
    }
}

#[test]
fn the_shipped_models_are_exact() {
    for shipped in PROGRAMS {
        let program = Program::read(shipped.program).unwrap();
        let params = Params::choose(&program, DEFAULT_LIMIT).unwrap();
        let model = Model::load(program.clone(), params).unwrap();
        let keys = Keys::new(params);
        let most = program.parts().input.max;
        // All of one value, and any: the worst sums are at such edges. A model of a thousand bootstraps has to do with
        // any, which is seconds as it is; what it looks up are sums modulo 32, which have no edges.
        let any = (0..program.parts().input.len).map(|k| (k * k % 251) as u16 % (most + 1));
        let mut inputs = vec![any.collect::<Vec<u16>>()];
        if program.lookups() < 1000 {
            inputs.extend([0, most].map(|value| vec![value; program.parts().input.len]));
        }
        for input in inputs {
            assert_eq!(
                infer(&model, &keys, &input, 2),
                program.run(&input),
                "{}",
                shipped.name
            );
        }
    }
}

/// Full parameters, inputs from the system's randomness, through the bytes that would travel.
#[test]
#[ignore = "five minutes of a core: cargo test --release -p tacit-fhe --test ciphertexts -- --ignored thousand"]
fn a_thousand_inputs_of_the_shipped_models_are_exact() {
    let mut inputs = 0;
    for (name, count) in [
        ("breast-cancer", 100),
        ("digits-16", 500),
        ("digits-24", 350),
        ("mnist-128", 50),
    ] {
        let shipped = PROGRAMS
            .iter()
            .find(|shipped| shipped.name == name)
            .unwrap();
        let program = Program::read(shipped.program).unwrap();
        let params = Params::choose(&program, DEFAULT_LIMIT).unwrap();
        let keys = Keys::new(params);
        let model = Model::load(program.clone(), params).unwrap();
        let most = u32::from(program.parts().input.max);
        for _ in 0..count {
            let mut bytes = vec![0; program.parts().input.len];
            getrandom::fill(&mut bytes).unwrap();
            let input: Vec<u16> = bytes
                .iter()
                .map(|&byte| (u32::from(byte) % (most + 1)) as u16)
                .collect();
            assert_eq!(
                infer(&model, &keys, &input, 1),
                program.run(&input),
                "{name}"
            );
            inputs += 1;
        }
    }
    assert_eq!(inputs, 1000);
}
