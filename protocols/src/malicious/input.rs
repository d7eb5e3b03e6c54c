//! A value that one party knows, shared.
//!
//! x_{d+1} = F(k_{d+1}), x_d = x - x_{d+1} goes from P_d to P_{d-1}, x_{d+2} = 0: each share reaches one other party, so nothing
//! can be inconsistent and there is nothing to check (protocols-malicious, section 6). One element and one round, all parties
//! together. Values that are multiples of 2^(64 - bits) take `bits` bits each.

use std::ops::{BitXor, Sub};
use std::rc::Rc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{Label, PartyId, Purpose, R64, Result};

use super::circuit::{Circuit, top};
use super::pair::{Pair, Share, Words};

/// P_d shares `n` words, given there.
pub(crate) async fn input(
    c: &Circuit<'_>,
    d: PartyId,
    n: usize,
    x: Option<&[R64]>,
) -> Result<Words> {
    input_top(c, d, n, 64, x).await
}

/// The same for words that are multiples of 2^(64 - `bits`).
pub(crate) async fn input_top(
    c: &Circuit<'_>,
    d: PartyId,
    n: usize,
    bits: u32,
    x: Option<&[R64]>,
) -> Result<Words> {
    let label = c.strand.next_gate()?;
    share(c, label, d, n, bits, x, R64::sub).await
}

/// The same by exclusive or: share d and share d + 1 give the words bit by bit, share d + 2 is zero.
pub(crate) async fn input_xor(
    c: &Circuit<'_>,
    label: Label,
    d: PartyId,
    n: usize,
    bits: u32,
    x: Option<&[R64]>,
) -> Result<Words> {
    share(c, label, d, n, bits, x, R64::bitxor).await
}

async fn share(
    c: &Circuit<'_>,
    label: Label,
    d: PartyId,
    n: usize,
    bits: u32,
    x: Option<&[R64]>,
    hide: impl Fn(R64, R64) -> R64,
) -> Result<Words> {
    let mask = |j: PartyId| {
        Ok::<_, tacit_mpc::Error>(top(c.strand.draw(j, label, Purpose::Input, n)?, bits))
    };
    match (c.me() + 3 - d % 3) % 3 {
        0 => {
            let next = mask(d + 1)?;
            let x = x.unwrap_or_default().iter();
            let own: Vec<R64> = vectorised(|| x.zip(&next).map(|(&x, &m)| hide(x, m)).collect());
            c.send_top(d + 2, label, &own, bits)?;
            Ok(Pair::new(own, next))
        }
        1 => Ok(Pair {
            own: Rc::new(mask(d + 1)?),
            next: R64::zeros(n),
        }),
        _ => Ok(Pair {
            own: R64::zeros(n),
            next: Rc::new(c.recv_top(d, label, n, bits).await?),
        }),
    }
}

#[cfg(test)]
/// P_d shares `count` planes of bits, given there one after the other.
pub(crate) async fn input_planes(
    c: &Circuit<'_>,
    d: PartyId,
    count: usize,
    x: Option<&[u64]>,
) -> Result<super::pair::Bits> {
    let label = c.strand.next_gate()?;
    let words = count * c.len().div_ceil(64);
    let zero = || vec![0u64; words];
    match (c.me() + 3 - d % 3) % 3 {
        0 => {
            let next = mask(c, d + 1, label, words)?;
            let x = x.unwrap_or_default().iter();
            let own: Vec<u64> = x.zip(&next).map(|(x, m)| x ^ m).collect();
            c.send_planes(d + 2, label, count, &own)?;
            Ok(Pair::new(own, next))
        }
        1 => Ok(Pair::new(mask(c, d + 1, label, words)?, zero())),
        _ => Ok(Pair::new(zero(), c.recv_planes(d, label, count).await?)),
    }
}

#[cfg(test)]
fn mask(c: &Circuit<'_>, j: PartyId, label: Label, words: usize) -> Result<Vec<u64>> {
    let drawn = c.strand.draw(j, label, Purpose::Input, words)?;
    Ok(drawn.into_iter().map(|w| w.0).collect())
}
