//! A batch through a network: by its integers, or without roundings.

use ndarray::{Array2, ArrayView2, Axis};

use super::{
    Recipe,
    network::{Periodic, Waves, Windows},
};

/// What a step needs to know of a batch.
pub(super) struct Pass {
    /// Of each hidden layer.
    pub(super) waves: Vec<Wave>,
    /// Of each layer of tables, what its rounded tables say beyond the smooth ones; none without roundings.
    pub(super) corrections: Vec<Option<Array2<f32>>>,
}

/// The values of a hidden layer, \[rows, values\].
pub(super) struct Wave {
    pub(super) phase: Array2<f32>,
    pub(super) cos: Array2<f32>,
    pub(super) sin: Array2<f32>,
}

/// The rounded tables of a layer, \[tap, entry, sum\], in steps.
pub(super) struct Tables {
    pub(super) half: usize,
    pub(super) sums: usize,
    pub(super) entries: Vec<i32>,
}

impl Tables {
    /// round(resolution · (c cos + s sin)) cut to ± `limit`.
    pub(super) fn of(
        waves: &Waves,
        cos: &Array2<f32>,
        sin: &Array2<f32>,
        resolution: f32,
        limit: i32,
    ) -> Self {
        let (half, sums) = (waves.half(), cos.ncols());
        let limit = limit as f32;
        let mut entries = Vec::with_capacity(cos.len() * half);
        for (cos, sin) in cos.rows().into_iter().zip(sin.rows()) {
            for a in 0..half {
                let (s, c) = (a as f32 * waves.step()).sin_cos();
                let entry = |(&x, &y): (&f32, &f32)| {
                    let entry = (resolution * (x * c + y * s)).round();
                    entry.clamp(-limit, limit) as i32
                };
                entries.extend(cos.iter().zip(sin).map(entry));
            }
        }
        Self {
            half,
            sums,
            entries,
        }
    }

    /// Of all tables of a network.
    pub(super) fn all(network: &Periodic, recipe: &Recipe, weights: &[Array2<f32>]) -> Vec<Self> {
        let layers = network.tables().zip(weights[2..].chunks(3)).enumerate();
        let of =
            |(k, ((waves, ..), layer)): (usize, ((&Waves, Windows, usize), &[Array2<f32>]))| {
                let (resolution, limit) = match network.hidden.get(k + 1) {
                    Some(next) => (1.0, next.half() as i32),
                    None => (recipe.resolution, recipe.limit),
                };
                Self::of(waves, &layer[0], &layer[1], resolution, limit)
            };
        layers.map(of).collect()
    }

    /// The table of an edge.
    pub(super) fn table(&self, tap: usize, sum: usize) -> Vec<i32> {
        let at = |a: usize| self.entries[(tap * self.half + a) * self.sums + sum];
        (0..self.half).map(at).collect()
    }

    /// Their sums for integer phases, in steps, \[rows, positions · sums\].
    fn look_up(&self, windows: &Windows, phase: &Array2<f32>) -> Array2<f32> {
        let period = 2 * self.half as i64;
        let at = phase.mapv(|z| (z.round() as i64).rem_euclid(period) as usize);
        let mut out = Array2::zeros((phase.nrows(), windows.positions() * self.sums));
        for (values, mut out) in at.rows().into_iter().zip(out.rows_mut()) {
            let out = out.as_slice_mut().unwrap_or_default();
            let seen = windows.index.chunks(windows.taps);
            for (seen, out) in seen.zip(out.chunks_exact_mut(self.sums)) {
                for (tap, &from) in seen.iter().enumerate() {
                    let a = values[from];
                    let (a, sign) = if a < self.half {
                        (a, 1.0)
                    } else {
                        (a - self.half, -1.0)
                    };
                    let entries = &self.entries[(tap * self.half + a) * self.sums..][..self.sums];
                    for (out, &entry) in out.iter_mut().zip(entries) {
                        *out += sign * entry as f32;
                    }
                }
            }
        }
        out
    }
}

impl Pass {
    /// The batch `x` \[rows, features\] with these weights; by rounded tables where there are some.
    pub(super) fn of(
        network: &Periodic,
        weights: &[Array2<f32>],
        tables: Option<(&[Tables], f32)>,
        x: &Array2<f32>,
    ) -> Self {
        let first = &network.hidden[0];
        let mut sums = windowed(&first.windows, x, &weights[0], &weights[1]);
        let (mut waves, mut corrections) = (Vec::new(), Vec::new());
        let layers = network.tables().zip(weights[2..].chunks(3)).enumerate();
        for (k, ((hidden, windows, _), layer)) in layers {
            let angle = &sums * hidden.step();
            let wave = Wave {
                cos: angle.mapv(f32::cos),
                sin: angle.mapv(f32::sin),
                phase: sums,
            };
            sums = windowed(&windows, &wave.cos, &layer[0], &layer[2]);
            let none = Array2::zeros((1, layer[1].ncols()));
            sums += &windowed(&windows, &wave.sin, &layer[1], &none);
            corrections.push(tables.map(|(tables, resolution)| {
                let resolution = if k + 1 < network.hidden.len() {
                    1.0
                } else {
                    resolution
                };
                let mut said = tables[k].look_up(&windows, &wave.phase) / resolution;
                add_bias(&mut said, &layer[2]);
                let correction = &said - &sums;
                sums = said;
                correction
            }));
            waves.push(wave);
        }
        Self { waves, corrections }
    }
}

/// Each window of each row of `x` by `weights` \[taps, sums\]: \[rows, positions · sums\].
fn windowed(
    windows: &Windows,
    x: &Array2<f32>,
    weights: &Array2<f32>,
    bias: &Array2<f32>,
) -> Array2<f32> {
    let mut sums = if windows.is_whole(x.ncols()) {
        x.dot(weights)
    } else {
        let seen = x.select(Axis(1), &windows.index);
        let rows = x.nrows() * windows.positions();
        let seen = seen.as_standard_layout();
        let seen =
            ArrayView2::from_shape((rows, windows.taps), seen.as_slice().unwrap_or_default());
        let sums = seen.map(|seen| seen.dot(weights)).unwrap_or_default();
        let columns = windows.positions() * weights.ncols();
        sums.into_shape_with_order((x.nrows(), columns))
            .unwrap_or_default()
    };
    add_bias(&mut sums, bias);
    sums
}

/// Adds a bias \[1, sums\] to every position.
fn add_bias(sums: &mut Array2<f32>, bias: &Array2<f32>) {
    for mut row in sums.rows_mut() {
        for (sum, &bias) in row.iter_mut().zip(bias.iter().cycle()) {
            *sum += bias;
        }
    }
}
