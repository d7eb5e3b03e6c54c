//! Handwritten digits of 8 by 8 pixels.

use std::error::Error;

use tacit_examples::DIGITS;
use tacit_fhe::{
    program::{Input, Program},
    train::{Periodic, Recipe, Rows, Start, accuracy, folds, train},
};

/// Values that a bootstrap tells apart: the fewer, the more noise it bears. Cross-validation found 28 as good as 32 for
/// 32 neurons, and worse for 16.
const fn modulus(neurons: usize) -> u32 {
    if neurons < 24 { 32 } else { 28 }
}

/// Pixels from 0 to 16 as 0 to 3.
fn input() -> Input {
    Input {
        offset: vec![0.0],
        gain: vec![3.0 / 16.0],
        len: 64,
        max: 3,
    }
}

/// The recipe that cross-validation chose.
fn recipe() -> Recipe {
    Recipe {
        epochs: 400,
        batch: 64,
        rate: 0.01,
        smooth: 0.5,
        sparsity: 4e-4,
        decay: 1e-3,
        resolution: 3.0,
        limit: 5,
        layers: vec![Start {
            spread: 0.5,
            pace: 5.0,
        }],
    }
}

fn rows(of: &[usize]) -> Result<Rows, Box<dyn Error>> {
    let all = DIGITS.numbers();
    let numbers: Vec<f32> = of.iter().flat_map(|&k| all[k].0.clone()).collect();
    let classes: Vec<usize> = of.iter().map(|&k| all[k].1).collect();
    Ok(Rows::new(&input(), &numbers, &classes)?)
}

fn program(
    rows: &Rows,
    neurons: usize,
    modulus: u32,
    recipe: &Recipe,
    seed: u64,
) -> Result<Program, Box<dyn Error>> {
    let network = Periodic::dense(64, neurons, modulus, 10);
    let trained = train(&network, recipe, rows, seed, &mut |_, _| ())?;
    Ok(trained.program(&format!("digits-{neurons}"), input())?)
}

/// Points of the curve, with the first seed.
pub(crate) fn ship() -> Result<(), Box<dyn Error>> {
    let (kept, held) = DIGITS.split();
    let (kept, held) = (rows(&kept)?, rows(&held)?);
    for neurons in [8, 12, 16, 24] {
        let program = program(&kept, neurons, modulus(neurons), &recipe(), 0)?;
        super::write(&program)?;
        println!("{neurons}: {:.4}", accuracy(&program, &held));
    }
    Ok(())
}

/// Each recipe by three folds of the training rows.
pub(crate) fn search() -> Result<(), Box<dyn Error>> {
    let rows = rows(&DIGITS.split().0)?;
    let with = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = recipe();
        change(&mut recipe);
        recipe
    };
    let recipes = [
        (32, recipe()),
        (30, recipe()),
        (28, recipe()),
        (32, with(&|r| r.smooth = 0.7)),
        (32, with(&|r| r.decay = 3e-3)),
        (32, with(&|r| r.sparsity = 8e-4)),
        (32, with(&|r| r.layers[0].spread = 0.25)),
        (32, with(&|r| (r.resolution, r.limit) = (2.0, 4))),
        (32, with(&|r| (r.resolution, r.limit) = (4.0, 9))),
        (32, with(&|r| r.epochs = 200)),
    ];
    for neurons in [16, 32] {
        for (modulus, recipe) in &recipes {
            let mut found = Vec::new();
            for (kept, held) in folds(rows.len(), 3, 0) {
                let program = program(&rows.select(&kept), neurons, *modulus, recipe, 0)?;
                found.push(accuracy(&program, &rows.select(&held)));
            }
            let mean = found.iter().sum::<f64>() / 3.0;
            println!("{neurons} modulo {modulus}: {mean:.4} {found:.4?} {recipe:?}");
        }
    }
    Ok(())
}

/// Mean, least and greatest accuracy on the held-out rows.
pub(crate) fn curve() -> Result<(), Box<dyn Error>> {
    let (kept, held) = DIGITS.split();
    let (kept, held) = (rows(&kept)?, rows(&held)?);
    println!("| bootstraps | mean | least | greatest |\n|---|---|---|---|");
    for neurons in [8, 12, 16, 24, 32, 48] {
        let mut found = Vec::new();
        for seed in 0..5 {
            let program = program(&kept, neurons, modulus(neurons), &recipe(), seed)?;
            found.push(100.0 * accuracy(&program, &held));
        }
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let (least, most) = (
            found.iter().fold(100f64, |a, &b| a.min(b)),
            found.iter().fold(0f64, |a, &b| a.max(b)),
        );
        println!("| {neurons} | {mean:.2} | {least:.2} | {most:.2} |");
    }
    Ok(())
}
