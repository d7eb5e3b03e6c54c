//! Whole graphs: random ones, and a step of training.

use ndarray::ArrayD;
use tacit_mpc::prss::expand_seed;
use tacit_nn::{Clear, Engine, Graph, Ring, run};

use super::random::{inputs, random};
use super::{F, Shares, World, opened, reals};

/// A graph of these words on shares is what it is in the ring, up to the units that its roundings allow.
///
/// # Errors
/// The first entry that is not.
pub fn random_graph(
    world: &impl World,
    words: &[(u8, usize, usize)],
    exact: bool,
    values: &[f64],
) -> Result<(), String> {
    let ((g, known), inputs) = (random(words, exact), inputs(values));
    let mut ring = Ring::new(F);
    let encoded: Vec<_> = inputs.iter().map(|x| ring.encode(x).unwrap()).collect();
    let want = run(&g, &mut ring, &encoded).unwrap();
    let got = opened(world, &inputs, |e, v| {
        if exact {
            e.round_exactly((0..g.len()).collect());
        }
        run(&g, e, v)
    });
    for ((got, want), k) in got.iter().zip(&want).zip(&known) {
        for (got, want) in got.iter().zip(&ring.decode(want)) {
            let units = (got - want).abs() * 2f64.powi(F as i32);
            if units > k.units {
                let (x, most) = (k.x, k.units);
                return Err(format!(
                    "node {x:?}: {got} instead of {want}, {units} units of {most}"
                ));
            }
        }
    }
    Ok(())
}

/// Graphs of up to twelve words, exactly rounded or not, from fixed seeds.
pub fn step_12_random_graphs_are_what_they_are_in_the_ring(world: &impl World) {
    for seed in 0..8u8 {
        let drawn: Vec<usize> = expand_seed(&[seed; 16], 60)
            .iter()
            .map(|word| word.0 as usize >> 8)
            .collect();
        let words = drawn[..36].chunks_exact(3);
        let words: Vec<_> = words.map(|w| ((w[0] % 17) as u8, w[1], w[2])).collect();
        let values = drawn[36..54].iter();
        let values: Vec<_> = values
            .map(|&v| (v % 16_000) as f64 / 1000.0 - 8.0)
            .collect();
        let done = random_graph(world, &words, seed % 2 == 1, &values);
        assert_eq!(done, Ok(()), "seed {seed}");
    }
}

/// A small training step with every kind of gate: products, matrix products, truncation, comparison, selection, exponential,
/// tables. Its inputs are \[6, 4\], \[6, 1\] and \[4, 1\]; its outputs the new weights and the predictions.
#[must_use]
pub fn training_step() -> Graph {
    let mut g = Graph::new();
    let x = g.input(&[6, 4]);
    let y = g.input(&[6, 1]);
    let w = g.input(&[4, 1]);
    let h = g.matmul(x, w).unwrap();
    let r = g.relu(h).unwrap();
    let p = g.sigmoid(h).unwrap();
    let e = g.sub(p, y).unwrap();
    let d = g.mul(e, r).unwrap();
    let xt = g.transpose(x).unwrap();
    let grad = g.matmul(xt, d).unwrap();
    let step = g.scale(grad, 0.1).unwrap();
    let w2 = g.sub(w, step).unwrap();
    g.output(w2);
    g.output(p);
    g
}

/// The step of [`training_step`], twice in one session.
pub fn step_13_a_training_step_is_that_of_plaintext(world: &impl World) {
    let g = training_step();
    let shapes: [&[usize]; 3] = [&[6, 4], &[6, 1], &[4, 1]];
    let inputs: Vec<ArrayD<f64>> = (3..).zip(shapes).map(|(k, s)| reals(s, k)).collect();
    let mut clear: Vec<_> = inputs.iter().map(|x| Clear.public(x).unwrap()).collect();
    let once = run(&g, &mut Clear, &clear).unwrap();
    clear[2] = once[0].clone();
    let twice = run(&g, &mut Clear, &clear).unwrap();
    let got = opened(world, &inputs, |e, v| {
        let once = run(&g, e, v)?;
        run(&g, e, &[v[0].clone(), v[1].clone(), once[0].clone()])
    });
    for (got, want) in got.iter().zip(&twice) {
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-3, "{got} instead of {want}");
        }
    }
}
