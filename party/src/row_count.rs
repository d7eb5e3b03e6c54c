//! How many rows there are, before any of them is shared.
//!
//! Without padding, contributors announce their numbers to the computing parties, who need them as shapes. With padding,
//! everybody contributes as many rows as the job says and shares the weight of each, 1 or 0, first; the computing parties
//! open the sum of all weights: the weights that are counted are those that train. Contributors that do not compute are told
//! the total.
//!
//! That each weight is 0 or 1 is checked on shares: of w as an integer mod 2^64, w(w-1) is opened, which is 0 for these two alone
//! (w and w-1 have no factor in common, so 2^64 divides one of them) and tells nothing else of an honest contributor. 24 bytes
//! and 1 round a row, and the opening with that of the sum.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tacit_api::job::JobSpec;
use tacit_mpc::net::Transport;
use tacit_mpc::{Bilinear, Error, PartyId};
use tacit_nn::Layout;
use tacit_protocols::Replicated;
use tacit_protocols::rep3::contribute;

use crate::data::Rows;
use crate::seats::{COMPUTING, Seats};
use crate::training::{TrainError, encode, exchange};

/// Most numbers that the contributors of a job may share, all together: half a gigabyte of words. Nobody sets more memory
/// aside on a word of somebody else, and a link holds as much unread, so that contributors can share at the same time.
const MOST_CELLS: usize = 1 << 26;

/// Most rows that one contributor may share in `job`. With padding everybody shares as many, so that they divide the most
/// that all may share; without, who brings few leaves room for others.
pub(crate) fn most_rows(job: &JobSpec) -> usize {
    match job.data.pad_rows {
        Some(_) => most_rows_of_all(job) / job.contributors.len().max(1),
        None => most_rows_of_all(job),
    }
}

fn most_rows_of_all(job: &JobSpec) -> usize {
    // Features, label or one-hot labels, weight.
    MOST_CELLS / (job.data.features.len() + job.data.label_width().max(job.data.classes) + 1)
}

/// The numbers of rows, as a computing party knows them.
#[derive(Debug, Clone)]
pub(crate) struct RowCounts<V> {
    /// Rows that each contributor shares, padding included, in the order of their indices.
    pub(crate) each: Vec<usize>,
    /// Rows of all contributors without padding.
    pub(crate) total: usize,
    /// With padding, the weights of all rows, one below the other.
    pub(crate) weights: Option<V>,
}

impl<V> RowCounts<V> {
    /// Rows of all contributors, padding included.
    pub(crate) fn shared(&self) -> usize {
        self.each.iter().sum()
    }
}

/// A contributor's part: announces its number of rows or shares their weights, hears the total. For contributors that do
/// not compute.
pub(crate) fn announce(
    net: &dyn Transport,
    job: &JobSpec,
    rows: &Rows,
) -> Result<usize, TrainError> {
    if let Some(weights) = &rows.weights {
        contribute::send(net, &encode(weights, 0)?)?;
    } else {
        send_to_computing(net, rows.len())?;
    }
    let totals: Result<Vec<usize>, Error> = (0..COMPUTING)
        .map(|from| receive_number(net, from))
        .collect();
    let total = match totals?[..] {
        [total, second, third] if total == second && total == third => total,
        _ => return Err(TrainError::Totals),
    };
    let most = match job.data.pad_rows {
        Some(bound) => bound.saturating_mul(job.contributors.len()),
        None => most_rows_of_all(job),
    };
    if total > most {
        return Err(TrainError::TooManyRows { most });
    }
    Ok(total)
}

/// A computing party's part: collects the numbers of all contributors or the weights of their rows, announcing or sharing
/// its own if it is one.
pub(crate) fn collect<E: Replicated>(
    engine: &mut E,
    net: &dyn Transport,
    seats: &Seats,
    job: &JobSpec,
    rows: Option<&Rows>,
) -> Result<RowCounts<E::Value>, TrainError> {
    match job.data.pad_rows {
        Some(bound) => {
            let fraction_bits = job.training.fraction_bits;
            collect_weights(engine, net, seats, rows, bound, fraction_bits)
        }
        None => collect_numbers(net, seats, job, rows),
    }
}

fn collect_weights<E: Replicated>(
    engine: &mut E,
    net: &dyn Transport,
    seats: &Seats,
    rows: Option<&Rows>,
    bound: usize,
    fraction_bits: u32,
) -> Result<RowCounts<E::Value>, TrainError> {
    let contributors = seats.contributors();
    let each = vec![bound; contributors.len()];
    let own = rows.and_then(|rows| rows.weights.as_ref());
    // As integers: the word 1 is the number 2^-f.
    let unit = (-f64::from(fraction_bits)).exp2();
    let own = own.map(|weights| weights * unit);
    let shapes = each.iter().map(|&rows| vec![rows, 1]);
    let words = exchange(engine, net, seats, own.as_ref(), shapes)?;
    let total = open_count(engine, &words, unit)?.map_err(|row| TrainError::Weight {
        contributor: contributors[row / bound],
    })?;
    Ok(RowCounts {
        each,
        total,
        weights: Some(engine.linear(&[(1 << fraction_bits, &words)], 0.0)?),
    })
}

/// Opens how many of these weights, integers times `unit`, are 1, or a row of which the weight is neither 0 nor 1.
fn open_count<E: Replicated>(
    engine: &mut E,
    words: &E::Value,
    unit: f64,
) -> Result<Result<usize, usize>, TrainError> {
    let squares = engine.product(Bilinear::Mul, words, words)?;
    let wrong = engine.linear(&[(1, &squares), (-1, words)], 0.0)?;
    let sum = engine.layout(&Layout::Sum { axis: 0 }, words)?;
    let opened = engine.open(&[&wrong, &sum])?;
    Ok(match opened[0].iter().position(|&wrong| wrong != 0.0) {
        Some(row) => Err(row),
        // Exact: so many ones.
        None => Ok((opened[1].sum() / unit) as usize),
    })
}

fn collect_numbers<V>(
    net: &dyn Transport,
    seats: &Seats,
    job: &JobSpec,
    rows: Option<&Rows>,
) -> Result<RowCounts<V>, TrainError> {
    if let Some(rows) = rows {
        send_to_computing(net, rows.len())?;
    }
    let most = most_rows_of_all(job);
    let count = |&from: &PartyId| match rows {
        Some(rows) if from == seats.me() => Ok(rows.len()),
        _ => receive_number(net, from).and_then(|count| match count {
            count if (1..=most).contains(&count) => Ok(count),
            count => {
                let what = format!(
                    "it announced {count} rows; this job takes 1 to {most} of all contributors"
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
    compare(net, &each)?;
    let total = each.iter().fold(0, |sum: usize, &n| sum.saturating_add(n));
    if total > most {
        return Err(TrainError::TooManyRows { most });
    }
    Ok(RowCounts {
        each,
        total,
        weights: None,
    })
}

/// Who announces different numbers to different parties makes them compute on different shapes: all compare what they heard,
/// before a row is shared.
fn compare(net: &dyn Transport, each: &[usize]) -> Result<(), TrainError> {
    let hash = each.iter().fold(Sha256::new(), |hash, &rows| {
        hash.chain_update((rows as u64).to_le_bytes())
    });
    let own = Bytes::copy_from_slice(&hash.finalize());
    let others = || (0..COMPUTING).filter(|&peer| peer != net.me());
    // Who is gone already has found a difference, and its hash tells it.
    let sent: Vec<_> = others().map(|peer| net.send(peer, own.clone())).collect();
    for peer in others() {
        if net.recv(peer)? != own {
            let what =
                "it heard other numbers of rows: it lies, or a contributor announced two".into();
            return Err(Error::PeerMisbehaved { peer, what }.into());
        }
    }
    Ok(sent.into_iter().collect::<Result<_, _>>()?)
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
