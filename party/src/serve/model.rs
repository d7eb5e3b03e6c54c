//! The served model: its graph for every size of batch, and its weights on shares or in public.

use std::collections::HashMap;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::PartyId;
use tacit_nn::onnx::{self, Dim, Feed, Lowered, Model, Options, Source, Weights};
use tacit_nn::provenance::rows_are_apart;
use tacit_nn::{Engine, Layout, run};
use tacit_protocols::rep3::{Rep3Engine, Value};

use super::queue::Question;
use super::wire::{Greeting, Port};
use super::{ServeError, Terms};

/// Why a model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The importer refuses it.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// Its graph does not run.
    #[error(transparent)]
    Graph(tacit_nn::Error),
    /// An input or output has no first axis that counts rows.
    #[error(
        "{port} of shape {shape:?} has no first axis that counts rows: only such models are served"
    )]
    NoRows {
        /// The input or output.
        port: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An output does not depend on what clients share.
    #[error("output {0} is constant: take it out of the model")]
    Constant(String),
    /// Training and random masks have no place in a service.
    #[error("the model draws masks as in training: export it for inference")]
    Masks,
    /// The numbers of weights differ between sizes of batches.
    #[error("the model has other weights for another number of rows: fix its batch size")]
    Weights,
}

/// Who knows the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Everybody: they are in the model.
    Public,
    /// This party: the others' models have the same shapes and other numbers.
    Owner(PartyId),
}

/// A model that is served.
pub struct Served {
    model: Model,
    held: Held,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The number of rows that the model is made for, if it is not free.
    fixed: Option<usize>,
    /// Whether rows of different clients may stand in one batch: no row sees another.
    rows_apart: bool,
    /// The graph for each number of rows, and whether no row of it sees another.
    graphs: HashMap<usize, (Lowered, bool)>,
    weights: Vec<Value>,
}

impl Served {
    /// Prepares a model; `held` says who knows its weights.
    ///
    /// # Errors
    /// It is no model of rows.
    pub fn new(model: Model, held: Held) -> Result<Self, ModelError> {
        let first = model.inputs().first().and_then(|port| port.shape.first());
        let fixed = match first {
            Some(Dim::Fixed(rows)) => Some(*rows),
            _ => None,
        };
        let mut served = Self {
            model,
            held,
            inputs: Vec::new(),
            outputs: Vec::new(),
            fixed,
            rows_apart: false,
            graphs: HashMap::new(),
            weights: Vec::new(),
        };
        let rows = fixed.unwrap_or(2);
        served.inputs = served
            .shapes(rows)
            .into_iter()
            .zip(served.model.inputs())
            .map(|(shape, port)| rows_first(&port.name, shape, rows))
            .collect::<Result<_, _>>()?;
        let lowered = served.lower(rows)?;
        served.outputs = lowered
            .outputs
            .iter()
            .map(|output| match output.value {
                onnx::Value::Edge(_) => rows_first(&output.name, output.shape.clone(), rows),
                onnx::Value::Known(_) => Err(ModelError::Constant(output.name.clone())),
            })
            .collect::<Result<_, _>>()?;
        served.rows_apart = fixed.is_none() && apart(&lowered, rows)?;
        Ok(served)
    }

    /// What clients are told.
    pub(super) fn greeting(&self, terms: &Terms) -> Greeting {
        Greeting {
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            fraction_bits: terms.fraction_bits,
            max_rows: self.fixed.unwrap_or(terms.max_rows),
        }
    }

    /// Rows of a batch at most. One question makes a batch where rows may see each other.
    pub(super) fn most_rows(&self, terms: &Terms) -> usize {
        if self.rows_apart { terms.max_rows } else { 1 }
    }

    /// The shapes of the inputs for so many rows.
    fn shapes(&self, rows: usize) -> Vec<Vec<usize>> {
        let extent = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(n) => *n,
            Dim::Any(_) if axis == 0 => rows,
            Dim::Any(_) => 1,
        };
        let ports = self.model.inputs().iter();
        ports
            .map(|port| port.shape.iter().enumerate().map(extent).collect())
            .collect()
    }

    fn lower(&self, rows: usize) -> Result<Lowered, ModelError> {
        lower(&self.model, self.shapes(rows), self.held)
    }

    /// The graph for so many rows.
    fn graph(&mut self, rows: usize) -> Result<&(Lowered, bool), ModelError> {
        if !self.graphs.contains_key(&rows) {
            let lowered = self.lower(rows)?;
            let weights = lowered
                .sources
                .iter()
                .filter(|s| matches!(s, Source::Weight { .. }));
            if weights.count() != self.weights.len() {
                return Err(ModelError::Weights);
            }
            let apart = apart(&lowered, rows)?;
            self.graphs.insert(rows, (lowered, apart));
        }
        Ok(&self.graphs[&rows])
    }

    /// The owner shares the weights with the others, once for the whole service.
    pub(super) fn share_weights(&mut self, engine: &mut Rep3Engine) -> Result<(), ServeError> {
        let Held::Owner(owner) = self.held else {
            return Ok(());
        };
        let lowered = self.lower(self.fixed.unwrap_or(1))?;
        for source in &lowered.sources {
            if let Source::Weight { value, .. } = source {
                let own = (engine.session().me() == owner).then_some(value);
                self.weights.push(engine.input(owner, value.shape(), own)?);
            }
        }
        Ok(())
    }

    /// This party's words of the answers to a batch of questions.
    pub(super) fn answer<'q>(
        &mut self,
        engine: &mut Rep3Engine,
        questions: impl Iterator<Item = &'q Question>,
    ) -> Result<Vec<Vec<u64>>, ServeError> {
        let questions: Vec<&Question> = questions.collect();
        let asked: usize = questions.iter().map(|q| q.rows).sum();
        // Few sizes of batches, so that graphs are used again. The rows that fill up are zeros.
        let rows = asked.next_power_of_two();
        if self.rows_apart && self.graph(rows)?.1 {
            return self.answer_together(engine, &questions, rows);
        }
        // Rows that see each other see those of their own question only, and no row that fills up.
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            let rows = self.fixed.unwrap_or(question.rows);
            answers.extend(self.answer_together(engine, &[question], rows)?);
        }
        Ok(answers)
    }

    /// One run of the graph of so many rows for these questions.
    fn answer_together(
        &mut self,
        engine: &mut Rep3Engine,
        questions: &[&Question],
        rows: usize,
    ) -> Result<Vec<Vec<u64>>, ServeError> {
        let asked: usize = questions.iter().map(|q| q.rows).sum();
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (k, port) in self.inputs.iter().enumerate() {
            let mut parts: Vec<Value> = questions
                .iter()
                .map(|q| Value::Numbers(q.inputs[k].clone()))
                .collect();
            if rows > asked {
                let shape = [&[rows - asked], &port.shape[..]].concat();
                parts.push(engine.public(&ArrayD::zeros(IxDyn(&shape)))?);
            }
            inputs.push(engine.concat(0, &parts.iter().collect::<Vec<_>>())?);
        }
        let weights = self.weights.clone();
        let (lowered, _) = self.graph(rows)?;
        let (mut inputs, mut weights) = (inputs.into_iter(), weights.into_iter());
        let fed: Option<Vec<Value>> = lowered
            .sources
            .iter()
            .map(|source| match source {
                Source::Input(_) => inputs.next(),
                Source::Weight { .. } => weights.next(),
                Source::Parameter(_) | Source::Mask { .. } => None,
            })
            .collect();
        // The same question asked again must not tell the bits that rounding dropped (requirement R9).
        engine.round_exactly(lowered.graph.last_roundings());
        let outputs = run(&lowered.graph, engine, &fed.ok_or(ModelError::Masks)?)?;
        let mut start = 0;
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            let (axis, end) = (0, start + question.rows);
            let cut = Layout::Slice { axis, start, end };
            let own: Vec<Value> = outputs
                .iter()
                .map(|output| engine.layout(&cut, output))
                .collect::<Result<_, _>>()?;
            answers.push(engine.release(&own.iter().collect::<Vec<_>>())?);
            start = end;
        }
        Ok(answers)
    }
}

/// Whether no row of the graph's answers depends on another row.
fn apart(lowered: &Lowered, rows: usize) -> Result<bool, ModelError> {
    let of_clients = |source: &Source| matches!(source, Source::Input(_));
    let counts_rows: Vec<bool> = lowered.sources.iter().map(of_clients).collect();
    rows_are_apart(&lowered.graph, &counts_rows, rows).map_err(ModelError::Graph)
}

fn lower(model: &Model, shapes: Vec<Vec<usize>>, held: Held) -> Result<Lowered, ModelError> {
    let feeds: Vec<Feed> = shapes.into_iter().map(Feed::Private).collect();
    let weights = match held {
        Held::Public => Weights::Public,
        Held::Owner(_) => Weights::Private,
    };
    let options = Options {
        weights,
        training: false,
    };
    Ok(model.lower(&feeds, &options)?)
}

/// A port without its first axis, which must count the rows.
fn rows_first(name: &str, shape: Vec<usize>, rows: usize) -> Result<Port, ModelError> {
    match shape.split_first() {
        Some((&first, rest)) if first == rows => Ok(Port {
            name: name.to_owned(),
            shape: rest.to_vec(),
        }),
        _ => Err(ModelError::NoRows {
            port: name.to_owned(),
            shape,
        }),
    }
}
