//! Handwritten digits of 28 by 28 pixels.

use std::borrow::Cow;
use std::error::Error;

use tacit_examples::mnist::{self, Pictures};
use tacit_fhe::{
    program::Input,
    train::{Periodic, Recipe, Rows, Start, TrainError, Waves, Windows, accuracy, train_varied},
};
use tacit_nn::random::Stream;

use crate::warp::Warp;

/// Training pictures, and the last ones of them, that recipes were compared on and that are never trained with.
const ALL: usize = 60_000;
const HELD: usize = 5000;

/// How pictures are bent for training.
const WARP: Warp = Warp {
    shift: 1.0,
    turn: 0.1,
    stretch: 0.1,
    shear: 0.1,
};

/// Pixels are black or white: from 0 to 255 as 0 or 1.
fn input() -> Input {
    Input {
        offset: vec![0.0],
        gain: vec![1.0 / 255.0],
        len: mnist::PIXELS,
        max: 1,
    }
}

// A phase is a sum of so many weights or tables that it jumps about unless they move slowly: hence the rates and paces.
// Rounded from the first step on, they are learnt as what they will be.

/// One hidden layer: 128 neurons that see all pixels.
pub(crate) fn dense() -> Result<(), Box<dyn Error>> {
    let recipe = Recipe {
        epochs: 15,
        batch: 128,
        rate: 0.002,
        smooth: 0.0,
        sparsity: 1e-5,
        decay: 3e-4,
        resolution: 8.0,
        limit: 9,
        layers: vec![Start {
            spread: 0.4,
            pace: 2.5,
        }],
    };
    let network = Periodic::dense(mnist::PIXELS, 128, 32, 10);
    run("mnist-128", &network, &recipe)
}

/// Two convolutions: 6 by 6 pixels, every third one, 8 channels; then 4 by 4 of those, every second one, 64 channels.
pub(crate) fn convolutional() -> Result<(), Box<dyn Error>> {
    let layer = |shape, kernel, stride, channels| Waves {
        windows: Windows::image(shape, kernel, stride),
        channels,
        modulus: 32,
    };
    let network = Periodic {
        len: mnist::PIXELS,
        hidden: vec![layer([28, 28, 1], 6, 3, 8), layer([8, 8, 8], 4, 2, 64)],
        classes: 10,
    };
    let start = |spread, pace| Start { spread, pace };
    let recipe = Recipe {
        epochs: 20,
        batch: 128,
        rate: 0.002,
        smooth: 0.0,
        sparsity: 1e-5,
        decay: 3e-4,
        resolution: 9.0,
        limit: 7,
        layers: vec![start(1.2, 16.0), start(0.4, 4.0)],
    };
    run("mnist-cnn", &network, &recipe)
}

/// Trains on the first pictures, bent anew in every epoch, and writes the program.
fn run(name: &str, network: &Periodic, recipe: &Recipe) -> Result<(), Box<dyn Error>> {
    let (all, test) = (mnist::read("train", ALL)?, mnist::read("t10k", 10_000)?);
    let (kept, held) = split(&all);
    let mut of_epoch = |epoch| {
        let mut random = Stream::new(&[0; 32], &format!("bend {epoch}"));
        let pixels = WARP.all(&kept.pixels, &mut random);
        Rows::new(&input(), &pixels, &classes(&kept)).map(Cow::Owned)
    };
    let mut show = |epoch, loss| println!("epoch {epoch}: {loss:.4}");
    let trained = train_varied(network, recipe, &mut of_epoch, 0, &mut show)?;
    let program = trained.program(name, input())?;
    println!(
        "{} bootstraps: {:.4} of the last training rows, {:.4} of the test rows",
        program.lookups(),
        accuracy(&program, &rows(&held)?),
        accuracy(&program, &rows(&test)?)
    );
    super::write(&program)
}

/// What is trained with, and what is held out.
fn split(all: &Pictures) -> (Pictures, Pictures) {
    let (kept, held) = all.pixels.split_at((ALL - HELD) * mnist::PIXELS);
    let (kept_digits, held_digits) = all.digits.split_at(ALL - HELD);
    let part = |pixels: &[u8], digits: &[u8]| Pictures {
        pixels: pixels.to_vec(),
        digits: digits.to_vec(),
    };
    (part(kept, kept_digits), part(held, held_digits))
}

fn rows(pictures: &Pictures) -> Result<Rows, TrainError> {
    let pixels: Vec<f32> = pictures.pixels.iter().map(|&v| v.into()).collect();
    Rows::new(&input(), &pixels, &classes(pictures))
}

fn classes(pictures: &Pictures) -> Vec<usize> {
    pictures.digits.iter().map(|&digit| digit.into()).collect()
}
