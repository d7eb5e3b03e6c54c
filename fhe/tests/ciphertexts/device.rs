//! Polynomials that a device multiplies: an emulated one.

use tacit_fhe::program::{Domain, Edge, Input, Lookup, Node, Parts, Program};
use tacit_fhe::{Error, Model, Params, Request, Run, ServerKey};
use tacit_gpu::{Gpu, Kernel, Settings};
use tacit_gpu_emulator::Recorder;

use crate::common::{sums, toy};

/// Tables of sums of inputs that fill one ciphertext and a part of another.
fn program() -> Program {
    let edge = |k| Edge {
        from: k,
        to: k,
        table: 0,
        weight: 1,
    };
    let lookup = Lookup {
        node: 0,
        domains: vec![Domain::Cyclic { modulus: 16 }; 5],
        tables: vec![vec![1, -2, 3, -1, 2, 0, 1, 3]],
        edges: (0..5).map(edge).collect(),
        bias: vec![0; 5],
    };
    let input = Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len: 600,
        max: 1,
    };
    let parts = Parts {
        name: "device".into(),
        input,
        nodes: vec![sums(5, 600, 3), Node::Lookup(lookup)],
        output_scale: 1.0,
    };
    Program::try_from(parts).unwrap()
}

fn gpu(memory: usize, setting: usize) -> Gpu<Recorder> {
    let settings = Settings {
        memory: setting,
        ..Settings::default()
    };
    Gpu::new(Recorder::new(memory), settings)
}

fn row() -> Vec<u16> {
    (0..600).map(|i| u16::from(i % 7 < 3)).collect()
}

/// Weights and the packing key are copied to the device once. For k = 1 and 2.
#[test]
fn a_device_gives_the_same_answers() {
    for which in [0, 1] {
        let (keys, params) = (toy(which), &Params::toys()[which]);
        let gpu = gpu(1 << 26, 1 << 26);
        let model = Model::load_on(&gpu, program(), params, -128.0).unwrap();
        let server = ServerKey::expand(&keys.evaluation, &gpu, 1, &|| true).unwrap();
        let record = &gpu.device().record;
        let kept = record.take_written();
        let polynomials = kept.iter().filter(|&&words| words >= 5 * 512).count();
        assert!(polynomials >= 2, "{kept:?}");
        let client = keys.client(&model);
        let wanted = model.program().run(&row());
        for question in 1..=2 {
            let request = client.encrypt(&row()).unwrap().to_bytes();
            let request = Request::from_bytes(&request).unwrap();
            let response = model.run(&server, &request, &Run::default()).unwrap();
            assert_eq!(client.decrypt(&response).unwrap(), wanted);
            // Once for the input, and for each of the nine automorphisms that pack five results.
            assert_eq!(record.grids(Kernel::Ntt62Sums).len(), 10 * question);
            let written: usize = record.take_written().into_iter().sum();
            assert!(written < kept.iter().sum(), "{written}");
        }
        drop((model, server));
        assert_eq!((gpu.held(), record.live()), (0, 0));
    }
}

#[test]
fn what_a_device_has_no_memory_for_is_computed_here() {
    let keys = toy(0);
    for (memory, setting) in [(1 << 26, 10_000), (10_000, 1 << 26)] {
        let gpu = gpu(memory, setting);
        let model = Model::load_on(&gpu, program(), &Params::toys()[0], -128.0).unwrap();
        let server = ServerKey::expand(&keys.evaluation, &gpu, 1, &|| true).unwrap();
        let client = keys.client(&model);
        let request = client.encrypt(&row()).unwrap();
        let response = model.run(&server, &request, &Run::default()).unwrap();
        let wanted = model.program().run(&row());
        assert_eq!(client.decrypt(&response).unwrap(), wanted);
        assert_eq!(gpu.held(), 0);
    }
}

/// What was kept fits, and what a question takes does not.
#[test]
fn a_device_that_fails_is_named() {
    let setting = 1 << 26;
    let (keys, params) = (toy(0), &Params::toys()[0]);
    let ample = gpu(setting, setting);
    let model = Model::load_on(&ample, program(), params, -128.0).unwrap();
    let scarce = gpu(ample.device().record.peak(), setting);
    let loaded = Model::load_on(&scarce, program(), params, -128.0).unwrap();
    assert_eq!(scarce.held(), ample.held());
    let request = keys.client(&model).encrypt(&row()).unwrap();
    let mut others = Vec::new();
    while let Ok(Some(other)) = tacit_mpc::Kernels::factors(&scarce, 512, &[1; 512]) {
        others.push(other);
    }
    let error = loaded.run(&keys.server, &request, &Run::default());
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
    let told = error.to_string();
    assert!(
        told.contains("recording device: the device has no"),
        "{told}"
    );
}
