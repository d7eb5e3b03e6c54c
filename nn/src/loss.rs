//! What a training makes small, one number a row.

use crate::{Edge, Error, Graph, Result};

/// How far the outputs of a network \[rows, outputs\] are from their targets of the same shape. With several outputs the
/// losses of a row are averaged, except for the softmax, whose outputs are one distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// -Σ yᵢ·ln softmax(z)ᵢ for logits z and a one-hot y.
    SoftmaxCrossEntropy,
    /// -y·ln σ(z) - (1-y)·ln(1-σ(z)) for a logit z and y in {0, 1}.
    SigmoidCrossEntropy,
    /// (z - y)².
    MeanSquared,
    /// |z - y|.
    Absolute,
    /// (z - y)²/2 where that is at most `delta` away, δ·(|z - y| - δ/2) beyond (Huber).
    Huber {
        /// Where the square becomes a line.
        delta: f64,
    },
}

impl Loss {
    /// The cross-entropy for labels of this many classes: of a sigmoid for two, of a softmax for more.
    #[must_use]
    pub fn of_classes(classes: usize) -> Self {
        if classes == 2 {
            Self::SigmoidCrossEntropy
        } else {
            Self::SoftmaxCrossEntropy
        }
    }

    /// Whether its targets are classes, and its outputs logits.
    #[must_use]
    pub fn classifies(self) -> bool {
        matches!(self, Self::SoftmaxCrossEntropy | Self::SigmoidCrossEntropy)
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a δ that fixed point cannot hold.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Huber { delta } if !(1e-3..=1e6).contains(&delta) => {
                Err(Error::Invalid("delta must lie in [0.001, 1000000]".into()))
            }
            _ => Ok(()),
        }
    }

    /// The loss of each row, \[rows, 1\].
    ///
    /// # Errors
    /// [`Error::Shape`] where outputs and targets are not two axes of one shape.
    pub fn of_rows(self, g: &mut Graph, outputs: Edge, targets: Edge) -> Result<Edge> {
        let (left, right) = (g.shape(outputs)?.to_vec(), g.shape(targets)?.to_vec());
        let &[_, columns] = &left[..] else {
            return Err(misfit(left, right));
        };
        if left != right {
            return Err(misfit(left, right));
        }
        let each = match self {
            Self::SoftmaxCrossEntropy => return g.softmax_cross_entropy(outputs, targets),
            Self::SigmoidCrossEntropy => g.sigmoid_cross_entropy(outputs, targets)?,
            Self::MeanSquared => {
                let apart = g.sub(outputs, targets)?;
                g.mul(apart, apart)?
            }
            Self::Absolute => {
                // |d| = 2·relu(d) - d.
                let apart = g.sub(outputs, targets)?;
                let above = g.relu(apart)?;
                g.linear(&[(2, above), (-1, apart)], 0.0)?
            }
            Self::Huber { delta } => {
                // With c = d clipped to [-δ, δ]: c·(d - c/2), whose derivative is c.
                let apart = g.sub(outputs, targets)?;
                let raised = g.linear(&[(1, apart)], delta)?;
                let low = g.relu(raised)?;
                let lowered = g.linear(&[(1, apart)], -delta)?;
                let high = g.relu(lowered)?;
                let clipped = g.linear(&[(1, low), (-1, high)], -delta)?;
                let rest = g.linear(&[(2, apart), (-1, clipped)], 0.0)?;
                let twice = g.mul(clipped, rest)?;
                g.scale(twice, 0.5)?
            }
        };
        if columns == 1 {
            Ok(each)
        } else {
            let sum = g.sum(each, 1)?;
            g.divide(sum, columns)
        }
    }
}

fn misfit(left: Vec<usize>, right: Vec<usize>) -> Error {
    Error::Shape {
        op: "loss",
        left,
        right,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;
    use crate::{Engine, Ring, gradients, run};

    /// Losses and the gradient of their sum by the outputs, on the ring.
    fn on_ring(loss: Loss, z: &Array2<f64>, y: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
        let mut g = Graph::new();
        let (zs, ys) = (g.input(z.shape()), g.input(y.shape()));
        let rows = loss.of_rows(&mut g, zs, ys).unwrap();
        assert_eq!(g.shape(rows).unwrap(), [z.nrows(), 1]);
        let sum = g.sum(rows, 0).unwrap();
        let dz = gradients(&mut g, sum, &[zs]).unwrap()[0];
        g.output(rows);
        g.output(dz);
        let mut e = Ring::new(18);
        let inputs = [z, y].map(|x| e.public(&x.clone().into_dyn()).unwrap());
        let out = run(&g, &mut e, &inputs).unwrap();
        let two = |k: usize| e.decode(&out[k]).into_dimensionality().unwrap();
        (two(0), two(1))
    }

    /// The definition for one row, in double precision.
    fn direct(loss: Loss, z: &[f64], y: &[f64]) -> f64 {
        let pairs = || z.iter().zip(y).map(|(&z, &y)| (z, y));
        let n = z.len() as f64;
        match loss {
            Loss::SoftmaxCrossEntropy => {
                let sum: f64 = z.iter().map(|z| z.exp()).sum();
                pairs().map(|(z, y)| -y * (z.exp() / sum).ln()).sum()
            }
            Loss::SigmoidCrossEntropy => {
                let p = |z: f64| 1.0 / (1.0 + (-z).exp());
                let each = |(z, y): (f64, f64)| -y * p(z).ln() - (1.0 - y) * (1.0 - p(z)).ln();
                pairs().map(each).sum::<f64>() / n
            }
            Loss::MeanSquared => pairs().map(|(z, y)| (z - y).powi(2)).sum::<f64>() / n,
            Loss::Absolute => pairs().map(|(z, y)| (z - y).abs()).sum::<f64>() / n,
            Loss::Huber { delta } => {
                let each = |(z, y): (f64, f64)| match (z - y).abs() {
                    d if d <= delta => d * d / 2.0,
                    d => delta * (d - delta / 2.0),
                };
                pairs().map(each).sum::<f64>() / n
            }
        }
    }

    #[test]
    fn losses_and_gradients_are_those_of_the_definitions() {
        let z = array![[0.3, -1.2, 2.0], [-4.0, 0.1, 0.2], [3.0, -2.5, 1.0]];
        let classes = array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        let numbers = array![[0.0, 1.0, -1.0], [3.5, 0.1625, 7.0], [2.9, -2.0, -1.5]];
        let (h, losses) = (
            1e-5,
            [
                Loss::SoftmaxCrossEntropy,
                Loss::SigmoidCrossEntropy,
                Loss::MeanSquared,
                Loss::Absolute,
                Loss::Huber { delta: 1.5 },
            ],
        );
        for loss in losses {
            let y = if loss.classifies() {
                &classes
            } else {
                &numbers
            };
            let (rows, dz) = on_ring(loss, &z, y);
            for i in 0..z.nrows() {
                let (mut point, y) = (z.row(i).to_vec(), y.row(i).to_vec());
                let want = direct(loss, &point, &y);
                let got = rows[[i, 0]];
                assert!(
                    (got - want).abs() < 1e-4,
                    "{loss:?} row {i}: {got} not {want}"
                );
                for j in 0..point.len() {
                    let at = point[j];
                    let mut side = |x: f64| {
                        point[j] = x;
                        direct(loss, &point, &y)
                    };
                    let slope = (side(at + h) - side(at - h)) / (2.0 * h);
                    point[j] = at;
                    let got = dz[[i, j]];
                    assert!(
                        (got - slope).abs() < 1e-4 * (1.0 + 3.0 * slope.abs()),
                        "{loss:?} at {i},{j}: slope {got} not {slope}"
                    );
                }
            }
        }
    }

    #[test]
    fn misfits_are_refused() {
        let mut g = Graph::new();
        let (z, y, flat) = (g.input(&[4, 2]), g.input(&[4, 1]), g.input(&[4]));
        for (z, y) in [(z, y), (flat, flat)] {
            let refused = Loss::MeanSquared.of_rows(&mut g, z, y);
            assert!(matches!(refused, Err(Error::Shape { op: "loss", .. })));
        }
        assert!(Loss::Huber { delta: 0.0 }.validate().is_err());
        assert!(Loss::Huber { delta: f64::NAN }.validate().is_err());
        Loss::Huber { delta: 1.0 }.validate().unwrap();
    }
}
