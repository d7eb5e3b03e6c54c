//! How many rows there are, before any of them is shared.
//!
//! Without padding, contributors announce their numbers to the computing parties, who need them as shapes. With padding,
//! everybody contributes as many rows as the job says and shares how many of them are real; the computing parties open
//! the sum alone. Contributors that do not compute are told the total.

use bytes::Bytes;
use ndarray::ArrayD;
use tacit_api::job::JobSpec;
use tacit_mpc::net::Transport;
use tacit_mpc::{Error, PartyId, Tensor};
use tacit_nn::{Engine, fixed};
use tacit_protocols::rep3::{Rep3Engine, contribute};

use crate::data::Rows;
use crate::seats::{COMPUTING, Seats};
use crate::training::{TrainError, exchange};

/// Most numbers that one contributor may share: half a gigabyte of words. Nobody sets more memory aside on a word of
/// somebody else, and a link holds as much unread, so that contributors can share at the same time.
const MOST_CELLS: usize = 1 << 26;

/// Most rows that one contributor may share in `job`, padding included.
pub(crate) fn most_rows(job: &JobSpec) -> usize {
    // Features, label or one-hot labels, weight.
    MOST_CELLS / (job.data.features.len() + job.data.classes + 1)
}

/// The numbers of rows, as a computing party knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowCounts {
    /// Rows that each contributor shares, padding included, in the order of their indices.
    pub(crate) each: Vec<usize>,
    /// Rows of all contributors without padding.
    pub(crate) total: usize,
}

impl RowCounts {
    /// Rows of all contributors, padding included.
    pub(crate) fn shared(&self) -> usize {
        self.each.iter().sum()
    }
}

/// A contributor's part: announces or shares its number of rows, hears the total. For contributors that do not compute.
pub(crate) fn announce(
    net: &dyn Transport,
    rows: &Rows,
    fraction_bits: u32,
) -> Result<usize, TrainError> {
    if rows.weights.is_some() {
        contribute::send(net, &encode(rows.real(), fraction_bits)?)?;
    } else {
        send_to_computing(net, rows.len())?;
    }
    let totals: Result<Vec<usize>, Error> = (0..COMPUTING)
        .map(|from| receive_number(net, from))
        .collect();
    match totals?[..] {
        [total, second, third] if total == second && total == third => Ok(total),
        _ => Err(TrainError::Totals),
    }
}

/// A computing party's part: collects the numbers of all contributors, announcing or sharing its own if it is one.
pub(crate) fn collect(
    engine: &mut Rep3Engine,
    net: &dyn Transport,
    seats: &Seats,
    job: &JobSpec,
    rows: Option<&Rows>,
) -> Result<RowCounts, TrainError> {
    if let Some(bound) = job.data.pad_rows {
        let own = rows
            .map(|rows| encode(rows.real(), job.training.fraction_bits))
            .transpose()?;
        let shapes = seats.contributors().iter().map(|_| vec![1, 1]);
        let shares = exchange(net, seats, own.as_ref(), shapes)?;
        let terms: Vec<_> = shares.iter().map(|share| (1, share)).collect();
        let total = engine.linear(&terms, 0.0)?;
        let total = engine.reveal(&total)?.sum().round().max(0.0) as usize;
        return Ok(RowCounts {
            each: vec![bound; seats.contributors().len()],
            total,
        });
    }
    if let Some(rows) = rows {
        send_to_computing(net, rows.len())?;
    }
    let most = most_rows(job);
    let count = |&from: &PartyId| match rows {
        Some(rows) if from == seats.me() => Ok(rows.len()),
        _ => receive_number(net, from).and_then(|count| match count {
            count if (1..=most).contains(&count) => Ok(count),
            count => {
                let what = format!(
                    "it announced {count} rows; this job takes 1 to {most} of each contributor"
                );
                Err(Error::PeerMisbehaved { peer: from, what })
            }
        }),
    };
    let each: Vec<usize> = seats
        .contributors()
        .iter()
        .map(count)
        .collect::<Result<_, _>>()?;
    let total = each.iter().sum();
    Ok(RowCounts { each, total })
}

/// A computing party tells the contributors that do not compute.
pub(crate) fn tell(net: &dyn Transport, seats: &Seats, total: usize) -> Result<(), Error> {
    seats
        .outside()
        .try_for_each(|to| Ok(net.send(to, number(total))?))
}

fn send_to_computing(net: &dyn Transport, count: usize) -> Result<(), Error> {
    let others = (0..COMPUTING).filter(|&to| to != net.me());
    others
        .into_iter()
        .try_for_each(|to| Ok(net.send(to, number(count))?))
}

fn number(count: usize) -> Bytes {
    Bytes::copy_from_slice(&(count as u64).to_le_bytes())
}

fn receive_number(net: &dyn Transport, from: PartyId) -> Result<usize, Error> {
    let frame = net.recv(from)?;
    let number = frame[..]
        .try_into()
        .ok()
        .map(u64::from_le_bytes)
        .and_then(|n| usize::try_from(n).ok());
    let what = || format!("it sent {} bytes instead of a number of rows", frame.len());
    number.ok_or_else(|| Error::PeerMisbehaved {
        peer: from,
        what: what(),
    })
}

fn encode(count: usize, fraction_bits: u32) -> Result<Tensor, TrainError> {
    Ok(fixed::encode_tensor(
        &ArrayD::from_elem(vec![1, 1], count as f64),
        fraction_bits,
    )?)
}
