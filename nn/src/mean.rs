//! Means over rows of which some may not count.

use crate::{Edge, Graph, Result};

/// Turns sums over the rows that count into means.
///
/// Where padding hides how many rows are real, each row has a secret weight of 0 or 1, and the divisor is secret as well.
#[derive(Clone, Copy, Debug)]
pub struct RowMean {
    /// All rows, padding included.
    pub rows: usize,
    /// 2^k/Σw, \[1, 1\], for the least 2^k that is at least `rows`; `None` where every row counts.
    pub inverse_weight: Option<Edge>,
}

impl RowMean {
    /// For rows with these weights. At least one in 2^12 must be 1, and there may be 2^18 rows.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the weights are not a column.
    pub fn new(g: &mut Graph, rows: usize, weights: Option<Edge>) -> Result<Self> {
        let inverse = |w: Edge| {
            let sum = g.sum(w, 0)?;
            let part = g.scale(sum, 2f64.powi(-log2_ceil(rows)))?;
            g.reciprocal(part)
        };
        Ok(Self {
            rows,
            inverse_weight: weights.map(inverse).transpose()?,
        })
    }

    /// sum/(number of rows that count).
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where `sum` has no shape that \[1, 1\] broadcasts to.
    pub fn of_sum(&self, g: &mut Graph, sum: Edge) -> Result<Edge> {
        match self.inverse_weight {
            None => g.divide(sum, self.rows),
            Some(inverse) => {
                let product = g.mul(sum, inverse)?;
                g.scale(product, 2f64.powi(-log2_ceil(self.rows)))
            }
        }
    }
}

/// The least k with n <= 2^k.
fn log2_ceil(n: usize) -> i32 {
    n.max(1).next_power_of_two().ilog2() as i32
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::*;
    use crate::{Engine, Ring, run};

    fn mean(rows: usize, real: usize, weighted: bool) -> f64 {
        let mut e = Ring::new(18);
        let mut g = Graph::new();
        let w = g.input(&[rows, 1]);
        let mean = RowMean::new(&mut g, rows, weighted.then_some(w)).unwrap();
        let ones = g.linear(&[(3, w)], 0.0).unwrap();
        let sum = g.sum(ones, 0).unwrap();
        let y = mean.of_sum(&mut g, sum).unwrap();
        g.output(y);
        let w = ArrayD::from_shape_fn(IxDyn(&[rows, 1]), |i| f64::from(u8::from(i[0] < real)));
        let w = e.public(&w).unwrap();
        let y = run(&g, &mut e, &[w]).unwrap().remove(0);
        e.decode(&y)[[0, 0]]
    }

    #[test]
    fn secret_divisors_are_as_good_as_public_ones() {
        for (rows, real) in [
            (1, 1),
            (2, 1),
            (426, 426),
            (426, 425),
            (426, 3),
            (10_000, 9_000),
            (4_096, 1),
        ] {
            let weighted = mean(rows, real, true);
            assert!(
                (weighted - 3.0).abs() < 2f64.powi(-11),
                "{real} of {rows}: {weighted}"
            );
            let public = mean(rows, real, false);
            assert!(
                (public - 3.0 * real as f64 / rows as f64).abs() < 2f64.powi(-16),
                "{real} of {rows}: {public}"
            );
        }
    }
}
