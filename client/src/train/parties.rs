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
use tacit_protocols::rep3::{Depth, Rep3Engine, Value};

use super::Trained;
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
        Protocol::Rep3 => on_shares(plan, rows, split, settings, show),
        Protocol::Rep3Malicious | Protocol::Tfhe => {
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

/// The shares of losses that have come, and how many, by epoch.
type Losses = Mutex<BTreeMap<usize, (usize, Wrapping<u64>)>>;

/// Three parties as threads, over memory, with keys agreed as over a network. What leaves are re-randomised shares, put
/// together here as a recipient does.
fn on_shares(
    plan: &Plan,
    rows: &[(usize, Rows)],
    split: &Split,
    settings: Settings,
    show: &Show<'_>,
) -> Result<Trained> {
    let fraction_bits = settings.fraction_bits;
    let losses = Losses::default();
    let note = |epoch: usize, share: Option<u64>| {
        let mut losses = losses.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, sum) = losses.entry(epoch).or_default();
        *count += 1;
        *sum += Wrapping(share.unwrap_or_default());
        if *count == 3 {
            show(epoch, share.map(|_| fixed::decode(*sum, fraction_bits)));
        }
    };
    let nets = MemNet::mesh(3).into_iter().map(|net| Arc::new(net) as _);
    let parties = simulate(nets.collect(), |session| {
        party(session, plan, rows, split, settings, &note)
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
    let parties: Vec<(Vec<u64>, Cost)> = failed.into_iter().chain(done).collect::<Result<_>>()?;
    let words = parties
        .iter()
        .fold(Vec::new(), |sum: Vec<u64>, (words, _)| {
            let add =
                |(k, word): (usize, &u64)| word.wrapping_add(sum.get(k).copied().unwrap_or(0));
            words.iter().enumerate().map(add).collect()
        });
    let released = plan.released()?;
    let mut numbers = (words.into_iter()).map(|w| fixed::decode(Wrapping(w), fraction_bits));
    let tensors = released.tensors.into_iter().map(|part| {
        let values: Vec<f64> = numbers.by_ref().take(part.len()).collect();
        let tensor = ArrayD::from_shape_vec(IxDyn(&part.shape), values)?;
        Ok((part.name, tensor))
    });
    let tensors = tensors.collect::<Result<_>>()?;
    let names = released.metrics.into_iter().map(|part| part.name);
    let shown = plan.recipe().epoch_loss;
    let losses = losses.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Trained {
        tensors,
        metrics: names.zip(numbers).collect(),
        losses: (losses.into_values().filter(|_| shown))
            .map(|(_, sum)| fixed::decode(sum, fraction_bits))
            .collect(),
        rounds: parties.iter().map(|(_, c)| c.rounds).max().unwrap_or(0),
        bytes: parties.iter().map(|(_, c)| c.bytes).sum(),
    })
}

/// One party's training: the words of its share of what is released, and what it sent.
fn party(
    session: Session,
    plan: &Plan,
    rows: &[(usize, Rows)],
    split: &Split,
    settings: Settings,
    note: &(dyn Fn(usize, Option<u64>) + Sync),
) -> Result<(Vec<u64>, Cost)> {
    let depth = Depth::from(settings.comparison);
    let mut e = Rep3Engine::with_depth(session, settings.fraction_bits, depth)?;
    let me = e.session().me();
    let data = collect(rows, |parts| {
        let shares = parts.iter().map(|&(owner, part)| {
            let mine = (owner == me).then(|| part.clone().into_dyn());
            e.input(owner, part.shape(), mine.as_ref())
        });
        let shares = shares.collect::<tacit_nn::Result<Vec<Value>>>()?;
        e.concat(0, &shares.iter().collect::<Vec<_>>())
    })?;
    let released: Released<Value> = plan.train(&mut e, &data, split, &mut |e, epoch, loss| {
        let share = loss.map(|loss| e.release(&[loss])).transpose()?;
        note(epoch, share.and_then(|words| words.first().copied()));
        Ok(())
    })?;
    let values = released.model.iter().chain(&released.metrics);
    let words = e.release(&values.map(|(_, value)| value).collect::<Vec<_>>())?;
    Ok((words, e.session().cost()))
}
