//! The multilayer perceptron: fully connected layers with relu between them.

use ndarray::{ArrayD, IxDyn};

use crate::{Edge, Graph, Result, spec::TrainSpec};

/// Widths of a multilayer perceptron.
///
/// A layer is one matrix \[in + 1, out\], the weights above and the bias in the last row, so that it takes one product,
/// \[x 1\]·W, and so does its gradient. All of them lie in one flat vector, so that an optimizer touches them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    widths: Vec<usize>,
}

impl Mlp {
    /// The network of a job.
    #[must_use]
    pub fn of(spec: &TrainSpec) -> Self {
        let outputs = if spec.classes == 2 { 1 } else { spec.classes };
        Self {
            widths: [&[spec.features], &spec.hidden[..], &[outputs]].concat(),
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

    /// The number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.layers().map(|(from, to)| (from + 1) * to).sum()
    }

    /// Initial parameters: weights uniform in ±√(6/in) before a relu (He), ±√(6/(in+out)) in the last layer (Glorot);
    /// biases 0.
    #[must_use]
    pub fn initial(&self, spec: &TrainSpec) -> ArrayD<f64> {
        let mut stream = spec.stream("initial weights");
        let last = self.widths.len() - 2;
        let mut flat = Vec::with_capacity(self.parameters());
        for (k, (from, to)) in self.layers().enumerate() {
            let fan = if k == last { from + to } else { from };
            let bound = (6.0 / fan as f64).sqrt();
            flat.extend((0..from * to).map(|_| bound * stream.symmetric()));
            flat.extend(std::iter::repeat_n(0.0, to));
        }
        ArrayD::from_shape_fn(IxDyn(&[flat.len()]), |i| flat[i[0]])
    }

    /// The layers in the flat vector of parameters.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where `flat` has another length.
    pub fn unpack(&self, g: &mut Graph, flat: Edge) -> Result<Vec<Edge>> {
        let mut start = 0;
        let mut layers = Vec::new();
        for (from, to) in self.layers() {
            let end = start + (from + 1) * to;
            let layer = g.slice(flat, 0, start..end)?;
            layers.push(g.reshape(layer, &[from + 1, to])?);
            start = end;
        }
        Ok(layers)
    }

    /// The flat vector of what `unpack` takes apart.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where a layer has another shape.
    pub fn pack(&self, g: &mut Graph, layers: &[Edge]) -> Result<Edge> {
        let mut flat = Vec::new();
        for (&layer, (from, to)) in layers.iter().zip(self.layers()) {
            flat.push(g.reshape(layer, &[(from + 1) * to])?);
        }
        g.concat(0, &flat)
    }

    /// The logits of each row of `x`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where `x` has other columns than the first layer.
    pub fn logits(&self, g: &mut Graph, x: Edge, layers: &[Edge]) -> Result<Edge> {
        let ones = g.fill(&[g.shape(x)?[0], 1], 1.0);
        let mut x = x;
        for (k, &layer) in layers.iter().enumerate() {
            let input = if k == 0 { x } else { g.relu(x)? };
            let input = g.concat(1, &[input, ones])?;
            x = g.matmul(input, layer)?;
        }
        Ok(x)
    }

    /// The cross-entropy of each row, \[rows, 1\].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where labels and logits differ in shape.
    pub fn loss(&self, g: &mut Graph, logits: Edge, y: Edge) -> Result<Edge> {
        if self.outputs() == 1 {
            g.sigmoid_cross_entropy(logits, y)
        } else {
            g.softmax_cross_entropy(logits, y)
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Plain, run, spec::tests::spec};

    #[test]
    fn layers_multiply_and_add_their_last_row() {
        let mlp = Mlp::of(&spec(2, 2, &[2]));
        assert_eq!((mlp.parameters(), mlp.outputs()), (9, 1));
        let mut g = Graph::new();
        let (x, flat) = (g.input(&[1, 2]), g.input(&[9]));
        let layers = mlp.unpack(&mut g, flat).unwrap();
        let logits = mlp.logits(&mut g, x, &layers).unwrap();
        let again = mlp.pack(&mut g, &layers).unwrap();
        g.output(logits);
        g.output(again);
        // h = relu([3, 1]·[[1, -1], [2, 0]] + [0.5, 1]) = [5.5, 0], z = 5.5·2 - 0·3 - 1.
        let flat = array![1.0f32, -1.0, 2.0, 0.0, 0.5, 1.0, 2.0, -3.0, -1.0].into_dyn();
        let out = run(
            &g,
            &mut Plain,
            &[array![[3.0f32, 1.0]].into_dyn(), flat.clone()],
        )
        .unwrap();
        assert_eq!((&out[0], &out[1]), (&array![[10.0f32]].into_dyn(), &flat));
    }

    #[test]
    fn initial_weights_keep_their_bounds_and_biases_are_zero() {
        let spec = spec(24, 3, &[6]);
        let flat = Mlp::of(&spec).initial(&spec);
        let part = |from: usize, to: usize| (from..to).map(|i| flat[i].abs()).fold(0.0, f64::max);
        assert_eq!(flat.len(), 25 * 6 + 7 * 3);
        assert!(part(0, 144) <= 0.5 && part(0, 144) > 0.45);
        assert_eq!((part(144, 150), part(168, 171)), (0.0, 0.0));
        assert!(part(150, 168) <= (6.0f64 / 9.0).sqrt() && part(150, 168) > 0.5);
    }
}
