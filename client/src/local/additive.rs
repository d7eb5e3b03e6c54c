//! A run on additive shares: any number of parties as threads, with a dealer or without.

use std::sync::Arc;

use ndarray::ArrayD;
use tacit_mpc::net::MemNet;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Cost, Session};
use tacit_nn::{Error, Graph};
use tacit_protocols::additive::{Additive, AdditiveEngine};

use super::parties::{Named, Result, about, encodable, shared, told};
use super::{Given, Run, Settings, Watch, holds_bits};

/// The engine of a party in a session of `computing` parties, and a dealer behind them or not.
pub(crate) fn engine(
    session: Session,
    dealer: bool,
    fraction_bits: u32,
) -> tacit_nn::Result<AdditiveEngine> {
    let protocol = if dealer {
        Additive::dealt(&session, session.parties() - 1)
    } else {
        Additive::oblivious(&session)
    };
    let protocol = protocol.map_err(|e| Error::Protocol(Box::new(e)))?;
    AdditiveEngine::new(protocol, session, fraction_bits)
}

/// Runs `graph` by as many parties as the settings say. Outputs, and what is watched, are opened to all that compute.
pub(super) fn run(
    dealer: bool,
    graph: &Graph,
    inputs: &[Given],
    settings: Settings,
    watch: Option<&Watch<'_>>,
) -> Result<Run> {
    encodable(inputs, settings.fraction_bits)?;
    let computing = settings.parties;
    let nets = MemNet::mesh(computing + usize::from(dealer));
    let nets = nets.into_iter().map(|net| Arc::new(net) as _);
    let parties = simulate(nets.collect(), |session| {
        let engine = engine(session, dealer, settings.fraction_bits);
        let engine = engine.map_err(|e| about("--fraction-bits", e))?;
        party(engine, computing, graph, inputs, watch)
    });
    let failed = |e| about("session", Error::Protocol(Box::new(e)));
    let parties = parties.into_iter().map(|party| party.map_err(failed)?);
    let (outputs, costs): (Vec<_>, Vec<Cost>) = told(parties.collect())?.into_iter().unzip();
    let most = |of: fn(&Cost) -> u64| costs.iter().map(of).max().unwrap_or(0);
    Ok(Run {
        outputs: outputs.into_iter().next().unwrap_or_default(),
        rounds: most(|c| c.rounds),
        bytes: costs.iter().map(|c| c.bytes).sum(),
        offline_rounds: most(|c| c.offline.rounds),
        offline_bytes: costs.iter().map(|c| c.offline.bytes).sum(),
        ..Run::default()
    })
}

/// One party's whole run; the dealer's is the same on nothing, and what it opens means nothing.
fn party(
    mut engine: AdditiveEngine,
    computing: usize,
    graph: &Graph,
    inputs: &[Given],
    watch: Option<&Watch<'_>>,
) -> Result<(Vec<ArrayD<f64>>, Cost)> {
    let me = engine.session().me();
    let values = shared(inputs, computing, |owner, x| {
        engine.input(owner, x.shape(), (owner == me).then_some(x))
    })?;
    let mut engine = Named::new(engine);
    let outputs = engine.run(graph, &values, |engine, node, port, x| {
        if let Some(watch) = watch
            && !holds_bits(graph, node, port)
        {
            let opened = engine.reveal(x)?;
            if me == 0 {
                watch(node, port, opened);
            }
        }
        Ok(())
    })?;
    let opened = outputs.iter().map(|x| engine.inner.reveal(x));
    let opened: tacit_nn::Result<Vec<_>> = opened.collect();
    let opened = opened.map_err(|e| about("outputs", e))?;
    Ok((opened, engine.inner.session().cost()))
}
