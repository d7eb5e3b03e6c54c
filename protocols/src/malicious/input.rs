//! A value that one party knows, shared.
//!
//! x_{d+1} = F(k_{d+1}), x_d = x - x_{d+1} goes from P_d to P_{d-1}, x_{d+2} = 0: each share reaches one other party, so nothing
//! can be inconsistent and there is nothing to check (protocols-malicious, section 6). One element and one round, all parties
//! together.

use tacit_mpc::{Label, PartyId, Purpose, R64, Result};

use super::circuit::Circuit;
use super::pair::{Bits, Pair, Words};

/// P_d shares words, given there.
pub(crate) async fn input(
    c: &Circuit<'_>,
    d: PartyId,
    n: usize,
    x: Option<&[R64]>,
) -> Result<Words> {
    let label = c.strand.next_gate()?;
    let zero = || vec![R64::default(); n];
    let mask = |j: PartyId| c.strand.draw(j, label, Purpose::Input, n);
    match (c.me() + 3 - d % 3) % 3 {
        0 => {
            let next = mask(d + 1)?;
            let x = x.unwrap_or_default().iter();
            let own: Vec<R64> = x.zip(&next).map(|(&x, &m)| x - m).collect();
            c.send_words(d + 2, label, &own)?;
            Ok(Pair::new(own, next))
        }
        1 => Ok(Pair::new(mask(d + 1)?, zero())),
        _ => Ok(Pair::new(zero(), c.recv_words(d, label, n).await?)),
    }
}

/// P_d shares `count` planes of bits, given there one after the other.
pub(crate) async fn input_planes(
    c: &Circuit<'_>,
    d: PartyId,
    count: usize,
    x: Option<&[u64]>,
) -> Result<Bits> {
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

fn mask(c: &Circuit<'_>, j: PartyId, label: Label, words: usize) -> Result<Vec<u64>> {
    let drawn = c.strand.draw(j, label, Purpose::Input, words)?;
    Ok(drawn.into_iter().map(|w| w.0).collect())
}
