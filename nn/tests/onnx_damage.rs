//! Damaged files are refused or read, and never make anything panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ndarray::Array2;
use proptest::prelude::*;
use tacit_nn::{
    model_file::{Dense, Model as Perceptron},
    onnx::{Dim, Feed, Model, Options, Weights},
};

/// A small real file.
fn file() -> Vec<u8> {
    let layer = |rows, columns| Dense {
        weight: Array2::from_shape_fn((rows, columns), |(i, j)| i as f32 - 0.5 * j as f32),
        bias: Array2::ones((1, columns)),
    };
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let model = Perceptron::new(names, vec![layer(3, 4), layer(4, 3)]).unwrap();
    model.to_onnx()
}

/// Reads a file and makes its graph for small inputs, in both ways to treat weights.
fn use_it(bytes: &[u8]) {
    let Ok(model) = Model::parse(bytes) else {
        return;
    };
    let shapes = model.inputs().iter().map(|port| {
        let lengths = port.shape.iter().map(|d| match d {
            Dim::Fixed(n) => *n,
            Dim::Any(_) => 2,
        });
        lengths.collect::<Vec<usize>>()
    });
    let shapes: Vec<Vec<usize>> = shapes.collect();
    let small = |s: &Vec<usize>| {
        s.iter()
            .try_fold(1usize, |n, &m| n.checked_mul(m).filter(|&n| n < 1 << 16))
    };
    if shapes.iter().any(|s| small(s).is_none()) {
        return;
    }
    let feeds: Vec<Feed> = shapes.into_iter().map(Feed::Private).collect();
    for weights in [Weights::Public, Weights::Private] {
        for training in [false, true] {
            let weights = weights.clone();
            let _ = model.lower(&feeds, &Options { weights, training });
        }
    }
    let _ = model.with_parameters(&model.parameters());
}

#[test]
fn the_file_itself_is_read() {
    let model = Model::parse(&file()).unwrap();
    let feeds = [Feed::Private(vec![2, 3])];
    let lowered = model.lower(&feeds, &Options::default()).unwrap();
    assert_eq!(lowered.outputs[0].shape, [2, 3]);
    assert_eq!(model.parameters().len(), 4);
}

#[test]
fn cut_files_do_not_panic() {
    let file = file();
    (0..file.len()).for_each(|end| use_it(&file[..end]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn noise_does_not_panic(bytes: Vec<u8>) {
        use_it(&bytes);
    }

    #[test]
    fn damage_does_not_panic(changes in prop::collection::vec((0usize..2000, any::<u8>()), 1..6)) {
        let mut file = file();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        use_it(&file);
    }
}
