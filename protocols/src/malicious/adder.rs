//! Carries by prefix trees over bit planes (Ladner, Fischer 1980; Sklansky 1960), and other trees of conjunctions.
//!
//! A position generates a carry (g) or hands one on (p); two neighbouring groups merge to (g_high ⊕ p_high·g_low, p_high·p_low).
//! The lowest group needs no p. 3 bits a conjunction; all of a level are one message.

use tacit_mpc::Result;

use super::circuit::Circuit;
use super::pair::{Bits, Pair};
use super::product::{Support, and_between};

/// x ∧ y for each pair of planes, in one round.
pub(crate) async fn ands(
    c: &Circuit<'_>,
    gates: &[(Bits, Bits)],
    support: Support,
) -> Result<Vec<Bits>> {
    if gates.is_empty() {
        return Ok(Vec::new());
    }
    let words = c.len().div_ceil(64);
    let join = |of: fn(&(Bits, Bits)) -> &Bits| {
        let flat = |at: fn(&Bits) -> &Vec<u64>| {
            let mut flat = Vec::with_capacity(gates.len() * words);
            gates.iter().for_each(|g| flat.extend_from_slice(at(of(g))));
            flat
        };
        Pair::new(flat(|b| &b.own), flat(|b| &b.next))
    };
    let z = and_between(c, &join(|g| &g.0), &join(|g| &g.1), support).await?;
    let cut = z.own.chunks_exact(words).zip(z.next.chunks_exact(words));
    Ok(cut
        .map(|(own, next)| Pair::new(own.to_vec(), next.to_vec()))
        .collect())
}

/// The conjunction of all planes, of which there is at least one: one gate less than there are planes, ⌈log2⌉ rounds.
pub(crate) async fn all(c: &Circuit<'_>, mut planes: Vec<Bits>) -> Result<Bits> {
    while planes.len() > 1 {
        let odd = (planes.len() % 2 == 1).then(|| planes.pop()).flatten();
        let pairs: Vec<_> = planes
            .chunks_exact(2)
            .map(|p| (p[0].clone(), p[1].clone()))
            .collect();
        planes = ands(c, &pairs, Support::Full).await?;
        planes.extend(odd);
    }
    Ok(planes.swap_remove(0))
}

/// A group of positions.
#[derive(Clone)]
pub(crate) struct Group {
    /// Whether it generates a carry.
    pub(crate) g: Bits,
    /// Whether it hands one on.
    pub(crate) p: Bits,
}

/// (high, low) merged for each pair; where `p` is false the result's p is left as it was.
async fn merge(c: &Circuit<'_>, pairs: &[(&Group, &Group, bool)]) -> Result<Vec<Group>> {
    let carries = pairs.iter().map(|(h, l, _)| (h.p.clone(), l.g.clone()));
    let hands = pairs.iter().filter(|(.., both)| *both);
    let hands = hands.map(|(h, l, _)| (h.p.clone(), l.p.clone()));
    let gates: Vec<_> = carries.chain(hands).collect();
    let mut z = ands(c, &gates, Support::Full).await?;
    let mut hands = z.split_off(pairs.len()).into_iter();
    let merged = pairs.iter().zip(z).map(|((high, _, both), z)| {
        let p = if *both { hands.next() } else { None };
        Group {
            g: high.g.xor(&z),
            p: p.unwrap_or_else(|| high.p.clone()),
        }
    });
    Ok(merged.collect())
}

/// The carry out of all positions, whose planes g and p lie one after the other, lowest first: 2(n - 1) - ⌈log2 n⌉ gates and
/// ⌈log2 n⌉ rounds for n positions, at least one.
pub(crate) async fn carry(c: &Circuit<'_>, mut g: Bits, mut p: Bits) -> Result<Bits> {
    let words = c.len().div_ceil(64);
    loop {
        let n = g.own.len() / words;
        if n <= 1 {
            return Ok(g);
        }
        let (pairs, odd) = (n / 2, n % 2 == 1);
        // For every pair p_high·g_low; for all but the lowest p_high·p_low as well.
        let x = g.zip(&p, |_, p| {
            gather(words, high(0..pairs).chain(high(1..pairs)).map(|k| (p, k)))
        });
        let y = g.zip(&p, |g, p| {
            let lows = (0..pairs).map(|i| (g, 2 * i));
            gather(words, lows.chain((1..pairs).map(|i| (p, 2 * i))))
        });
        let z = and_between(c, &x, &y, Support::Full).await?;
        p = p.zip(&z, |p, z| {
            // The lowest p is never read.
            let hands = (0..1).chain(pairs..2 * pairs - 1).map(|k| (z, k));
            gather(words, hands.chain(odd.then_some((p, n - 1))))
        });
        g = g.zip(&z, |g, z| {
            let mut merged = gather(
                words,
                high(0..pairs).chain(odd.then_some(n - 1)).map(|k| (g, k)),
            );
            let carries = z[..pairs * words].iter();
            merged.iter_mut().zip(carries).for_each(|(g, z)| *g ^= z);
            merged
        });
    }
}

/// The upper positions of pairs.
fn high(pairs: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    pairs.map(|i| 2 * i + 1)
}

/// Planes of so many words, each from one of several vectors, one after the other.
fn gather<'a>(words: usize, planes: impl Iterator<Item = (&'a Vec<u64>, usize)>) -> Vec<u64> {
    let mut flat = Vec::with_capacity(words * planes.size_hint().0);
    planes.for_each(|(from, k)| flat.extend_from_slice(&from[k * words..][..words]));
    flat
}

/// The carry out of the groups up to and with each one, lowest first: Sklansky's tree, ⌈log2 n⌉ rounds.
pub(crate) async fn carries(c: &Circuit<'_>, mut groups: Vec<Group>) -> Result<Vec<Bits>> {
    let n = groups.len();
    let mut width = 1;
    while width < n {
        let upper: Vec<usize> = (0..n).filter(|i| i / width % 2 == 1).collect();
        let pairs: Vec<_> = upper
            .iter()
            // A prefix that begins at the lowest group hands nothing on.
            .map(|&i| {
                let low = i / width * width - 1;
                (&groups[i], &groups[low], i >= 2 * width)
            })
            .collect();
        let merged = merge(c, &pairs).await?;
        for (i, group) in upper.into_iter().zip(merged) {
            groups[i] = group;
        }
        width *= 2;
    }
    Ok(groups.into_iter().map(|g| g.g).collect())
}

/// The conjunction of the planes up to and with each one: Sklansky's tree.
pub(crate) async fn prefixes(c: &Circuit<'_>, mut planes: Vec<Bits>) -> Result<Vec<Bits>> {
    let n = planes.len();
    let mut width = 1;
    while width < n {
        let upper: Vec<usize> = (0..n).filter(|i| i / width % 2 == 1).collect();
        let pairs: Vec<_> = upper
            .iter()
            .map(|&i| (planes[i].clone(), planes[i / width * width - 1].clone()))
            .collect();
        for (&i, merged) in upper.iter().zip(ands(c, &pairs, Support::Full).await?) {
            planes[i] = merged;
        }
        width *= 2;
    }
    Ok(planes)
}
