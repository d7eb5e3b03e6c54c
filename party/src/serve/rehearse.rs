//! A batch before there is one: whether the secure engine runs it, and what it takes of the keys.
//!
//! A model may hold what the importer understands and the engine cannot compute at a precision: a function over a range that
//! its words do not have. Found in the middle of a service, it would refuse every question.

use tacit_api::job::{Comparison, Protocol};
use tacit_nn::onnx::{Lowered, Source};
use tacit_nn::{Engine, run};
use tacit_protocols::cost::{CostEngine, Prices, Value as CostValue};
use tacit_protocols::malicious;
use tacit_protocols::rep3::{self, Depth};

use super::inputs::Kind;
use super::model_error::ModelError;
use super::wire::Port;

/// What a batch holds besides its graph.
pub(super) struct Batch<'a> {
    pub(super) protocol: Protocol,
    pub(super) comparison: Comparison,
    pub(super) rows: usize,
    pub(super) fraction_bits: u32,
    pub(super) inputs: &'a [Port],
    pub(super) kinds: &'a [Kind],
    pub(super) bounds: &'a [(f64, f64)],
    /// The shapes of the weights, in the order of the graph's.
    pub(super) weights: &'a [Vec<usize>],
}

/// Runs a batch in the engine that counts instead of computing, from the bounds of its inputs to the release of its answers;
/// the blocks that it takes of each key at most.
///
/// Where links choose the variant of each comparison, they do so later; what compiles with one compiles with the others. The
/// two that draw most are counted together then, so that no choice among all takes more.
///
/// # Errors
/// [`ModelError::Program`] with the first node that the engine refuses.
pub(super) fn rehearse(lowered: &Lowered, batch: &Batch<'_>) -> Result<u64, ModelError> {
    let (f, rows) = (batch.fraction_bits, batch.rows);
    match batch.protocol {
        Protocol::Rep3 => {
            let by = |depth| run_in(rep3::CostEngine::new(f, depth), lowered, batch);
            match batch.comparison {
                Comparison::FewBytes => by(Depth::Three),
                Comparison::FewRounds => by(Depth::Two),
                Comparison::Auto => Ok(by(Depth::One)?.saturating_add(by(Depth::Dcf)?)),
            }
        }
        Protocol::Rep3Malicious => {
            let engine = malicious::CostEngine::new(f);
            let at = "the precision".into();
            let engine = engine.map_err(|source| ModelError::Program { rows, at, source })?;
            run_in(engine, lowered, batch)
        }
    }
}

fn run_in<P: Prices>(
    mut engine: CostEngine<P>,
    lowered: &Lowered,
    batch: &Batch<'_>,
) -> Result<u64, ModelError> {
    let rows = batch.rows;
    let program = |at: String, source| ModelError::Program { rows, at, source };
    let mut inputs = Vec::with_capacity(batch.inputs.len());
    for ((port, kind), &bounds) in batch.inputs.iter().zip(batch.kinds).zip(batch.bounds) {
        let shape = [&[rows], &port.shape[..]].concat();
        let asked = CostValue::shared(&shape);
        let admitted = engine.map(&kind.admit(bounds), &[&asked]);
        let admitted = admitted.map_err(|e| program(format!("input {}", port.name), e))?;
        inputs.extend(admitted);
    }
    let (mut inputs, mut weights) = (inputs.into_iter(), batch.weights.iter());
    let fed: Option<Vec<CostValue>> = lowered
        .sources
        .iter()
        .map(|source| match source {
            Source::Input(_) => inputs.next(),
            Source::Weight { .. } => weights.next().map(|shape| CostValue::shared(shape)),
            Source::Parameter(_) | Source::Mask { .. } => None,
        })
        .collect();
    engine.round_exactly(lowered.graph.last_roundings());
    let graph = &lowered.graph;
    let outputs = run(graph, &mut engine, &fed.ok_or(ModelError::Masks)?);
    let outputs = outputs.map_err(|e| program(place(&lowered.graph, engine.node()), e))?;
    let released = engine.release(&outputs.iter().collect::<Vec<_>>());
    released.map_err(|e| program("the release of the answers".into(), e))?;
    // A draw of n words takes ⌈n/2⌉ blocks of one of a party's two keys: no more than the words of both.
    let drawn = engine.parties().map(|party| party.drawn);
    Ok(drawn.into_iter().max().unwrap_or(0))
}

/// A node as the model names it.
fn place(graph: &tacit_nn::Graph, node: usize) -> String {
    match graph.origin(node) {
        "" => format!("node {node}"),
        origin => format!("{origin}, node {node}"),
    }
}
