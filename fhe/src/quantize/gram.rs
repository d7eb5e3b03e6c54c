//! How the summands of a sum vary together on the sample: what is lost by rounding its factors.

use ndarray::{Array1, Array2};

/// Sums of more summands than these are rounded one factor at a time.
const MOST: usize = 3000;

/// Moments of K summands x and of S samples, about their means.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    /// Samples, less their means: S by K.
    pub centred: Array2<f64>,
    /// The means.
    pub means: Array1<f64>,
    /// E\[x_i x_j\]; of large sums the diagonal alone, as a row.
    moments: Array2<f64>,
    /// What is added to the diagonal: factors are drawn to those of the float model, as far as the sample does not tell.
    ridge: f64,
}

impl Gram {
    /// Of samples by rows.
    pub(super) fn new(mut samples: Array2<f64>) -> Self {
        let (count, width) = samples.dim();
        let scale = 1.0 / count.max(1) as f64;
        let means = samples.sum_axis(ndarray::Axis(0)) * scale;
        for mut row in samples.rows_mut() {
            row -= &means;
        }
        let moments = if width <= MOST {
            samples.t().dot(&samples) * scale
        } else {
            let squares = samples.mapv(|x| x * x).sum_axis(ndarray::Axis(0)) * scale;
            squares.insert_axis(ndarray::Axis(0))
        };
        let mut gram = Self {
            centred: samples,
            means,
            moments,
            ridge: 0.0,
        };
        // More summands than samples leave much untold.
        let trace: f64 = (0..width).map(|k| gram.variance(k)).sum();
        let untold = (width as f64 / count.max(1) as f64).clamp(0.02, 1.0);
        gram.ridge = 0.2 * untold * trace / width.max(1) as f64;
        gram
    }

    /// How many summands.
    pub(super) fn len(&self) -> usize {
        self.means.len()
    }

    /// The variance of one.
    pub(super) fn variance(&self, k: usize) -> f64 {
        match self.whole() {
            true => self.moments[[k, k]],
            false => self.moments[[0, k]],
        }
    }

    fn whole(&self) -> bool {
        self.moments.nrows() == self.len()
    }

    /// An entry of the diagonal of H = E\[x xᵀ\] + ridge.
    pub(super) fn diagonal(&self, k: usize) -> f64 {
        self.variance(k) + self.ridge
    }

    /// Adds by · (column k of H) to a vector.
    pub(super) fn add_column(&self, k: usize, by: f64, to: &mut [f64]) {
        if self.whole() {
            let row = self.moments.row(k);
            to.iter_mut().zip(row).for_each(|(t, m)| *t += by * m);
        } else {
            to[k] += by * self.variance(k);
        }
        to[k] += by * self.ridge;
    }

    /// E\[x y\] + ridge · factors: what H · w is to be, for samples y.
    pub(super) fn wanted(&self, y: &Array1<f64>, factors: &[f64]) -> Vec<f64> {
        let scale = 1.0 / self.centred.nrows().max(1) as f64;
        let mut wanted = if self.whole() {
            self.centred.t().dot(y) * scale
        } else {
            let variances = (0..self.len()).map(|k| self.variance(k) * factors[k]);
            variances.collect()
        };
        for (w, factor) in wanted.iter_mut().zip(factors) {
            *w += self.ridge * factor;
        }
        wanted.to_vec()
    }

    /// Slope and intercept by which Σ w x is nearest to y; none where it does not vary.
    pub(super) fn line(&self, w: &[i32], y: &Array1<f64>) -> Option<(f64, f64)> {
        let w: Array1<f64> = w.iter().map(|&w| f64::from(w)).collect();
        let sums = self.centred.dot(&w);
        let (square, product) = (sums.dot(&sums), sums.dot(y));
        let slope = product / square;
        let mean = y.mean().unwrap_or(0.0);
        (slope.is_finite() && slope > 0.0).then(|| (slope, mean - slope * self.means.dot(&w)))
    }
}
