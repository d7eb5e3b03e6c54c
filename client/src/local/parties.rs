//! One run of a graph: what it gives, and what it costs.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use ndarray::ArrayD;
use tacit_mpc::net::MemNet;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Bilinear, Cost, Session};
use tacit_nn::engine::Product;
use tacit_nn::{Engine, Error, Graph, Layout, Plain, Program, Ring, fixed};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::{Depth, Rep3Engine};
use tacit_protocols::{Release, Replicated};

use super::meeting::{Meeting, decoded, put_together};
use super::{Failed, Protocol, Settings, additive, holds_bits, place};
use crate::usage::{Scope, cpu_seconds};

/// An input of a graph, and which of the parties has it.
#[derive(Clone, Debug)]
pub struct Given {
    /// What it is, for errors.
    pub name: String,
    /// The party that shares it, from 0 on.
    pub owner: usize,
    /// Its value.
    pub value: ArrayD<f64>,
}

/// What a run gave, and what it cost.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The graph's outputs.
    pub outputs: Vec<ArrayD<f64>>,
    /// Wall time, from the agreement on keys to the outputs.
    pub seconds: f64,
    /// Processor time of all parties.
    pub cpu_seconds: f64,
    /// The longest chain of messages that had to wait for each other.
    pub rounds: u64,
    /// Payload of all parties together.
    pub bytes: u64,
    /// Rounds for correlations that depend on nobody's data, if all are made at once and before.
    pub offline_rounds: u64,
    /// Payload of all parties together for them.
    pub offline_bytes: u64,
}

/// What may look at every tensor of numbers of a run: node, port, value. Several threads call it.
pub type Watch<'a> = dyn Fn(usize, usize, ArrayD<f64>) + Sync + 'a;

pub(super) type Result<T> = std::result::Result<T, Failed>;

/// An error that is about no node.
pub(super) fn about(place: impl Into<String>, error: Error) -> Failed {
    Failed {
        place: place.into(),
        node: None,
        error,
    }
}

/// Runs `graph`.
///
/// # Errors
/// Names the node that fails, and says why.
pub fn run(
    protocol: Protocol,
    graph: &Graph,
    inputs: &[Given],
    settings: impl Into<Settings>,
    watch: Option<&Watch<'_>>,
) -> Result<Run> {
    let settings @ Settings { fraction_bits, .. } = settings.into();
    let (start, cpu) = (Instant::now(), cpu_seconds(Scope::Process));
    let run = match protocol {
        Protocol::Plain => Run {
            outputs: plain(graph, inputs, watch)?,
            ..Run::default()
        },
        Protocol::Ring => Run {
            outputs: ring(graph, inputs, fraction_bits, watch)?,
            ..Run::default()
        },
        Protocol::Rep3 => {
            let depth = Depth::from(settings.comparison);
            let engine = |session| Rep3Engine::with_depth(session, fraction_bits, depth);
            on_shares(engine, graph, inputs, fraction_bits, watch)?
        }
        Protocol::Rep3Malicious => {
            let engine = |session| MaliciousEngine::new(session, fraction_bits);
            on_shares(engine, graph, inputs, fraction_bits, watch)?
        }
        Protocol::Additive | Protocol::AdditiveDealer => {
            let dealer = protocol == Protocol::AdditiveDealer;
            additive::run(dealer, graph, inputs, settings, watch)?
        }
        Protocol::Tfhe => {
            return Err(about(
                "protocol",
                Error::Invalid(format!("{protocol} is not there yet")),
            ));
        }
    };
    Ok(Run {
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(Scope::Process) - cpu,
        ..run
    })
}

fn plain(graph: &Graph, inputs: &[Given], watch: Option<&Watch<'_>>) -> Result<Vec<ArrayD<f64>>> {
    let values: Vec<_> = inputs.iter().map(|x| x.value.mapv(|v| v as f32)).collect();
    let outputs = observed(graph, Plain, &values, |_, node, port, x| {
        if let Some(watch) = watch
            && !holds_bits(graph, node, port)
        {
            watch(node, port, x.mapv(f64::from));
        }
        Ok(())
    })?;
    Ok(outputs.into_iter().map(|x| x.mapv(f64::from)).collect())
}

fn ring(
    graph: &Graph,
    inputs: &[Given],
    fraction_bits: u32,
    watch: Option<&Watch<'_>>,
) -> Result<Vec<ArrayD<f64>>> {
    let engine = Ring::new(fraction_bits);
    let values = inputs.iter().map(|x| {
        let words = engine.encode(&x.value);
        words.map_err(|e| about(&x.name[..], e))
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    let outputs = observed(graph, engine, &values, |engine, node, port, x| {
        if let Some(watch) = watch
            && !holds_bits(graph, node, port)
        {
            watch(node, port, engine.decode(x));
        }
        Ok(())
    })?;
    Ok(outputs.iter().map(|x| engine.decode(x)).collect())
}

/// Three parties as threads, over memory, with keys agreed as over a network, each with the engine that `engine` makes. Each
/// input is shared by its owner; what leaves are re-randomised shares, put together by whoever asked.
fn on_shares<E: Replicated>(
    engine: impl Fn(Session) -> tacit_nn::Result<E> + Sync,
    graph: &Graph,
    inputs: &[Given],
    fraction_bits: u32,
    watch: Option<&Watch<'_>>,
) -> Result<Run> {
    encodable(inputs, fraction_bits)?;
    let meeting = Meeting::default();
    let watch = watch.map(|watch| (watch, &meeting, fraction_bits));
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let parties = simulate(nets.collect(), |session| {
        let engine = engine(session).map_err(|e| about("--fraction-bits", e))?;
        party(engine, graph, inputs, watch)
    });
    let failed = |e| about("session", Error::Protocol(Box::new(e)));
    let parties = parties.into_iter().map(|party| party.map_err(failed)?);
    let (released, costs): (Vec<Released>, Vec<Cost>) =
        told(parties.collect())?.into_iter().unzip();
    let (parts, shapes): (Vec<_>, Vec<_>) = released.into_iter().unzip();
    let words = put_together(&parts).map_err(|e| about("outputs", e))?;
    let mut words = words.into_iter();
    let outputs = shapes.into_iter().next().unwrap_or_default().into_iter();
    let outputs = outputs.map(|shape| {
        let own = words.by_ref().take(shape.iter().product());
        decoded(own.collect(), &shape, fraction_bits)
    });
    let outputs = outputs.collect::<tacit_nn::Result<_>>();
    Ok(Run {
        outputs: outputs.map_err(|e| about("outputs", e))?,
        rounds: costs.iter().map(|c| c.rounds).max().unwrap_or(0),
        bytes: costs.iter().map(|c| c.bytes).sum(),
        ..Run::default()
    })
}

/// All results, or the error that says most: the others of a failed run only say that a peer is gone.
pub(super) fn told<T>(parties: Vec<Result<T>>) -> Result<Vec<T>> {
    let (done, mut failed): (Vec<_>, Vec<_>) = parties.into_iter().partition(Result::is_ok);
    failed.sort_by_key(
        |party| matches!(party, Err(failed) if matches!(failed.error, Error::Protocol(_))),
    );
    failed.into_iter().chain(done).collect()
}

/// Who watches a run, where the parties bring what they release of each value, and fractional bits.
type Watched<'a> = (&'a Watch<'a>, &'a Meeting<(usize, usize)>, u32);

/// What a party releases of all outputs, and their shapes.
type Released = (Release, Vec<Vec<usize>>);

/// One party's whole run: what it releases of the outputs, and what it sent.
fn party<E: Replicated>(
    mut engine: E,
    graph: &Graph,
    inputs: &[Given],
    watched: Option<Watched<'_>>,
) -> Result<(Released, Cost)> {
    let me = engine.session().me();
    let values = shared(inputs, 3, |owner, x| {
        engine.input(owner, x.shape(), (owner == me).then_some(x))
    })?;
    let mut engine = Named::new(engine);
    let outputs = engine.run(graph, &values, |engine, node, port, x| {
        if let Some((watch, meeting, fraction_bits)) = watched
            && !holds_bits(graph, node, port)
            && let Some(words) = meeting.bring((node, port), me, engine.release(&[x])?)?
        {
            watch(node, port, decoded(words, &engine.shape(x), fraction_bits)?);
        }
        Ok(())
    })?;
    let shapes = outputs.iter().map(|x| engine.inner.shape(x)).collect();
    let released = engine.inner.release(&outputs.iter().collect::<Vec<_>>());
    let released = released.map_err(|e| about("outputs", e))?;
    Ok(((released, shapes), engine.inner.session().cost()))
}

/// Shares every input by its owner.
pub(super) fn shared<V: Clone>(
    inputs: &[Given],
    parties: usize,
    mut share: impl FnMut(usize, &ArrayD<f64>) -> tacit_nn::Result<V>,
) -> Result<Vec<V>> {
    let mut values = vec![None; inputs.len()];
    // Owner by owner: an owner that waited for another's share in between would begin a new round.
    for owner in 0..parties {
        let own = inputs.iter().zip(&mut values);
        for (x, value) in own.filter(|(x, _)| x.owner == owner) {
            *value = Some(share(owner, &x.value).map_err(|e| about("inputs", e))?);
        }
    }
    let values: Option<Vec<V>> = values.into_iter().collect();
    let nobody = || Error::Invalid(format!("the parties are 0 to {}", parties - 1));
    values.ok_or_else(|| about("inputs", nobody()))
}

/// Whether all inputs have an encoding: asked before the parties start, so that the error is about the input and not about a
/// party that left.
pub(super) fn encodable(inputs: &[Given], fraction_bits: u32) -> Result<()> {
    inputs.iter().try_for_each(|x| {
        let encoded = fixed::encode_tensor(&x.value, fraction_bits);
        encoded.map(drop).map_err(|e| about(&x.name[..], e))
    })
}

/// Runs a graph on an engine; an error names what the node was made for.
fn observed<E: Engine>(
    graph: &Graph,
    engine: E,
    inputs: &[E::Value],
    observer: impl FnMut(&mut E, usize, usize, &E::Value) -> tacit_nn::Result<()>,
) -> Result<Vec<E::Value>> {
    Named::new(engine).run(graph, inputs, observer)
}

/// An engine that knows at which node it is.
pub(super) struct Named<E> {
    pub(super) inner: E,
    node: Cell<Option<usize>>,
}

impl<E: Engine> Named<E> {
    pub(super) fn new(inner: E) -> Self {
        let node = Cell::new(None);
        Self { inner, node }
    }

    pub(super) fn run(
        &mut self,
        graph: &Graph,
        inputs: &[E::Value],
        mut observer: impl FnMut(&mut E, usize, usize, &E::Value) -> tacit_nn::Result<()>,
    ) -> Result<Vec<E::Value>> {
        let outputs = tacit_nn::run_observed(graph, self, inputs, &mut |node, port, e, x| {
            observer(&mut e.inner, node, port, x)
        });
        let node = self.node.get();
        outputs.map_err(|error| Failed {
            place: node.map_or_else(|| "inputs".into(), |node| place(graph, node)),
            node,
            error,
        })
    }
}

impl<E: Engine> Engine for Named<E> {
    type Value = E::Value;

    fn begin_run(&mut self) -> tacit_nn::Result<()> {
        self.inner.begin_run()
    }

    fn begin_node(&mut self, node: usize) {
        self.node.set(Some(node));
        self.inner.begin_node(node);
    }

    fn public(&mut self, x: &ArrayD<f64>) -> tacit_nn::Result<E::Value> {
        self.inner.public(x)
    }

    fn shape(&self, x: &E::Value) -> Vec<usize> {
        self.inner.shape(x)
    }

    fn layout(&mut self, layout: &Layout, x: &E::Value) -> tacit_nn::Result<E::Value> {
        self.inner.layout(layout, x)
    }

    fn concat(&mut self, axis: usize, xs: &[&E::Value]) -> tacit_nn::Result<E::Value> {
        self.inner.concat(axis, xs)
    }

    fn linear(&mut self, terms: &[(i64, &E::Value)], bias: f64) -> tacit_nn::Result<E::Value> {
        self.inner.linear(terms, bias)
    }

    fn products(
        &mut self,
        terms: &[Product<'_, E::Value>],
        scale: f64,
    ) -> tacit_nn::Result<E::Value> {
        self.inner.products(terms, scale)
    }

    fn products_unrounded(
        &mut self,
        terms: &[Product<'_, E::Value>],
    ) -> tacit_nn::Result<E::Value> {
        self.inner.products_unrounded(terms)
    }

    fn unrounded(&mut self, x: &E::Value) -> tacit_nn::Result<E::Value> {
        self.inner.unrounded(x)
    }

    fn round(&mut self, x: E::Value) -> tacit_nn::Result<E::Value> {
        self.inner.round(x)
    }

    fn bilinear(
        &mut self,
        f: Bilinear,
        x: &E::Value,
        y: &E::Value,
        scale: f64,
    ) -> tacit_nn::Result<E::Value> {
        self.inner.bilinear(f, x, y, scale)
    }

    fn map(&mut self, program: &Program, inputs: &[&E::Value]) -> tacit_nn::Result<Vec<E::Value>> {
        self.inner.map(program, inputs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use ndarray::arr2;

    use super::super::distance;
    use super::*;

    /// relu(x·w) with `factor` in w.
    fn network(factor: f64) -> (Graph, Vec<Given>) {
        let mut g = Graph::new();
        g.set_origin("inputs");
        let (x, w) = (g.input(&[2, 2]), g.input(&[2, 2]));
        g.set_origin("MatMul fc");
        let z = g.matmul(x, w).unwrap();
        g.set_origin("Relu activation");
        let y = g.relu(z).unwrap();
        g.output(y);
        let given = |owner: usize, value| Given {
            name: format!("input {owner}"),
            owner,
            value,
        };
        let inputs = vec![
            given(0, arr2(&[[1.0, -2.0], [0.5, 4.0]]).into_dyn()),
            given(1, (arr2(&[[1.0, 0.25], [-1.0, 3.0]]) * factor).into_dyn()),
        ];
        (g, inputs)
    }

    #[test]
    fn every_protocol_gives_the_same_and_only_shares_are_sent() {
        let (graph, inputs) = network(1.0);
        let want = arr2(&[[3.0, 0.0], [0.0, 12.125]]).into_dyn();
        for protocol in [
            Protocol::Plain,
            Protocol::Ring,
            Protocol::Rep3,
            Protocol::Rep3Malicious,
            Protocol::Additive,
            Protocol::AdditiveDealer,
        ] {
            let run = run(protocol, &graph, &inputs, 18, None).unwrap();
            let additive = matches!(protocol, Protocol::Additive | Protocol::AdditiveDealer);
            assert_eq!(run.offline_bytes > 0, additive, "{protocol}");
            assert!(
                distance(&run.outputs[0], &want) < 1e-4,
                "{protocol}: {}",
                run.outputs[0]
            );
            // One round for the inputs of each of two owners, 2 for the product, 6 for the comparison and the choice.
            let rounds = match protocol {
                Protocol::Rep3 => Some(10),
                Protocol::Plain | Protocol::Ring => Some(0),
                _ => None,
            };
            assert!(
                rounds.is_none_or(|r| r == run.rounds),
                "{protocol}: {}",
                run.rounds
            );
            assert_eq!(run.bytes > 0, rounds != Some(0), "{protocol}");
        }
    }

    #[test]
    fn who_watches_sees_all_numbers_and_no_bits() {
        let (graph, inputs) = network(1.0);
        let mut first: Option<Vec<(usize, usize)>> = None;
        for protocol in [
            Protocol::Plain,
            Protocol::Ring,
            Protocol::Rep3,
            Protocol::Rep3Malicious,
            Protocol::Additive,
            Protocol::AdditiveDealer,
        ] {
            let seen = Mutex::new(HashMap::new());
            let watch = |node, port, x: ArrayD<f64>| {
                seen.lock().unwrap().insert((node, port), x);
            };
            let run = run(protocol, &graph, &inputs, 18, Some(&watch)).unwrap();
            let seen = seen.into_inner().unwrap();
            let mut places: Vec<_> = seen.keys().copied().collect();
            places.sort_unstable();
            assert_eq!(first.get_or_insert_with(|| places.clone()), &places);
            assert_eq!(distance(&seen[&(3, 0)], &run.outputs[0]), 0.0, "{protocol}");
            assert!((seen[&(2, 0)][[0, 1]] + 5.75).abs() < 1e-4, "{protocol}");
        }
    }

    #[test]
    fn more_parties_give_the_same() {
        let (graph, inputs) = network(1.0);
        let want = arr2(&[[3.0, 0.0], [0.0, 12.125]]).into_dyn();
        for protocol in [Protocol::Additive, Protocol::AdditiveDealer] {
            for parties in [3, 5] {
                let settings = Settings {
                    parties,
                    ..Settings::from(18)
                };
                let run = run(protocol, &graph, &inputs, settings, None).unwrap();
                let off = distance(&run.outputs[0], &want);
                assert!(off < 1e-4, "{protocol}, {parties} parties: {off}");
            }
            for bad in [0, 1, 17] {
                assert!(protocol.parties(Some(bad)).is_err());
            }
        }
        assert!(Protocol::Rep3.parties(Some(2)).is_err());
    }

    #[test]
    fn overflow_names_the_node_of_the_model() {
        let (graph, inputs) = network(2f64.powi(40));
        let failed = run(Protocol::Ring, &graph, &inputs, 18, None).unwrap_err();
        assert_eq!((failed.node, &failed.place[..]), (Some(2), "MatMul fc"));
        assert!(failed.to_string().contains("scale the inputs"), "{failed}");
        let (graph, inputs) = network(2f64.powi(50));
        for protocol in [Protocol::Ring, Protocol::Rep3] {
            let failed = run(protocol, &graph, &inputs, 18, None).unwrap_err();
            assert!(failed.to_string().starts_with("input 1: "), "{failed}");
        }
        let (graph, inputs) = network(1.0);
        let failed = run(Protocol::Rep3, &graph, &inputs, 40, None).unwrap_err();
        assert!(
            failed.to_string().starts_with("--fraction-bits: "),
            "{failed}"
        );
        assert!(run(Protocol::Tfhe, &graph, &inputs, 18, None).is_err());
    }
}
