//! From a model's file and its inputs to a graph, what each party brings, and back to the model's outputs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::MAX_ELEMENTS;
use tacit_nn::onnx::{
    Constant, Dim, Element, Error, Feed, Lowered, Model, Options, Output, Port, Source, Value,
    Weights,
};
use tacit_nn::{Graph, fixed};

use super::feeds;
use super::{Comparison, Given, Protocol, Settings};

/// The party that has the inputs.
const CLIENT: usize = 0;
/// The party that has the weights.
const OWNER: usize = 1;

/// Which model is run on which inputs, and how.
#[derive(clap::Args, Clone, Debug)]
pub struct Work {
    /// How it is computed
    #[arg(long, default_value = "rep3")]
    pub(crate) protocol: Protocol,
    /// The model, an ONNX file; for tfhe an integer program, or a model to make one of
    #[arg(long)]
    model: PathBuf,
    /// The inputs, npy or npz, in the order of the model's; arrays of an npz go to the inputs of their names
    #[arg(long)]
    input: Vec<PathBuf>,
    /// Who knows the weights
    #[arg(long, default_value = "private")]
    weights: Known,
    /// Fractional bits of the fixed-point numbers
    #[arg(long, default_value_t = fixed::FRACTION_BITS, value_parser = clap::value_parser!(u32).range(8..=22))]
    pub(crate) fraction_bits: u32,
    /// Fewer bytes or fewer rounds for each comparison
    #[arg(long, value_enum, default_value_t)]
    pub(crate) comparison: Comparison,
    /// How many parties compute, by additive and additive-dealer: two unless this says otherwise
    #[arg(long)]
    parties: Option<usize>,
}

/// Who knows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Known {
    /// All parties
    Public,
    /// One party, which shares them like an input
    Private,
}

/// A model for inputs of given shapes, and what each party brings.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What is computed.
    pub graph: Graph,
    /// The inputs of the graph.
    pub given: Vec<Given>,
    /// The outputs of the model.
    pub outputs: Vec<Output>,
    /// What the user should know: sentences.
    pub notes: Vec<String>,
}

impl Work {
    /// The file of the model, or its name at a server.
    #[cfg(feature = "tfhe")]
    pub(crate) fn model(&self) -> &Path {
        &self.model
    }

    /// The files of the inputs.
    #[cfg(feature = "tfhe")]
    pub(crate) fn input(&self) -> &[PathBuf] {
        &self.input
    }

    /// How numbers are computed with.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            fraction_bits: self.fraction_bits,
            comparison: self.comparison,
            parties: self.parties.unwrap_or(2),
        }
    }

    /// Reads the files and makes the graph.
    ///
    /// # Errors
    /// One sentence that names the file, node or input.
    pub fn prepare(&self) -> Result<Prepared> {
        self.protocol.available()?;
        self.protocol.parties(self.parties)?;
        let model = parsed(&self.model)?;
        let arrays = feeds::read(&self.input)?;
        prepare(
            &model,
            feeds::assign(arrays, model.inputs())?,
            self.weights.into(),
        )
    }
}

impl From<Known> for Weights {
    fn from(known: Known) -> Self {
        match known {
            Known::Public => Self::Public,
            Known::Private => Self::Private,
        }
    }
}

/// The model in a file.
///
/// # Errors
/// Names the file, and says what is wrong with it.
pub(crate) fn parsed(file: &Path) -> Result<Model> {
    let shown = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    Model::parse(&bytes).with_context(|| format!("{shown} is not taken"))
}

/// The graph of a model whose inputs are in these files, or zeros where there is none: every axis that the model leaves open
/// has the length `batch` then.
///
/// # Errors
/// As for [`Work::prepare`], and the input of which not even the number of axes is known.
pub(crate) fn prepare_shapes(
    model: &Path,
    inputs: &[PathBuf],
    batch: usize,
    weights: Known,
) -> Result<Prepared> {
    let model = parsed(model)?;
    let arrays = if inputs.is_empty() {
        let zeros = model.inputs().iter().map(|port| zeros(port, batch));
        zeros.collect::<Result<_>>()?
    } else {
        feeds::assign(feeds::read(inputs)?, model.inputs())?
    };
    prepare(&model, arrays, weights.into())
}

fn zeros(port: &Port, batch: usize) -> Result<Constant> {
    ensure!(
        !port.any_rank,
        "the model does not say what shape input {} has: give it by --input",
        port.name
    );
    let shape: Vec<usize> = (port.shape.iter())
        .map(|dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Any(_) => batch,
        })
        .collect();
    let values = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len));
    ensure!(
        values.is_some_and(|n| n <= MAX_ELEMENTS),
        "input {} has shape {shape:?}: more than {MAX_ELEMENTS} values",
        port.name
    );
    let shape = IxDyn(&shape);
    Ok(match port.element {
        Element::Float => Constant::Float(ArrayD::zeros(shape)),
        Element::Int => Constant::Int(ArrayD::zeros(shape)),
        Element::Bool => Constant::Bool(ArrayD::from_elem(shape, false)),
        Element::Text => bail!("input {} is text: give it by --input", port.name),
    })
}

/// The graph of a model for these inputs, which are private unless they cannot be.
fn prepare(model: &Model, arrays: Vec<Constant>, weights: Weights) -> Result<Prepared> {
    let ports = model.inputs();
    let arrays = arrays.into_iter().zip(ports);
    let arrays = arrays.map(|(array, port)| feeds::converted(array, port));
    let mut arrays = arrays.collect::<Result<Vec<_>>>()?;
    let mut public: Vec<bool> = ports.iter().map(|p| p.element == Element::Text).collect();
    let mut notes: Vec<String> = ports
        .iter()
        .filter(|port| port.element == Element::Text)
        .map(|port| format!("input {} is text, so it is public", port.name))
        .collect();
    for (array, port) in arrays.iter_mut().zip(ports) {
        let count = array.saturate();
        if count > 0 {
            notes.push(format!(
                "input {} holds {count} numbers of 2^44 and more, or infinite ones; they are taken as 2^30 with their signs",
                port.name
            ));
        }
    }
    let options = Options {
        weights,
        training: false,
    };
    let lowered = loop {
        let feeds = arrays.iter().zip(&public).map(|(array, &public)| {
            if public {
                Feed::Public(array.clone())
            } else {
                Feed::Private(array.shape().to_vec())
            }
        });
        match model.lower(&feeds.collect::<Vec<_>>(), &options) {
            Ok(lowered) => break lowered,
            Err(error) => notes.extend(publish(error, ports, &mut public)?),
        }
    };
    let given = given(&lowered, &arrays, ports)?;
    Ok(Prepared {
        graph: lowered.graph,
        given,
        outputs: lowered.outputs,
        notes,
    })
}

/// Makes the inputs public without which the graph cannot be made, if they are integers or booleans; what to say about it.
fn publish(error: Error, ports: &[Port], public: &mut [bool]) -> Result<Vec<String>> {
    let Error::MustBePublic { node, role, inputs } = &error else {
        return Err(error.into());
    };
    let named = |port: &Port| inputs.contains(&port.name);
    let real = ports
        .iter()
        .any(|port| named(port) && port.element == Element::Float);
    let mut notes = Vec::new();
    for (port, public) in ports.iter().zip(public) {
        if named(port) && !*public && !real {
            *public = true;
            let name = &port.name;
            notes.push(format!(
                "input {name} is public: it decides {role} of node {node}"
            ));
        }
    }
    if notes.is_empty() {
        return Err(error.into());
    }
    Ok(notes)
}

/// What the parties bring: the client the inputs, the owner the weights.
fn given(lowered: &Lowered, arrays: &[Constant], ports: &[Port]) -> Result<Vec<Given>> {
    let sources = lowered.sources.iter().map(|source| match source {
        Source::Input(k) => {
            let (array, port) = arrays
                .get(*k)
                .zip(ports.get(*k))
                .context("an unknown input")?;
            let name = format!("input {}", port.name);
            let value = array.numbers().with_context(|| format!("{name} is text"))?;
            Ok(Given {
                name,
                owner: CLIENT,
                value,
            })
        }
        Source::Weight { name, value } => Ok(Given {
            name: format!("weight {name}"),
            owner: OWNER,
            value: value.clone(),
        }),
        Source::Parameter(name) => bail!("parameter {name} has no value outside a training"),
        Source::Mask { .. } => bail!("random masks have no value outside a training"),
    });
    sources.collect()
}

/// The model's outputs, from those of the graph.
///
/// # Errors
/// An index of a word that is not there: the run went wrong.
pub fn finished(outputs: &[Output], computed: &[ArrayD<f64>]) -> Result<Vec<Constant>> {
    let each = outputs.iter().map(|output| match &output.value {
        Value::Known(value) => Ok(value.clone()),
        Value::Edge(k) => {
            let x = computed.get(*k).context("an output was not computed")?;
            Ok(match output.element {
                Element::Float => Constant::Float(x.clone()),
                Element::Int => Constant::Int(x.mapv(|x| x.round() as i64)),
                Element::Bool => Constant::Bool(x.mapv(|x| x >= 0.5)),
                Element::Text => Constant::Text(words(output, x)?),
            })
        }
    });
    each.collect()
}

fn words(output: &Output, x: &ArrayD<f64>) -> Result<ArrayD<String>> {
    let words = output.words.as_deref().unwrap_or_default();
    let known = x
        .iter()
        .all(|x| (0.0..words.len() as f64).contains(&x.round()));
    ensure!(known, "output {} is none of its words", output.name);
    Ok(x.mapv(|x| words[x.round() as usize].clone()))
}
