//! The course of a training.

use std::borrow::Cow;

use ndarray::{Array2, ArrayD, Axis, IxDyn};
use tacit_nn::{
    Optimizer, Plain,
    network::{Parameter, flat},
    optimizer::{Clock, MASTER_SCALE, Schedule, master},
    random::Stream,
    run,
};

use super::{
    Periodic, Recipe, Rows, TrainError, Trained,
    forward::{Pass, Tables},
    invalid, step,
};

/// Trains a network. The same seed gives the same network on the same machine. After every epoch, `observer` is told its
/// number, from 1 on, and the mean loss during it.
///
/// # Errors
/// A network, a recipe or rows that do not fit.
pub fn train(
    network: &Periodic,
    recipe: &Recipe,
    rows: &Rows,
    seed: u64,
    observer: &mut dyn FnMut(usize, f32),
) -> Result<Trained, TrainError> {
    train_varied(
        network,
        recipe,
        &mut |_| Ok(Cow::Borrowed(rows)),
        seed,
        observer,
    )
}

/// As [`train`], with rows of its own for every epoch, counted from 0: as many every time, such as pictures moved a little,
/// each time otherwise.
///
/// # Errors
/// A network, a recipe or rows that do not fit, and whatever `rows` reports.
pub fn train_varied<'r>(
    network: &Periodic,
    recipe: &Recipe,
    rows: &mut dyn FnMut(usize) -> Result<Cow<'r, Rows>, TrainError>,
    seed: u64,
    observer: &mut dyn FnMut(usize, f32),
) -> Result<Trained, TrainError> {
    network.validate(recipe)?;
    let mut of_epoch = rows(0)?;
    let count = of_epoch.len();
    let steps_per_epoch = count / recipe.batch.max(1);
    if steps_per_epoch == 0 || recipe.batch == 0 {
        return Err(invalid(format!(
            "{count} rows do not fill a batch of {}",
            recipe.batch
        )));
    }
    let seed = seed_bytes(seed);
    let mut optimizer = Optimizer::adam(recipe.rate);
    optimizer.rate.schedule = Schedule::Cosine;
    optimizer.validate()?;
    let clock = |step: usize| Clock {
        step,
        steps_per_epoch,
        epochs: recipe.epochs,
    };
    let tensors = network.start(recipe, &seed);
    let paces = network.paces(recipe);
    let factors = optimizer.factors(clock(0))?.len();
    let graph = step::graph(network, recipe, &optimizer, &tensors, factors)?;
    let start = master(&flat(&tensors)).mapv(|v| v as f32);
    let mut carried = vec![start.clone()];
    carried.resize(1 + optimizer.slots(), ArrayD::zeros(start.raw_dim()));

    let smooth = (recipe.smooth * (recipe.epochs * steps_per_epoch) as f64) as usize;
    for epoch in 0..recipe.epochs {
        if epoch > 0 {
            of_epoch = rows(epoch)?;
        }
        of_epoch.validate(network)?;
        if of_epoch.len() != count {
            return Err(invalid(format!(
                "epoch {} has {} rows, the first one {count}",
                epoch + 1,
                of_epoch.len()
            )));
        }
        let order = Stream::new(&seed, &format!("epoch {epoch}")).permutation(count);
        let mut losses = 0.0;
        for (k, batch) in order.chunks_exact(recipe.batch).enumerate() {
            let at = epoch * steps_per_epoch + k;
            let learnt = weights(&tensors, &paces, &carried[0]);
            let x = of_epoch.x.select(Axis(0), batch);
            let (pass, rounding) = if at < smooth {
                let pass = Pass::of(network, &learnt, None, &x);
                (pass, ArrayD::zeros(start.raw_dim()))
            } else {
                let rounded = rounded(&learnt, &paces);
                let tables = Tables::all(network, recipe, &rounded);
                let tables = Some((&tables[..], recipe.resolution));
                let pass = Pass::of(network, &rounded, tables, &x);
                (pass, rounding(&learnt, &rounded, &paces))
            };
            let mut inputs = std::mem::take(&mut carried);
            for factor in optimizer.factors(clock(at))? {
                inputs.push(ArrayD::from_elem(IxDyn(&[1]), factor as f32));
            }
            inputs.push(rounding);
            inputs.push(x.into_dyn());
            inputs.push(of_epoch.one_hot(batch, network.classes).into_dyn());
            let layers = pass.waves.into_iter().zip(pass.corrections);
            for ((wave, correction), (_, windows, sums)) in layers.zip(network.tables()) {
                inputs.extend([wave.phase, wave.cos, wave.sin].map(Array2::into_dyn));
                let none = || Array2::zeros((recipe.batch, windows.positions() * sums));
                inputs.push(correction.unwrap_or_else(none).into_dyn());
            }
            carried = run(&graph, &mut Plain, &inputs)?;
            losses += carried.pop().map_or(0.0, |loss| loss.sum());
        }
        observer(epoch + 1, losses / (steps_per_epoch * recipe.batch) as f32);
    }
    let learnt = weights(&tensors, &paces, &carried[0]);
    Ok(Trained {
        network: network.clone(),
        recipe: recipe.clone(),
        weights: rounded(&learnt, &paces),
    })
}

/// The pace of a tensor, and the steps of a unit to which it is rounded.
type Pace = (f32, Option<f32>);

/// What the network is made of, from what the optimizer carries.
fn weights(tensors: &[Parameter], paces: &[Pace], carried: &ArrayD<f32>) -> Vec<Array2<f32>> {
    let mut entries = carried.iter().map(|v| v / MASTER_SCALE as f32);
    let tensor = |(tensor, &(pace, _)): (&Parameter, &Pace)| {
        let shape = (tensor.value.shape()[0], tensor.value.shape()[1]);
        Array2::from_shape_simple_fn(shape, || pace * entries.next().unwrap_or_default())
    };
    tensors.iter().zip(paces).map(tensor).collect()
}

fn rounded(weights: &[Array2<f32>], paces: &[Pace]) -> Vec<Array2<f32>> {
    let round = |(w, &(_, steps)): (&Array2<f32>, &Pace)| {
        steps.map_or_else(
            || w.clone(),
            |steps| w.mapv(|w| (w * steps).round() / steps),
        )
    };
    weights.iter().zip(paces).map(round).collect()
}

/// What rounding adds to the parameters that the optimizer carries.
fn rounding(weights: &[Array2<f32>], rounded: &[Array2<f32>], paces: &[Pace]) -> ArrayD<f32> {
    let pairs = weights.iter().zip(rounded).zip(paces);
    let added = pairs.flat_map(|((w, rounded), &(pace, _))| {
        w.iter()
            .zip(rounded)
            .map(move |(w, rounded)| (rounded - w) / pace)
    });
    added.collect::<ndarray::Array1<f32>>().into_dyn()
}

/// The seed of all random streams of a training.
pub(super) fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
