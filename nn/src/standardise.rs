//! Features to mean 0 and deviation 1, by statistics of the training rows that nobody sees.
//!
//! Features arrive in [-1, 1], so a variance is at most 1; a deviation of 2^-7 has a variance of 2^-14, which fixed point
//! with 18 bits would leave only four bits of. The variance is therefore carried times 2^8. Adding 2^-14 to it keeps
//! constant features finite: they become 0, up to rounding, and no feature is magnified more than 128-fold.

use crate::{Edge, Graph, Result, mean::RowMean};

/// The variance is carried times this, so that 1/√ of it is 1/(16·σ).
const VARIANCE_SCALE: f64 = 256.0;
/// √[`VARIANCE_SCALE`].
const DEVIATION_SCALE: i64 = 16;
/// Added to every variance.
const LEAST_VARIANCE: f64 = 1.0 / 16384.0;

/// Statistics of a set of rows, in a graph.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// The mean µ of each feature, \[1, features\].
    pub mean: Edge,
    /// 1/σ of each feature, \[1, features\].
    pub inverse_deviation: Edge,
    /// How sums over the rows become means.
    pub rows: RowMean,
}

impl Statistics {
    /// Statistics of the rows of `x`, each counted as often as its weight (0 or 1) says.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where there are not as many weights as rows.
    pub fn of(g: &mut Graph, x: Edge, weights: Option<Edge>) -> Result<Self> {
        let rows = RowMean::new(g, g.shape(x)?[0], weights)?;
        let weigh = |g: &mut Graph, v: Edge| weights.map_or(Ok(v), |w| g.mul(v, w));
        let mean_of = |g: &mut Graph, weighted: Edge| {
            let sum = g.sum(weighted, 0)?;
            rows.of_sum(g, sum)
        };
        let weighted = weigh(g, x)?;
        let mut mean = mean_of(g, weighted)?;
        if weights.is_some() {
            // A secret divisor has an error that a second pass takes out of the mean: what is left to average is small.
            let rest = g.sub(x, mean)?;
            let rest = weigh(g, rest)?;
            let rest = mean_of(g, rest)?;
            mean = g.add(mean, rest)?;
        }
        let centred = g.sub(x, mean)?;
        let weighted = weigh(g, centred)?;
        let square = g.mul(weighted, centred)?;
        let square = g.scale(square, VARIANCE_SCALE)?;
        let variance = mean_of(g, square)?;
        let variance = g.linear(&[(1, variance)], VARIANCE_SCALE * LEAST_VARIANCE)?;
        let inverse = g.rsqrt(variance, 1.0 / DEVIATION_SCALE as f64)?;
        let inverse_deviation = g.linear(&[(DEVIATION_SCALE, inverse)], 0.0)?;
        Ok(Self {
            mean,
            inverse_deviation,
            rows,
        })
    }

    /// (x - µ)/σ.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where `x` has other features.
    pub fn standardise(&self, g: &mut Graph, x: Edge) -> Result<Edge> {
        let centred = g.sub(x, self.mean)?;
        g.mul(centred, self.inverse_deviation)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, Axis, s};

    use super::*;
    use crate::{Engine, Ring, random::Stream, run};

    /// Features of deviation about 1/2, 2^-4, 2^-7 and 0, around means that fixed point does not represent.
    fn rows(n: usize) -> Array2<f64> {
        let mut stream = Stream::new(&[3; 32], "rows");
        let widths = [1.0, 0.1, 0.0135, 0.0];
        let centres = [0.0, 0.7, -0.3, 1.0];
        Array2::from_shape_fn((n, 4), |(_, j)| {
            (centres[j] + widths[j] * stream.symmetric()).clamp(-1.0, 1.0)
        })
    }

    fn on_ring(x: &Array2<f64>, weights: Option<&Array2<f64>>) -> Array2<f64> {
        let mut e = Ring::new(18);
        let mut g = Graph::new();
        let input = g.input(x.shape());
        let w = weights.map(|w| g.input(w.shape()));
        let statistics = Statistics::of(&mut g, input, w).unwrap();
        let y = statistics.standardise(&mut g, input).unwrap();
        g.output(y);
        let mut inputs = vec![e.public(&x.clone().into_dyn()).unwrap()];
        inputs.extend(weights.map(|w| e.public(&w.clone().into_dyn()).unwrap()));
        let y = run(&g, &mut e, &inputs).unwrap().remove(0);
        e.decode(&y).into_dimensionality().unwrap()
    }

    fn exact(x: &Array2<f64>, of: &Array2<f64>) -> Array2<f64> {
        let mean = of.mean_axis(Axis(0)).unwrap();
        let sigma: Array1<f64> = of
            .var_axis(Axis(0), 0.0)
            .mapv(|v| (v + LEAST_VARIANCE).sqrt());
        (x - &mean) / &sigma
    }

    fn assert_close(got: &Array2<f64>, want: &Array2<f64>) {
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 2f64.powi(-8), "{got} against {want}");
        }
    }

    #[test]
    fn small_deviations_keep_their_bits_and_constants_become_zero() {
        for n in [7, 32, 426] {
            let x = rows(n);
            let y = on_ring(&x, None);
            assert_close(&y, &exact(&x, &x));
            assert!(
                y.column(3).iter().all(|v| v.abs() < 2f64.powi(-9)),
                "{}",
                y.column(3)
            );
        }
    }

    #[test]
    fn rows_of_weight_zero_do_not_count() {
        for real in [7, 150, 400] {
            let mut x = rows(426);
            x.slice_mut(s![real.., ..]).fill(0.0);
            let weights = Array2::from_shape_fn((426, 1), |(i, _)| f64::from(u8::from(i < real)));
            let y = on_ring(&x, Some(&weights));
            let want = exact(&x, &x.slice(s![..real, ..]).to_owned());
            assert_close(
                &y.slice(s![..real, ..]).to_owned(),
                &want.slice(s![..real, ..]).to_owned(),
            );
        }
    }
}
