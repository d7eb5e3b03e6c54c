//! Handwritten digits of 28 by 28 pixels.

use std::error::Error;

use tacit_fhe::{
    program::Input,
    train::{Periodic, Recipe, Rows, Start, Waves, Windows, accuracy, train},
};

use crate::idx;

/// Training rows that recipes were compared on, never trained with: the last ones.
const HELD: usize = 5000;

/// Pixels from 0 to 255 as 0 to `max`.
fn input(max: u16) -> Input {
    Input {
        offset: vec![0.0],
        gain: vec![f32::from(max) / 255.0],
        len: 784,
        max,
    }
}

fn rows(set: &str, count: usize, max: u16) -> Result<Rows, Box<dyn Error>> {
    let (pixels, classes) = idx::read(set, count)?;
    Ok(Rows::new(&input(max), &pixels, &classes)?)
}

/// 784 pixels, black or white, and 128 neurons.
pub(crate) fn dense() -> Result<(), Box<dyn Error>> {
    let recipe = Recipe {
        epochs: 15,
        batch: 128,
        rate: 0.005,
        smooth: 0.3,
        sparsity: 1e-5,
        decay: 1e-4,
        resolution: 4.0,
        limit: 5,
        layers: vec![Start {
            spread: 0.5,
            pace: 5.0,
        }],
    };
    run("mnist-128", &Periodic::dense(784, 128, 32, 10), 1, &recipe)
}

/// Two convolutions: 5 by 5 of 3 channels and 4 by 4 of 16, every second position.
pub(crate) fn convolutional() -> Result<(), Box<dyn Error>> {
    let layer = |shape, kernel, channels| Waves {
        windows: Windows::image(shape, kernel, 2),
        channels,
        modulus: 32,
    };
    let network = Periodic {
        len: 784,
        hidden: vec![layer([28, 28, 1], 5, 3), layer([12, 12, 3], 4, 16)],
        classes: 10,
    };
    let start = |pace| Start { spread: 1.0, pace };
    let recipe = Recipe {
        epochs: 14,
        batch: 256,
        rate: 0.006,
        smooth: 0.6,
        sparsity: 1e-5,
        decay: 3e-4,
        resolution: 4.0,
        limit: 5,
        layers: vec![start(10.0), start(20.0)],
    };
    run("mnist-cnn", &network, 3, &recipe)
}

fn run(name: &str, network: &Periodic, max: u16, recipe: &Recipe) -> Result<(), Box<dyn Error>> {
    let (train_rows, test) = (rows("train", 60_000, max)?, rows("t10k", 10_000, max)?);
    let kept: Vec<usize> = (0..60_000 - HELD).collect();
    let held: Vec<usize> = (60_000 - HELD..60_000).collect();
    let mut show = |epoch, loss| println!("epoch {epoch}: {loss:.4}");
    let trained = train(network, recipe, &train_rows.select(&kept), 0, &mut show)?;
    let program = trained.program(name, input(max))?;
    println!(
        "{} bootstraps: {:.4} of the last training rows, {:.4} of the test rows",
        program.lookups(),
        accuracy(&program, &train_rows.select(&held)),
        accuracy(&program, &test)
    );
    super::write(&program)
}
