//! A model file as a network that is trained: which of its tensors are, and where its logits are.

use std::collections::BTreeSet;

use ndarray::ArrayD;

use super::{Dim, Error, Feed, Lowered, Model, Options, Source, Value, Weights};
use crate::{
    Graph, Loss, Result,
    network::{Applied, Mask, Network, Parameter, Pass},
};

/// Operands that are weights where they are initializers, by operator. What else a file holds as a constant (bounds of
/// Clip, a scale before the first layer) is trained only where it is named.
const WEIGHTS: &[(&str, &[usize])] = &[
    ("Gemm", &[0, 1, 2]),
    ("MatMul", &[0, 1]),
    ("Einsum", &[0, 1]),
    ("Add", &[0, 1]),
    ("Mul", &[0, 1]),
    ("Gather", &[0]),
    ("Conv", &[1, 2]),
    ("ConvTranspose", &[1, 2]),
    ("BatchNormalization", &[1, 2]),
    ("LayerNormalization", &[1, 2]),
    ("InstanceNormalization", &[1, 2]),
    ("GroupNormalization", &[1, 2]),
    ("RMSNormalization", &[1]),
    ("PRelu", &[1]),
    ("RNN", &[1, 2, 3]),
    ("LSTM", &[1, 2, 3, 7]),
    ("GRU", &[1, 2, 3]),
];

/// What makes probabilities of logits: a loss of classes is computed from what comes before.
const PROBABILITIES: [&str; 3] = ["Softmax", "LogSoftmax", "Sigmoid"];

/// What of a file is trained, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Columns of the data: the entries of one row of the model's input.
    pub features: usize,
    /// The loss. One of classes takes the logits before a last Softmax, LogSoftmax or Sigmoid.
    pub loss: Loss,
    /// The output that the loss is computed from; the first, where none is named.
    pub output: Option<&'a str>,
    /// Names of tensors, or what they begin with up to a dot, slash or underscore: `fc2` for `fc2.weight` and `fc2.bias`. All weights,
    /// where it is empty.
    pub train: &'a [String],
}

/// A model file as a [`Network`]: it takes rows of features in the shape of its one input and gives the logits or numbers
/// from which the loss is computed.
#[derive(Clone, Debug)]
pub struct Trainable {
    /// Its one output is that of the loss.
    model: Model,
    /// The shape of one row of the input.
    row: Vec<usize>,
    outputs: usize,
    parameters: Vec<Parameter>,
    state: Vec<Parameter>,
}

impl Trainable {
    /// Finds what is to be trained, and makes the graph of two rows once to see that it can be.
    ///
    /// # Errors
    /// [`Error::Feed`] naming what does not fit: an input, an output, a tensor; whatever lowering reports.
    pub fn new(model: &Model, choice: &Choice<'_>) -> std::result::Result<Self, Error> {
        let row = row_shape(model, choice.features)?;
        let mut model = model.clone();
        attach(&mut model, choice)?;
        let named = |names: &BTreeSet<String>| -> Vec<Parameter> {
            let all = model.parameters().into_iter();
            let chosen = all.filter(|(name, _)| names.contains(name));
            chosen
                .map(|(name, value)| Parameter { name, value })
                .collect()
        };
        let chosen = chosen(&model, choice.train)?;
        let parameters = named(&chosen);
        let mut network = Self {
            row,
            outputs: 0,
            parameters,
            state: vec![],
            model: model.clone(),
        };
        let updates: BTreeSet<String> = network
            .lower(2, true)?
            .updates
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        network.state = named(&updates);
        let shape = match &network.lower(2, true)?.outputs[..] {
            [output] if output.value == Value::Edge(0) => output.shape.clone(),
            _ => {
                return Err(refuse(
                    &model.outputs[0].name,
                    "does not depend on the input",
                ));
            }
        };
        let entries: usize = shape.iter().product();
        if shape.first() != Some(&2) || entries < 2 {
            let why = format!("has shape {shape:?} for two rows: it must have one row for each");
            return Err(refuse(&model.outputs[0].name, &why));
        }
        network.outputs = entries / 2;
        Ok(network)
    }

    /// Logits or numbers that it gives for a row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The file that came in, with other parameters and running statistics, named as in [`Network`].
    ///
    /// # Errors
    /// As for [`Model::with_parameters`].
    pub fn write(&self, new: &[(String, ArrayD<f64>)]) -> std::result::Result<Vec<u8>, Error> {
        self.model.with_parameters(new)
    }

    fn lower(&self, rows: usize, training: bool) -> std::result::Result<Lowered, Error> {
        let shape: Vec<usize> = [rows].iter().chain(&self.row).copied().collect();
        let tensors = self.parameters.iter().chain(&self.state);
        let options = Options {
            weights: Weights::Trained(tensors.map(|tensor| tensor.name.clone()).collect()),
            training,
        };
        self.model.lower(&[Feed::Private(shape)], &options)
    }
}

impl Network for Trainable {
    fn parameters(&self) -> Result<Vec<Parameter>> {
        Ok(self.parameters.clone())
    }

    fn state(&self) -> Result<Vec<Parameter>> {
        Ok(self.state.clone())
    }

    fn apply(&self, g: &mut Graph, pass: &Pass<'_>) -> Result<Applied> {
        let invalid = |e: Error| crate::Error::Invalid(e.to_string());
        let rows = g.shape(pass.x)?[0];
        let lowered = self.lower(rows, pass.training).map_err(invalid)?;
        let shape: Vec<usize> = [rows].iter().chain(&self.row).copied().collect();
        let x = g.reshape(pass.x, &shape)?;
        let place = |tensors: &[Parameter], name: &str| tensors.iter().position(|t| t.name == name);
        let mut masks = Vec::new();
        let mut inputs = Vec::with_capacity(lowered.sources.len());
        for source in &lowered.sources {
            inputs.push(match source {
                Source::Input(_) => x,
                Source::Mask { shape, keep } => {
                    masks.push(Mask {
                        shape: shape.clone(),
                        keep: *keep,
                    });
                    g.input(shape)
                }
                Source::Parameter(name) | Source::Weight { name, .. } => {
                    let parameter = place(&self.parameters, name).map(|k| pass.parameters[k]);
                    let held = || place(&self.state, name).map(|k| pass.state[k]);
                    parameter.or_else(held).ok_or_else(|| {
                        crate::Error::Invalid(format!(
                            "the graph asks for {name}, which is not trained"
                        ))
                    })?
                }
            });
        }
        let out = g.append(&lowered.graph, &inputs)?;
        let outputs = g.reshape(out[0], &[rows, self.outputs])?;
        let next = |tensor: &Parameter| {
            let update = lowered
                .updates
                .iter()
                .find(|(name, _)| *name == tensor.name);
            update.map(|&(_, k)| out[k])
        };
        let state = self.state.iter().filter_map(next).collect();
        Ok(Applied {
            outputs,
            state,
            masks,
        })
    }
}

fn refuse(name: &str, why: &str) -> Error {
    Error::Feed {
        name: name.into(),
        why: why.into(),
    }
}

/// The shape of a row of the only input: its axes but the first, of which one may be of any length.
fn row_shape(model: &Model, features: usize) -> std::result::Result<Vec<usize>, Error> {
    let [port] = &model.inputs[..] else {
        let names: Vec<&str> = model.inputs.iter().map(|p| p.name.as_str()).collect();
        let why = format!(
            "a model that is trained has one input, this one has {}",
            names.len()
        );
        return Err(refuse(&names.join(", "), &why));
    };
    if port.any_rank {
        return Ok(vec![features]);
    }
    let Some((_, axes)) = port.shape.split_first() else {
        return Err(refuse(&port.name, "has no axis for the rows"));
    };
    let fixed = axes.iter().map(|d| match d {
        Dim::Fixed(n) => *n,
        Dim::Any(_) => 1,
    });
    let known = fixed.clone().fold(1, usize::saturating_mul);
    let open = axes.iter().filter(|d| matches!(d, Dim::Any(_))).count();
    let rest = features.checked_div(known).unwrap_or_default();
    if known.saturating_mul(rest) != features || open > 1 || (open == 0 && rest != 1) {
        let why = format!("has {known} entries a row, the data has {features} columns");
        return Err(refuse(&port.name, &why));
    }
    Ok((axes.iter().zip(fixed))
        .map(|(d, n)| if matches!(d, Dim::Fixed(_)) { n } else { rest })
        .collect())
}

/// Makes the value that the loss takes the only output.
fn attach(model: &mut Model, choice: &Choice<'_>) -> std::result::Result<(), Error> {
    let found = match choice.output {
        None => model.outputs.first(),
        Some(name) => model.outputs.iter().find(|port| port.name == name),
    };
    let Some(mut port) = found.cloned() else {
        let names: Vec<&str> = model.outputs.iter().map(|p| p.name.as_str()).collect();
        let why = format!("the model has no such output, it has {}", names.join(", "));
        return Err(refuse(choice.output.unwrap_or_default(), &why));
    };
    if choice.loss.classifies() {
        let made_by = |name: &str| {
            model
                .nodes
                .iter()
                .find(|n| n.outputs.iter().any(|o| o == name))
        };
        if let Some(node) = made_by(&port.name)
            && PROBABILITIES.contains(&node.op.as_str())
            && let Some(logits) = node.inputs.first()
        {
            port.name.clone_from(logits);
        }
    }
    model.outputs = vec![port];
    Ok(())
}

/// The tensors to train.
fn chosen(model: &Model, train: &[String]) -> std::result::Result<BTreeSet<String>, Error> {
    let all = model.parameters();
    if train.is_empty() {
        let names: BTreeSet<&str> = model
            .nodes
            .iter()
            .flat_map(|node| {
                let row = WEIGHTS.iter().find(|(op, _)| *op == node.op);
                let places = row.map_or(&[][..], |(_, places)| places);
                places.iter().filter_map(|&k| node.inputs.get(k))
            })
            .map(String::as_str)
            .collect();
        let weights = all.into_iter().filter(|(name, value)| {
            names.contains(name.as_str()) && value.ndim() > 0 && !value.is_empty()
        });
        let weights: BTreeSet<String> = weights.map(|(name, _)| name).collect();
        if weights.is_empty() {
            return Err(refuse(
                "the model",
                "holds no weights that could be trained",
            ));
        }
        return Ok(weights);
    }
    let mut chosen = BTreeSet::new();
    for wanted in train {
        let within = |name: &str| {
            name.strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/', '_']))
        };
        let before = chosen.len();
        let names = all.iter().map(|(name, _)| name).filter(|name| within(name));
        chosen.extend(names.cloned());
        if chosen.len() == before {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            let why = format!("the model has no such tensor, it has {}", names.join(", "));
            return Err(refuse(wanted, &why));
        }
    }
    Ok(chosen)
}
