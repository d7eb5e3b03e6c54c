//! A run on shares of which one holder may cheat: everything is proved before anything is opened.

use std::sync::Arc;

use ndarray::ArrayD;
use tacit_mpc::net::MemNet;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Cost, Session};
use tacit_nn::{Error, Graph};
use tacit_protocols::malicious::MaliciousEngine;

use super::parties::{Given, Named, Result, Run, Watch, about, encodable, shared, told};
use super::{Settings, holds_bits};

/// Three parties as threads, over memory, with keys agreed as over a network. Outputs are opened to all of them.
pub(super) fn proved(
    graph: &Graph,
    inputs: &[Given],
    Settings { fraction_bits, .. }: Settings,
    watch: Option<&Watch<'_>>,
) -> Result<Run> {
    encodable(inputs, fraction_bits)?;
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let parties = simulate(nets.collect(), |session| {
        party(session, graph, inputs, fraction_bits, watch)
    });
    let failed = |e| about("session", Error::Protocol(Box::new(e)));
    let parties = parties.into_iter().map(|party| party.map_err(failed)?);
    let (mut outputs, costs): (Vec<_>, Vec<Cost>) = told(parties.collect())?.into_iter().unzip();
    Ok(Run {
        outputs: outputs.swap_remove(0),
        rounds: costs.iter().map(|c| c.rounds).max().unwrap_or(0),
        bytes: costs.iter().map(|c| c.bytes).sum(),
        ..Run::default()
    })
}

/// One party's whole run: the outputs, and what it sent. Who watches has every value proved and opened by itself.
fn party(
    session: Session,
    graph: &Graph,
    inputs: &[Given],
    fraction_bits: u32,
    watch: Option<&Watch<'_>>,
) -> Result<(Vec<ArrayD<f64>>, Cost)> {
    let mut engine =
        MaliciousEngine::new(session, fraction_bits).map_err(|e| about("--fraction-bits", e))?;
    let me = engine.session().me();
    let values = shared(inputs, |owner, x| {
        engine.input(owner, x.shape(), (owner == me).then_some(x))
    })?;
    let mut engine = Named::new(engine);
    let outputs = engine.run(graph, &values, |engine, node, port, x| {
        if let Some(watch) = watch
            && !holds_bits(graph, node, port)
        {
            let value = engine.reveal(x)?;
            if me == 0 {
                watch(node, port, value);
            }
        }
        Ok(())
    })?;
    let opened = engine.inner.prove().and_then(|proved| {
        let outputs = outputs.iter().map(|x| proved.reveal(x));
        outputs.collect::<tacit_nn::Result<_>>()
    });
    let opened = opened.map_err(|e| about("outputs", e))?;
    Ok((opened, engine.inner.session().cost()))
}
