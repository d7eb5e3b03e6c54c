//! The served model: its graph for every size of batch, and its weights on shares or in public.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ndarray::{ArrayD, IxDyn};
use sha2::{Digest, Sha256};
use tacit_api::job::{Comparison, Protocol};
use tacit_mpc::{PartyId, prss};
use tacit_nn::onnx::{self, Dim, Feed, Lowered, Model, Options, Source, Weights};
use tacit_nn::provenance::rows_are_apart;
use tacit_nn::{Layout, run_on};
use tacit_protocols::Replicated;

use super::inputs::{Kind, bounds_of};
use super::model_error::ModelError;
use super::question::{Question, message_len};
use super::rehearse::{Batch, rehearse};
use super::structure::{self, Structure};
use super::wire::{Greeting, Port};
use super::{ServeError, Terms};
use crate::net::MAX_FRAME;

mod prove;

/// Bytes of a frame that are not shares or words: of an answer also its salt and hash.
const FRAMING: usize = 128;
/// Numbers of a tensor at most: what the engine can number the chunks of, and 2 GiB of one share of it.
pub(super) const MOST_NUMBERS: usize = tacit_mpc::MAX_ELEMENTS;
/// Graphs of a model whose rows see each other at most.
pub(super) const MOST_GRAPHS: usize = 256;
/// Constants of all graphs together that are kept: 1 GiB. Graphs beyond are lowered again when they are needed.
const KEPT: usize = 1 << 27;
/// Who knows the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Everybody: they are in the model.
    Public,
    /// This party: the others' models have the same shapes and other numbers.
    Owner(PartyId),
}

/// A model that is served: every graph that a question may need has been made once before the service is agreed to.
pub struct Served {
    model: Model,
    held: Held,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The least and the greatest number that counts of each input.
    bounds: Vec<(f64, f64)>,
    /// What the numbers of each input stand for.
    kinds: Vec<Kind>,
    /// Rows of a question at most.
    max_rows: usize,
    /// Fractional bits of shared numbers.
    fraction_bits: u32,
    /// The number of rows that the model is made for, if it is not free.
    fixed: Option<usize>,
    /// Whether rows of different clients may stand in one batch: no row sees another, in a graph of any size.
    rows_apart: bool,
    /// The numbers of rows that there are graphs for.
    sizes: BTreeSet<usize>,
    /// Blocks that a batch takes of each key at most.
    blocks: u64,
    /// What each of these graphs is but for the values of weights, as a hash, where not all parties know them.
    structures: BTreeMap<usize, [u8; 32]>,
    /// The graphs that are kept.
    graphs: HashMap<usize, Lowered>,
    /// The weights of the model by name, in the order of all its graphs; their values are here until they are shared.
    private: Vec<(String, ArrayD<f64>)>,
    protocol: Protocol,
    comparison: Comparison,
}

impl Served {
    /// Prepares a model; `held` says who knows its weights.
    ///
    /// # Errors
    /// It is no model of rows, or some number of rows that may be asked for has no graph, or one that the engine does not run.
    pub fn new(model: Model, held: Held, terms: &Terms) -> Result<Self, ModelError> {
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
            bounds: Vec::new(),
            kinds: Vec::new(),
            max_rows: fixed.unwrap_or(terms.max_rows),
            fraction_bits: terms.fraction_bits,
            fixed,
            rows_apart: false,
            sizes: BTreeSet::new(),
            blocks: 0,
            structures: BTreeMap::new(),
            graphs: HashMap::new(),
            private: Vec::new(),
            protocol: terms.protocol.name,
            comparison: terms.protocol.comparison,
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
        let elements = served.model.inputs().iter().map(|port| port.element);
        served.kinds = elements.map(Kind::from).collect();
        served.bounds = bounds_of(&served.model, &terms.bounds)?;
        served.check_frames()?;
        served.private = weights(&lowered)?;
        served.prepare()?;
        Ok(served)
    }

    /// Questions and answers of the most rows must fit into a frame.
    fn check_frames(&self) -> Result<(), ModelError> {
        let rows = self.max_rows;
        let widths = self.outputs.iter().map(Port::width);
        let answer = widths.fold(0, usize::saturating_add);
        let answer = answer.saturating_mul(rows).saturating_mul(8);
        let found = answer.max(message_len(1, rows, &self.inputs));
        if found > MAX_FRAME - FRAMING {
            return Err(ModelError::Frame { rows, found });
        }
        Ok(())
    }

    /// Makes the graphs of all sizes that can occur, and looks whether rows of several clients may share them.
    fn prepare(&mut self) -> Result<(), ModelError> {
        let (fixed, max) = (self.fixed, self.max_rows);
        let powers = (0..usize::BITS).map(|k| 1usize << k);
        let least = max.next_power_of_two();
        let sizes: Vec<usize> = match fixed {
            Some(rows) => vec![rows],
            None => powers.take_while(|&rows| rows <= least).collect(),
        };
        self.rows_apart = fixed.is_none();
        for &rows in &sizes {
            let lowered = self.make(rows)?;
            if fixed.is_none() && !apart(&lowered, rows)? {
                self.rows_apart = false;
                break;
            }
            self.keep(rows, lowered)?;
        }
        if !self.rows_apart && fixed.is_none() {
            if max > MOST_GRAPHS {
                return Err(ModelError::Graphs { max });
            }
            self.sizes.clear();
            self.structures.clear();
            self.graphs.clear();
            for rows in 1..=max {
                let lowered = self.make(rows)?;
                self.keep(rows, lowered)?;
            }
        }
        Ok(())
    }

    /// The graph for a size, held against the limits and the weights of the others.
    fn make(&self, rows: usize) -> Result<Lowered, ModelError> {
        let max = self.max_rows;
        let size = |source: ModelError| ModelError::Size {
            rows,
            max,
            source: Box::new(source),
        };
        let mut lowered = self.lower(rows).map_err(size)?;
        let (found, _) = lowered.graph.sizes();
        if found > MOST_NUMBERS {
            return Err(ModelError::Large { rows, found });
        }
        let ports = lowered.outputs.iter().map(|output| match output.value {
            onnx::Value::Edge(_) => rows_first(&output.name, output.shape.clone(), rows),
            onnx::Value::Known(_) => Err(ModelError::Constant(output.name.clone())),
        });
        let ports: Vec<Port> = ports.collect::<Result<_, _>>().map_err(size)?;
        if ports != self.outputs {
            let shape = ports.first().map(|p| p.shape.clone()).unwrap_or_default();
            let port = ports.first().map(|p| p.name.clone()).unwrap_or_default();
            return Err(size(ModelError::NoRows { port, shape }));
        }
        if weights(&lowered)? != self.private {
            return Err(ModelError::Weights { rows });
        }
        // They are shared once, and need not be held for every size.
        for source in &mut lowered.sources {
            if let Source::Weight { value, .. } = source {
                *value = ArrayD::zeros(IxDyn(&[0]));
            }
        }
        Ok(lowered)
    }

    /// Takes a graph for a size, if the engine runs it.
    fn keep(&mut self, rows: usize, lowered: Lowered) -> Result<(), ModelError> {
        let weights: Vec<Vec<usize>> = self.private.iter().map(|(_, w)| w.shape().into()).collect();
        let batch = Batch {
            protocol: self.protocol,
            comparison: self.comparison,
            rows,
            fraction_bits: self.fraction_bits,
            inputs: &self.inputs,
            kinds: &self.kinds,
            bounds: &self.bounds,
            weights: &weights,
        };
        let blocks = rehearse(&lowered, &batch)?;
        // Keys are renewed when half of them is used, and the other half must be enough for the batch before that.
        if blocks > prss::MAX_BLOCKS / 2 {
            return Err(ModelError::Keys { rows });
        }
        self.blocks = self.blocks.max(blocks);
        self.sizes.insert(rows);
        if self.held != Held::Public {
            let mut hash = Sha256::new();
            lowered.describe(&mut |piece| hash.update(piece));
            self.structures.insert(rows, hash.finalize().into());
        }
        let constants = |lowered: &Lowered| lowered.graph.sizes().1;
        let kept: usize = self.graphs.values().map(constants).sum();
        if self.graphs.is_empty() || kept + constants(&lowered) <= KEPT {
            self.graphs.insert(rows, lowered);
        }
        Ok(())
    }

    /// What clients are told.
    pub(super) fn greeting(&self, terms: &Terms) -> Greeting {
        Greeting {
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            fraction_bits: terms.fraction_bits,
            max_rows: self.max_rows,
            exact_rows: self.fixed.is_some(),
            bounds: self.bounds.clone(),
            kinds: self.kinds.clone(),
            copies: self.protocol == Protocol::Rep3Malicious,
        }
    }

    /// Blocks that a batch takes of each key at most.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Rows of a batch at most. One question makes a batch where rows may see each other.
    pub(super) fn most_rows(&self) -> usize {
        if self.rows_apart { self.max_rows } else { 1 }
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

    /// What this party runs and whom it says so to, but for the values of weights: all that the parties must agree on.
    fn structure(&self, terms: &Terms) -> [u8; 32] {
        let mut hash = Structure::new(&self.greeting(terms), terms, self.most_rows());
        hash.sizes(&self.sizes);
        for (rows, structure) in &self.structures {
            hash.graph(*rows, structure);
        }
        for (name, value) in &self.private {
            hash.weight(name, value.shape());
        }
        hash.finish()
    }

    /// Compares with the others what is served; then the owner shares the weights, once for the whole service.
    pub(super) fn share_weights<E: Replicated>(
        &self,
        engine: &mut E,
        terms: &Terms,
    ) -> Result<Vec<E::Value>, ServeError> {
        structure::compare(engine.session(), &self.structure(terms))?;
        let Held::Owner(owner) = self.held else {
            return Ok(Vec::new());
        };
        let weights = self.private.iter().map(|(_, value)| {
            let own = (engine.session().me() == owner).then_some(value);
            Ok(engine.input(owner, value.shape(), own)?)
        });
        weights.collect()
    }

    /// This party's words of the answers to a batch of questions, or why a question has none. An error ends the service.
    pub(super) fn answer<E: Replicated>(
        &self,
        engine: &mut E,
        weights: &[E::Value],
        questions: &[&Question],
    ) -> Result<Vec<Result<Vec<u64>, String>>, ServeError> {
        let asked: usize = questions.iter().map(|q| q.rows).sum();
        // Few sizes of batches, so that graphs are used again. The rows that fill up are zeros, and no row sees them.
        let rows = asked.next_power_of_two();
        if self.rows_apart && self.sizes.contains(&rows) {
            return self.answer_or_refuse(engine, weights, questions, rows);
        }
        // Rows that see each other see those of their own question only, and no row that fills up.
        let mut answers = Vec::with_capacity(questions.len());
        for &question in questions {
            answers.extend(self.answer_or_refuse(engine, weights, &[question], question.rows)?);
        }
        Ok(answers)
    }

    /// What no party can compute is refused by all of them; what fails between them ends the service.
    fn answer_or_refuse<E: Replicated>(
        &self,
        engine: &mut E,
        weights: &[E::Value],
        questions: &[&Question],
        rows: usize,
    ) -> Result<Vec<Result<Vec<u64>, String>>, ServeError> {
        let refused = |why: String| Ok(questions.iter().map(|_| Err(why.clone())).collect());
        match self.answer_together(engine, weights, questions, rows) {
            Ok(answers) => Ok(answers.into_iter().map(Ok).collect()),
            Err(ServeError::Model(error)) => {
                refused(format!("the model cannot answer this question: {error}"))
            }
            Err(ServeError::Engine(error)) if !matches!(error, tacit_nn::Error::Protocol(_)) => {
                tracing::warn!("a batch of {rows} rows could not be computed: {error}");
                refused("the model cannot be computed on this number of rows".into())
            }
            Err(error) => Err(error),
        }
    }

    /// One run of the graph of so many rows for these questions.
    fn answer_together<E: Replicated>(
        &self,
        engine: &mut E,
        weights: &[E::Value],
        questions: &[&Question],
        rows: usize,
    ) -> Result<Vec<Vec<u64>>, ServeError> {
        if !self.sizes.contains(&rows) {
            return Err(ModelError::Unprepared { rows }.into());
        }
        // One that was not kept is made anew, as it was before the service began.
        let made;
        let lowered = match self.graphs.get(&rows) {
            Some(lowered) => lowered,
            None => {
                made = self.make(rows)?;
                &made
            }
        };
        let inputs = self.inputs_of(engine, questions, rows)?;
        let (mut inputs, mut weights) = (inputs.iter(), weights.iter());
        let fed: Option<Vec<&E::Value>> = lowered
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
        let outputs = run_on(&lowered.graph, engine, &fed.ok_or(ModelError::Masks)?)?;
        let mut start = 0;
        let mut all = Vec::with_capacity(questions.len());
        for question in questions {
            let (axis, end) = (0, start + question.rows);
            let cut = Layout::Slice { axis, start, end };
            let own: Vec<E::Value> = outputs
                .iter()
                .map(|output| engine.layout(&cut, output))
                .collect::<Result<_, _>>()?;
            all.push(own);
            start = end;
        }
        let clients: Vec<Vec<&E::Value>> = all.iter().map(|own| own.iter().collect()).collect();
        let (me, released) = (engine.session().me(), engine.release_each(&clients)?);
        let answers = released.iter().map(|answer| answer.words(me)).collect();
        #[cfg(test)]
        let answers = super::tests::lies::about_answers(answers);
        Ok(answers)
    }

    /// The inputs of a graph of so many rows: the questions one after the other, made inputs of their kind and within their
    /// bounds on shares, then zeros.
    fn inputs_of<E: Replicated>(
        &self,
        engine: &mut E,
        questions: &[&Question],
        rows: usize,
    ) -> Result<Vec<E::Value>, ServeError> {
        let me = engine.session().me();
        let asked: usize = questions.iter().map(|q| q.rows).sum();
        let unfit = || tacit_nn::Error::Invalid("a question is of another model".into());
        let mut parts: Vec<Vec<E::Value>> = vec![Vec::new(); self.inputs.len()];
        for question in questions {
            let shares = question.shares(me, &self.inputs).ok_or_else(unfit)?;
            for (parts, share) in parts.iter_mut().zip(shares) {
                parts.push(engine.held(share));
            }
        }
        engine.begin_run()?;
        let mut inputs = Vec::with_capacity(parts.len());
        for (k, (parts, port)) in parts.into_iter().zip(&self.inputs).enumerate() {
            let joined = engine.concat(0, &parts.iter().collect::<Vec<_>>())?;
            drop(parts);
            // A client may share any words, and the answer to those far outside would tell more of the weights than
            // answers to numbers do.
            engine.begin_node(k);
            let admit = self.kinds[k].admit(self.bounds[k]);
            let mut input = engine.map(&admit, &[&joined])?.remove(0);
            if rows > asked {
                let shape = [&[rows - asked], &port.shape[..]].concat();
                let zeros = engine.public(&ArrayD::zeros(IxDyn(&shape)))?;
                input = engine.concat(0, &[&input, &zeros])?;
            }
            inputs.push(input);
        }
        Ok(inputs)
    }
}

/// The private weights that a graph takes, by name and in order.
fn weights(lowered: &Lowered) -> Result<Vec<(String, ArrayD<f64>)>, ModelError> {
    let mut weights = Vec::new();
    for source in &lowered.sources {
        match source {
            Source::Weight { name, value } => weights.push((name.clone(), value.clone())),
            Source::Input(_) => {}
            Source::Parameter(_) | Source::Mask { .. } => return Err(ModelError::Masks),
        }
    }
    Ok(weights)
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
