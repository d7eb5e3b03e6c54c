//! One step as a graph: the network without roundings at the point that its integers reached, its gradient, Adam.

use tacit_nn::{
    Edge, Graph, Loss, Optimizer, Result, gradients,
    network::{Parameter, pack, unpack},
    optimizer::{self, Step},
};

use super::{
    Recipe,
    network::{Periodic, Windows},
};

/// The loss is multiplied by this, which Adam divides out again, so that its ε of 2^-15 stays below small gradients.
const GAIN: f64 = 64.0;

/// The graph of a step for one batch size.
///
/// Inputs: the parameters as the optimizer carries them, its memory, its factors; what rounding adds to the parameters;
/// the batch and its classes, one-hot; phase, cosine and sine of each hidden layer; what rounding adds to the sums of each
/// layer of tables. Outputs: parameters and memory, and the summed loss of the batch.
pub(super) fn graph(
    network: &Periodic,
    recipe: &Recipe,
    optimizer: &Optimizer,
    tensors: &[Parameter],
    factors: usize,
) -> Result<Graph> {
    let rows = recipe.batch;
    let n = tensors.iter().map(|t| t.value.len()).sum();
    let mut g = Graph::new();
    let master = g.input(&[n]);
    let slots: Vec<Edge> = (0..optimizer.slots()).map(|_| g.input(&[n])).collect();
    let factors: Vec<Edge> = (0..factors).map(|_| g.input(&[1])).collect();
    let rounding = g.input(&[n]);
    let x = g.input(&[rows, network.len]);
    let y = g.input(&[rows, network.classes]);

    let carried = optimizer::parameters(&mut g, master)?;
    let learnt = unpack(&mut g, tensors, carried)?;
    let rounding = unpack(&mut g, tensors, rounding)?;
    let paces = network.paces(recipe);
    let mut weights = Vec::new();
    for ((&w, &rounding), &(pace, _)) in learnt.iter().zip(&rounding).zip(&paces) {
        let rounded = g.add(w, rounding)?;
        weights.push(g.scale(rounded, f64::from(pace))?);
    }

    let first = &network.hidden[0];
    let sums = windowed(&mut g, &first.windows, x, weights[0])?;
    let mut sums = biased(&mut g, sums, weights[1], rows)?;
    for ((waves, windows, _), layer) in network.tables().zip(weights[2..].chunks(3)) {
        let [phase, cos, sin] = [(); 3].map(|()| g.input(&[rows, waves.len()]));
        // cos z and sin z to first order in how far z is from where it is, which is nothing: the value is the input, the
        // derivative that of the sum.
        let moved = g.sub(sums, phase)?;
        let moved = g.scale(moved, f64::from(waves.step()))?;
        let (down, up) = (g.mul(moved, sin)?, g.mul(moved, cos)?);
        let (cos, sin) = (g.sub(cos, down)?, g.add(sin, up)?);
        let cosines = windowed(&mut g, &windows, cos, layer[0])?;
        let sines = windowed(&mut g, &windows, sin, layer[1])?;
        let both = g.add(cosines, sines)?;
        let smooth = biased(&mut g, both, layer[2], rows)?;
        let shape = g.shape(smooth)?.to_vec();
        let correction = g.input(&shape);
        sums = g.add(smooth, correction)?;
    }

    let losses = Loss::SoftmaxCrossEntropy.of_rows(&mut g, sums, y)?;
    let loss = g.sum(losses, 0)?;
    let mut total = g.scale(loss, 1.0 / rows as f64)?;
    let last = learnt.len() - 3;
    let magnitudes = g.abs(learnt[0])?;
    total = penalised(
        &mut g,
        total,
        magnitudes,
        recipe.sparsity * f64::from(paces[0].0),
    )?;
    for &amplitudes in &learnt[last..last + 2] {
        let squares = g.mul(amplitudes, amplitudes)?;
        total = penalised(&mut g, total, squares, recipe.decay)?;
    }
    let scaled = g.scale(total, GAIN * optimizer.loss_scale())?;
    let gradient = gradients(&mut g, scaled, &learnt)?;
    let gradient = pack(&mut g, tensors, &gradient)?;
    let step = Step {
        master,
        slots: &slots,
        factors: &factors,
    };
    let (master, slots) = optimizer.step(&mut g, &step, gradient)?;
    [master].into_iter().chain(slots).for_each(|x| g.output(x));
    g.output(loss);
    Ok(g)
}

/// The loss and what all entries of `penalties` add up to, times a factor.
fn penalised(g: &mut Graph, loss: Edge, penalties: Edge, factor: f64) -> Result<Edge> {
    if factor == 0.0 {
        return Ok(loss);
    }
    let sum = g.sum(penalties, 0)?;
    let sum = g.sum(sum, 1)?;
    let scaled = g.scale(sum, factor)?;
    g.add(loss, scaled)
}

/// Each window of each row of `x` by `weights` \[taps, sums\]: \[rows · positions, sums\].
fn windowed(g: &mut Graph, windows: &Windows, x: Edge, weights: Edge) -> Result<Edge> {
    let [rows, len] = [0, 1].map(|axis| g.shape(x).map_or(0, |shape| shape[axis]));
    let seen = if windows.is_whole(len) {
        x
    } else {
        let seen = g.gather(x, 1, &windows.index)?;
        g.reshape(seen, &[rows * windows.positions(), windows.taps])?
    };
    g.matmul(seen, weights)
}

/// With the bias of each sum, as \[rows, positions · sums\].
fn biased(g: &mut Graph, sums: Edge, bias: Edge, rows: usize) -> Result<Edge> {
    let sums = g.add(sums, bias)?;
    let all: usize = g.shape(sums)?.iter().product();
    g.reshape(sums, &[rows, all / rows])
}
