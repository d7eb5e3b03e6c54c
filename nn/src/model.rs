//! The multilayer perceptron: fully connected layers with relu between them.

use ndarray::{ArrayD, IxDyn};

use crate::{Edge, Graph, Result, spec::TrainSpec};

/// Widths of a multilayer perceptron. Its parameters are one flat vector, layer by layer, weight before bias, so that an
/// optimizer touches them all in one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    widths: Vec<usize>,
}

/// The parameters of one layer in a graph: weight \[in, out\] and bias \[1, out\].
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// The matrix by which the input is multiplied from the right.
    pub weight: Edge,
    /// What is added to every row.
    pub bias: Edge,
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
    pub fn unpack(&self, g: &mut Graph, flat: Edge) -> Result<Vec<Layer>> {
        let mut start = 0;
        let mut take = |g: &mut Graph, rows: usize, columns: usize| {
            let end = start + rows * columns;
            let part = g.slice(flat, 0, start..end)?;
            start = end;
            g.reshape(part, &[rows, columns])
        };
        self.layers()
            .map(|(from, to)| {
                Ok(Layer {
                    weight: take(g, from, to)?,
                    bias: take(g, 1, to)?,
                })
            })
            .collect()
    }

    /// The flat vector of what `unpack` takes apart.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the parts do not belong to one graph.
    pub fn pack(&self, g: &mut Graph, parts: &[Edge]) -> Result<Edge> {
        let flat: Result<Vec<Edge>> = parts
            .iter()
            .map(|&part| {
                let n = g.shape(part)?.iter().product();
                g.reshape(part, &[n])
            })
            .collect();
        g.concat(0, &flat?)
    }

    /// The logits of each row of `x`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where `x` has other columns than the first layer.
    pub fn logits(&self, g: &mut Graph, x: Edge, layers: &[Layer]) -> Result<Edge> {
        let mut x = x;
        for (k, layer) in layers.iter().enumerate() {
            let input = if k == 0 { x } else { g.relu(x)? };
            let product = g.matmul(input, layer.weight)?;
            x = g.add(product, layer.bias)?;
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
