//! The engines of a training on this machine: in plaintext, in the ring, or three parties as threads.

use std::collections::BTreeMap;
use std::num::Wrapping;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use ndarray::{Array2, ArrayD, Axis, IxDyn};
use tacit_mpc::net::MemNet;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Cost, Session};
use tacit_nn::train::{Data, Split};
use tacit_nn::{Engine, Plain, Released, Ring, fixed};
use tacit_party::data::Rows;
use tacit_party::train_job::Plan;
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::{Depth, Rep3Engine};
use tacit_protocols::{Release, Replicated};

use super::Trained;
use crate::local::meeting::{Meeting, put_together};
use crate::local::{Protocol, Settings};

/// Called after every epoch with its number and its loss, where the job shows that.
type Show<'a> = dyn Fn(usize, Option<f64>) + Sync + 'a;

/// Trains on these rows, each part shared by the computing party of that index.
pub(super) fn train(
    protocol: Protocol,
    plan: &Plan,
    rows: &[(usize, Rows)],
    split: &Split,
    settings: impl Into<Settings>,
    show: &Show<'_>,
) -> Result<Trained> {
    let settings @ Settings { fraction_bits, .. } = settings.into();
    match protocol {
        Protocol::Plain => in_the_clear(Plain, plan, rows, split, show, |_, v| v.mapv(f64::from)),
        Protocol::Ring => {
            let decode = |e: &Ring, v: &_| e.decode(v);
            in_the_clear(Ring::new(fraction_bits), plan, rows, split, show, decode)
        }
        Protocol::Rep3 => {
            let depth = Depth::from(settings.comparison);
            let engine = |session| Rep3Engine::with_depth(session, fraction_bits, depth);
            on_shares(engine, plan, rows, split, fraction_bits, show)
        }
        Protocol::Rep3Malicious => {
            let engine = |session| MaliciousEngine::new(session, fraction_bits);
            on_shares(engine, plan, rows, split, fraction_bits, show)
        }
        Protocol::Additive | Protocol::AdditiveDealer | Protocol::Tfhe => {
            bail!("training by {protocol} is not there yet: choose --protocol rep3")
        }
    }
}

/// All rows, one part below the other, as `value` makes them.
fn collect<V>(
    rows: &[(usize, Rows)],
    mut value: impl FnMut(&[(usize, &Array2<f64>)]) -> tacit_nn::Result<V>,
) -> tacit_nn::Result<Data<V>> {
    let mut part = |part: fn(&Rows) -> Option<&Array2<f64>>| {
        let parts = rows.iter().map(|(owner, rows)| Some((*owner, part(rows)?)));
        let parts: Option<Vec<_>> = parts.collect();
        parts.map(|parts| value(&parts)).transpose()
    };
    let missing = || tacit_nn::Error::Invalid("there are no rows".into());
    Ok(Data {
        x: part(|rows| Some(&rows.x))?.ok_or_else(missing)?,
        y: part(|rows| Some(&rows.y))?.ok_or_else(missing)?,
        weights: part(|rows| rows.weights.as_ref())?,
    })
}

fn in_the_clear<E: Engine>(
    mut e: E,
    plan: &Plan,
    rows: &[(usize, Rows)],
    split: &Split,
    show: &Show<'_>,
    decode: impl Fn(&E, &E::Value) -> ArrayD<f64>,
) -> Result<Trained> {
    let data = collect(rows, |parts| {
        let views: Vec<_> = parts.iter().map(|(_, part)| part.view()).collect();
        let joined = ndarray::concatenate(Axis(0), &views);
        let joined = joined.map_err(|e| tacit_nn::Error::Invalid(e.to_string()))?;
        e.public(&joined.into_dyn())
    })?;
    let first = |v: &ArrayD<f64>| v.first().copied().unwrap_or(f64::NAN);
    let mut losses = Vec::new();
    let released = plan.train(&mut e, &data, split, &mut |e, epoch, loss| {
        let loss = loss.map(|loss| first(&decode(e, loss)));
        losses.extend(loss);
        show(epoch, loss);
        Ok(())
    })?;
    let open = |(name, value): &(String, E::Value)| (name.clone(), decode(&e, value));
    let metric = |named| {
        let (name, value) = open(named);
        (name, first(&value))
    };
    Ok(Trained {
        tensors: released.model.iter().map(open).collect(),
        metrics: released.metrics.iter().map(metric).collect(),
        losses,
        ..Trained::default()
    })
}

/// Three parties as threads, over memory, with keys agreed as over a network, each with the engine that `engine` makes. What
/// leaves are re-randomised shares, put together here as a recipient does.
fn on_shares<E: Replicated>(
    engine: impl Fn(Session) -> tacit_nn::Result<E> + Sync,
    plan: &Plan,
    rows: &[(usize, Rows)],
    split: &Split,
    fraction_bits: u32,
    show: &Show<'_>,
) -> Result<Trained> {
    let (meeting, losses) = (Meeting::default(), Mutex::new(BTreeMap::new()));
    let note = |epoch: usize, me: usize, part: Release| {
        if let Some(words) = meeting.bring(epoch, me, part)? {
            let loss = words
                .first()
                .map(|&w| fixed::decode(Wrapping(w), fraction_bits));
            let mut losses = losses.lock().unwrap_or_else(PoisonError::into_inner);
            losses.extend(loss.map(|loss| (epoch, loss)));
            show(epoch, loss);
        }
        Ok(())
    };
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let parties = simulate(nets.collect(), |session| {
        party(engine(session)?, plan, rows, split, &note)
    });
    // The error that says most comes first: the others only say that a peer is gone.
    let (done, mut failed): (Vec<_>, Vec<_>) =
        (parties.into_iter().map(|party| party?)).partition(|party: &Result<_>| party.is_ok());
    failed.sort_by_key(|party| match party {
        Err(e) => !matches!(
            e.downcast_ref::<tacit_nn::Error>(),
            Some(tacit_nn::Error::Range { .. } | tacit_nn::Error::Invalid(_))
        ),
        Ok(_) => true,
    });
    let parties = failed.into_iter().chain(done).collect::<Result<Vec<_>>>()?;
    let (parts, costs): (Vec<Release>, Vec<Cost>) = parties.into_iter().unzip();
    let words = put_together(&parts)?;
    let released = plan.released()?;
    let mut numbers = (words.into_iter()).map(|w| fixed::decode(Wrapping(w), fraction_bits));
    let tensors = released.tensors.into_iter().map(|part| {
        let values: Vec<f64> = numbers.by_ref().take(part.len()).collect();
        let tensor = ArrayD::from_shape_vec(IxDyn(&part.shape), values)?;
        Ok((part.name, tensor))
    });
    let tensors = tensors.collect::<Result<_>>()?;
    let names = released.metrics.into_iter().map(|part| part.name);
    let losses = losses.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Trained {
        tensors,
        metrics: names.zip(numbers).collect(),
        losses: losses.into_values().collect(),
        rounds: costs.iter().map(|c| c.rounds).max().unwrap_or(0),
        bytes: costs.iter().map(|c| c.bytes).sum(),
    })
}

/// One party's training: what it releases, and what it sent.
fn party<E: Replicated>(
    mut e: E,
    plan: &Plan,
    rows: &[(usize, Rows)],
    split: &Split,
    note: &(dyn Fn(usize, usize, Release) -> tacit_nn::Result<()> + Sync),
) -> Result<(Release, Cost)> {
    let me = e.session().me();
    let data = collect(rows, |parts| {
        let shares = parts.iter().map(|&(owner, part)| {
            let mine = (owner == me).then(|| part.clone().into_dyn());
            e.input(owner, part.shape(), mine.as_ref())
        });
        let shares = shares.collect::<tacit_nn::Result<Vec<_>>>()?;
        e.concat(0, &shares.iter().collect::<Vec<_>>())
    })?;
    let released: Released<E::Value> =
        plan.train(&mut e, &data, split, &mut |e, epoch, loss| {
            let part = loss.map(|loss| e.release(&[loss])).transpose()?;
            note(epoch, me, part.unwrap_or_default())
        })?;
    let values = released.model.iter().chain(&released.metrics);
    let part = e.release(&values.map(|(_, value)| value).collect::<Vec<_>>())?;
    Ok((part, e.session().cost()))
}
