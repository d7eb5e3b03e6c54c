//! What a training needs of a network, whatever it is made of.

use ndarray::ArrayD;

use crate::{Edge, Graph, Result};

/// A tensor that a network comes with.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value before the training.
    pub value: ArrayD<f64>,
}

/// A network on rows of features, as nodes of a graph.
///
/// A multilayer perceptron is one, a model file another. Which of its tensors are trained is the network's own business: it
/// names them as parameters, and what stays as it is lies in its graph as constants.
pub trait Network {
    /// The tensors that are trained, in the order in which [`Pass::parameters`] holds them.
    ///
    /// # Errors
    /// Whatever keeps the network from being built.
    fn parameters(&self) -> Result<Vec<Parameter>>;

    /// The tensors that a pass in training replaces without a gradient (running statistics), in the order of
    /// [`Pass::state`].
    ///
    /// # Errors
    /// As for [`Self::parameters`].
    fn state(&self) -> Result<Vec<Parameter>> {
        Ok(Vec::new())
    }

    /// Appends the network to the graph.
    ///
    /// # Errors
    /// Whatever keeps it from being built for this many rows.
    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied>;
}

/// What a network is applied to.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// \[rows, features\].
    pub x: Edge,
    /// In the shapes of [`Network::parameters`].
    pub parameters: &'a [Edge],
    /// In the shapes of [`Network::state`].
    pub state: &'a [Edge],
    /// Whether this is a step of a training: statistics are those of the rows, and entries are dropped.
    pub training: bool,
}

/// What it gives.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Logits or numbers, \[rows, outputs\].
    pub outputs: Edge,
    /// The next state; as many as there are in [`Pass::state`], in training.
    pub state: Vec<Edge>,
    /// What the inputs are that the network added to the graph, in this order.
    pub masks: Vec<Mask>,
}

/// A public tensor of zeros and ones, drawn anew for every step.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// Its shape.
    pub shape: Vec<usize>,
    /// The probability of a one.
    pub keep: f64,
}

/// Number of entries of each tensor, as they follow each other in a flat vector.
#[must_use]
pub fn lengths(tensors: &[Parameter]) -> Vec<usize> {
    tensors.iter().map(|tensor| tensor.value.len()).collect()
}

/// All tensors in one vector.
#[must_use]
pub fn flat(tensors: &[Parameter]) -> ArrayD<f64> {
    let entries = tensors
        .iter()
        .flat_map(|tensor| tensor.value.iter().copied());
    ndarray::Array1::from_iter(entries).into_dyn()
}

/// The tensors in the flat vector `from`.
///
/// # Errors
/// [`crate::Error::Shape`] where it has another length.
pub fn unpack(g: &mut Graph, tensors: &[Parameter], from: Edge) -> Result<Vec<Edge>> {
    let mut start = 0;
    tensors
        .iter()
        .zip(lengths(tensors))
        .map(|(tensor, length)| {
            let part = g.slice(from, 0, start..start + length)?;
            start += length;
            g.reshape(part, tensor.value.shape())
        })
        .collect()
}

/// The flat vector of what [`unpack`] takes apart.
///
/// # Errors
/// [`crate::Error::Shape`] where a part has another number of entries.
pub fn pack(g: &mut Graph, tensors: &[Parameter], parts: &[Edge]) -> Result<Edge> {
    let flat = parts
        .iter()
        .zip(lengths(tensors))
        .map(|(&part, length)| g.reshape(part, &[length]))
        .collect::<Result<Vec<_>>>()?;
    g.concat(0, &flat)
}
