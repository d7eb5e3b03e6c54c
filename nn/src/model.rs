//! The multilayer perceptron: fully connected layers with relu between them.

use ndarray::Array2;

use crate::{
    Graph, Result,
    network::{Applied, Network, Parameter, Pass},
    random::Stream,
    spec::TrainSpec,
};

/// Widths of a multilayer perceptron, and the seed of its initial weights.
///
/// A layer is one matrix \[in + 1, out\], the weights above and the bias in the last row, so that it takes one product,
/// \[x 1\]·W, and so does its gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    widths: Vec<usize>,
    seed: [u8; 32],
}

impl Mlp {
    /// The network of a job.
    #[must_use]
    pub fn of(spec: &TrainSpec) -> Self {
        let outputs = if spec.classes == 2 { 1 } else { spec.classes };
        Self {
            widths: [&[spec.features], &spec.hidden[..], &[outputs]].concat(),
            seed: spec.recipe.seed,
        }
    }

    /// The number of logits.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// (inputs, outputs) of each layer.
    pub fn layers(&self) -> impl Iterator<Item = (usize, usize)> {
        self.widths.windows(2).map(|w| (w[0], w[1]))
    }
}

impl Network for Mlp {
    /// `layer0`, `layer1`, …: weights uniform in ±√(6/in) before a relu (He), ±√(6/(in+out)) in the last layer (Glorot);
    /// biases 0.
    fn parameters(&self) -> Result<Vec<Parameter>> {
        let mut stream = Stream::new(&self.seed, "initial weights");
        let last = self.widths.len() - 2;
        Ok(self
            .layers()
            .enumerate()
            .map(|(k, (from, to))| {
                let fan = if k == last { from + to } else { from };
                let bound = (6.0 / fan as f64).sqrt();
                let mut weights = Array2::zeros((from + 1, to));
                for v in weights.iter_mut().take(from * to) {
                    *v = bound * stream.symmetric();
                }
                Parameter {
                    name: format!("layer{k}"),
                    value: weights.into_dyn(),
                }
            })
            .collect())
    }

    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied> {
        let mut x = pass.x;
        let ones = g.fill(&[g.shape(x)?[0], 1], 1.0);
        for (k, &layer) in pass.parameters.iter().enumerate() {
            let input = if k == 0 { x } else { g.relu(x)? };
            let input = g.concat(1, &[input, ones])?;
            x = g.matmul(input, layer)?;
        }
        Ok(Applied {
            outputs: x,
            state: vec![],
            masks: vec![],
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{
        Plain,
        network::{flat, pack, unpack},
        run,
        spec::tests::spec,
    };

    #[test]
    fn layers_multiply_and_add_their_last_row() {
        let mlp = Mlp::of(&spec(2, 2, &[2]));
        let layers = mlp.parameters().unwrap();
        assert_eq!((flat(&layers).len(), mlp.outputs()), (9, 1));
        let mut g = Graph::new();
        let (x, all) = (g.input(&[1, 2]), g.input(&[9]));
        let parts = unpack(&mut g, &layers, all).unwrap();
        let pass = Pass {
            x,
            parameters: &parts,
            state: &[],
            training: true,
        };
        let logits = mlp.apply(&mut g, &pass).unwrap().outputs;
        let again = pack(&mut g, &layers, &parts).unwrap();
        g.output(logits);
        g.output(again);
        // h = relu([3, 1]·[[1, -1], [2, 0]] + [0.5, 1]) = [5.5, 0], z = 5.5·2 - 0·3 - 1.
        let all = array![1.0f32, -1.0, 2.0, 0.0, 0.5, 1.0, 2.0, -3.0, -1.0].into_dyn();
        let inputs = [array![[3.0f32, 1.0]].into_dyn(), all.clone()];
        let out = run(&g, &mut Plain, &inputs).unwrap();
        assert_eq!((&out[0], &out[1]), (&array![[10.0f32]].into_dyn(), &all));
    }

    #[test]
    fn initial_weights_keep_their_bounds_and_biases_are_zero() {
        let flat = flat(&Mlp::of(&spec(24, 3, &[6])).parameters().unwrap());
        let part = |from: usize, to: usize| (from..to).map(|i| flat[i].abs()).fold(0.0, f64::max);
        assert_eq!(flat.len(), 25 * 6 + 7 * 3);
        assert!(part(0, 144) <= 0.5 && part(0, 144) > 0.45);
        assert_eq!((part(144, 150), part(168, 171)), (0.0, 0.0));
        assert!(part(150, 168) <= (6.0f64 / 9.0).sqrt() && part(150, 168) > 0.5);
    }
}
