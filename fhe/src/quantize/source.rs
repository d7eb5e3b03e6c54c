//! A float model, read.

use ndarray::{Array2, ArrayD, Axis, IxDyn};
use tacit_nn::onnx::{Feed, Lowered, Model, Options};
use tacit_nn::{Clear, Edge, Graph, run};

use super::network::Network;
use super::{QuantizeError, ends, walk};

/// A float model as sums and functions of one sum each.
#[derive(Debug)]
pub struct Source {
    pub(super) network: Network,
    /// What the user should know: sentences.
    pub notes: Vec<String>,
    /// The graph for one row, and of it the results.
    graph: Graph,
    scores: Edge,
    shape: Vec<usize>,
    depth: usize,
}

/// Rows that what was read of a model is compared with the model on.
const COMPARED: usize = 4;

/// How far both may be apart, relative to the largest result: sums are taken in another order.
const CLOSE: f64 = 1e-6;

impl Source {
    /// Reads a model for rows of a shape (without the axis that counts rows).
    ///
    /// # Errors
    /// Names what ciphertexts cannot do.
    pub fn new(model: &Model, row: &[usize]) -> Result<Self, QuantizeError> {
        let [port] = model.inputs() else {
            return Err(QuantizeError::Inputs(model.inputs().len()));
        };
        let single = !port.any_rank && port.shape.len() == row.len();
        let shape: Vec<usize> = match single {
            true => row.to_vec(),
            false => [&[1], row].concat(),
        };
        Self::of(model.lower(&[Feed::Private(shape)], &Options::default())?)
    }

    /// Reads a graph for one row.
    ///
    /// # Errors
    /// Names what ciphertexts cannot do.
    pub fn of(lowered: Lowered) -> Result<Self, QuantizeError> {
        let shapes = lowered.graph.input_shapes();
        let [shape] = &shapes[..] else {
            return Err(QuantizeError::Inputs(shapes.len()));
        };
        let (scores, notes) = ends::scores(&lowered)?;
        let network = walk::network(&lowered.graph, shape, scores)?;
        let depths = network.depths();
        let depth = network.variables.iter().map(|v| 1 + depths[v.form]).max();
        Ok(Self {
            network,
            notes,
            scores,
            shape: shape.clone(),
            depth: depth.unwrap_or(0),
            graph: lowered.graph,
        })
    }

    /// The shape of the model's input for one row.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many lookups one after the other.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.network.inputs
    }

    /// How many numbers a result has.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.network.outputs.len()
    }

    /// The nodes of the model that make sums, with how many they make, and how many of these go through lookups.
    #[must_use]
    pub fn nodes(&self) -> Vec<(String, usize, usize)> {
        let mut looked_up = vec![false; self.network.forms.len()];
        for variable in &self.network.variables {
            looked_up[variable.form] = true;
        }
        let mut nodes: Vec<(String, usize, usize)> = Vec::new();
        for (form, looked_up) in self.network.forms.iter().zip(looked_up) {
            let name = walk::place(&self.graph, form.group.0);
            match nodes.iter_mut().find(|(known, ..)| *known == name) {
                Some(node) => {
                    node.1 += 1;
                    node.2 += usize::from(looked_up);
                }
                None => nodes.push((name, 1, usize::from(looked_up))),
            }
        }
        nodes
    }

    /// How many sums go through lookups.
    #[must_use]
    pub fn lookups(&self) -> usize {
        let mut forms: Vec<usize> = self.network.variables.iter().map(|v| v.form).collect();
        forms.sort_unstable();
        forms.dedup();
        forms.len()
    }

    /// The model's own results for some rows, one vector for each result.
    ///
    /// # Errors
    /// Rows of another length, numbers that are not finite, and results that are not those of the model's graph.
    pub(super) fn values(
        &self,
        rows: &Array2<f32>,
    ) -> Result<super::network::Values, QuantizeError> {
        if rows.ncols() != self.inputs() {
            return Err(QuantizeError::Sample(format!(
                "has rows of {} numbers, and the model takes {}",
                rows.ncols(),
                self.inputs()
            )));
        }
        if let Some(((row, column), _)) = rows.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return Err(QuantizeError::Sample(format!(
                "has a number that is infinite or none in row {row}, column {column}"
            )));
        }
        let columns = rows.axis_iter(Axis(1));
        let columns: Vec<Vec<f64>> = columns
            .map(|column| column.iter().map(|&x| f64::from(x)).collect())
            .collect();
        let values = self.network.values(&columns)?;
        let mut graph = self.graph.clone();
        graph.set_outputs(&[self.scores]);
        for (k, row) in rows.axis_iter(Axis(0)).take(COMPARED).enumerate() {
            let row = row.iter().map(|&x| f64::from(x)).collect();
            let row = ArrayD::from_shape_vec(IxDyn(&self.shape), row)
                .map_err(|error| QuantizeError::Sample(error.to_string()))?;
            let wanted = run(&graph, &mut Clear, &[row])?;
            let outputs = self.network.outputs.iter();
            let read = outputs.map(|&form| values.forms[form][k]);
            let pairs = wanted.iter().flatten().zip(read);
            let (error, largest) = pairs.fold((0.0_f64, 1.0_f64), |(error, largest), (x, y)| {
                (error.max((x - y).abs()), largest.max(x.abs()))
            });
            if error.is_nan() || error > CLOSE * largest {
                return Err(QuantizeError::Differs(error));
            }
        }
        Ok(values)
    }
}
