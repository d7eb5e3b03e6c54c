//! What the dealer computes from the bits of its own word, and proves.
//!
//! A value with shares at indices d and d + 1 only is known to P_d. Sums and products of such values are known to it again, and
//! a product is one message from P_d ([`Support::Known`]); it waits for nobody, so all of this together is one round. Functions
//! of a few bits v = β ⊕ γ of a split word come from what each index says by itself:
//!     T(v) = Σ_j [β = j]·T(j ⊕ γ),
//! where the unit vector of β lies at index d and the turned table at index d + 1. What rep3's dealer deals is made here of
//! products alone.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::{R64, Result};

use super::circuit::Circuit;
use super::pair::{Pair, Share, Words, joint_beside};
use super::product::{Support, product};
use super::split::Split;
use super::truncate::truncate_known;

const ONE: R64 = Wrapping(1);
const TWO: R64 = Wrapping(2);

/// A number at the dealer's own index.
pub(crate) fn constant(c: &Circuit<'_>, value: R64) -> Words {
    let words = Some(Rc::new(vec![value; c.len()]));
    c.joint(c.dealer(), c.len(), words)
}

/// Vectors one after the other.
pub(crate) fn concat<'a>(parts: impl Iterator<Item = &'a Words> + Clone) -> Words {
    let flat = |of: fn(&Words) -> &Vec<R64>| parts.clone().flat_map(of).copied().collect();
    Pair::new(flat(|p| &p.own), flat(|p| &p.next))
}

/// The vectors of [`concat`].
pub(crate) fn separate(words: &Words, n: usize) -> Vec<Words> {
    let cut = words.own.chunks(n).zip(words.next.chunks(n));
    cut.map(|(own, next)| Pair::new(own.to_vec(), next.to_vec()))
        .collect()
}

/// x·y for values that the dealer knows. 8 bytes, 1 round.
pub(crate) async fn multiply(c: &Circuit<'_>, x: &Words, y: &Words) -> Result<Words> {
    let terms = [(x.clone(), y.clone())];
    product(c, &terms, Support::Known(c.dealer())).await
}

/// x·y/2^p to the nearest, for values that the dealer knows and a product below 2^62. 24 bytes, 1 round.
pub(crate) async fn multiply_rounded(
    c: &Circuit<'_>,
    x: &Words,
    y: &Words,
    p: u32,
) -> Result<Words> {
    let product = multiply(c, x, y).await?;
    truncate_known(c, &product.plus(&constant(c, ONE << (p as usize - 1))), p).await
}

/// The unit vector of the number in `count` bits of a split word from bit `first` on: entry v is \[number = v\]. 8·(2^`count` - 1)
/// bytes, 1 round.
pub(crate) async fn unit_vector(
    c: &Circuit<'_>,
    word: &Split,
    first: u32,
    count: u32,
) -> Result<Vec<Words>> {
    let n = c.len();
    let shares: Vec<Words> = (first..first + count).map(|b| word.part(b, 1)).collect();
    let shares = concat(shares.iter());
    // Each share alone, at its own index.
    let (d, me) = (c.dealer(), c.me());
    let only = |j: usize| c.joint(j, shares.own.len(), shares.at(me, j).map(Rc::clone));
    let (beta, gamma) = (only(d), only(d + 1));
    let both = product(c, &[(beta, gamma)], Support::Neighbours(d)).await?;
    let bits = separate(&shares.minus(&both.times(TWO)), n);
    let mut unit = vec![constant(c, ONE)];
    for bit in &bits {
        // With the bit set; the first entry is what is left of the bit itself.
        let mut set = vec![bit.clone()];
        if unit.len() > 1 {
            let x = concat(unit[1..].iter());
            let y = concat(unit[1..].iter().map(|_| bit));
            let products = separate(&multiply(c, &x, &y).await?, n);
            set[0] = products.iter().fold(bit.clone(), |rest, p| rest.minus(p));
            set.extend(products);
        }
        let clear: Vec<Words> = unit.iter().zip(&set).map(|(u, s)| u.minus(s)).collect();
        unit = clear.into_iter().chain(set).collect();
    }
    Ok(unit)
}

/// table\[number\] for the number in the bits of a split word from `first` on, of which a table of 2^`count` entries takes
/// `count`. 8 bytes, 1 round; 2^`count` terms.
pub(crate) async fn look_up(
    c: &Circuit<'_>,
    word: &Split,
    first: u32,
    table: &[u64],
) -> Result<Words> {
    let (n, me, d) = (c.len(), c.me(), c.dealer());
    let share = word.part(first, table.len().trailing_zeros());
    let zero = R64::zeros(n);
    let at = |j: usize| share.at(me, j);
    let mut turned = at(d + 1)
        .map(|gamma| turn(table, gamma))
        .into_iter()
        .flatten();
    let terms: Vec<_> = (0..table.len() as u64)
        .map(|j| {
            let hit = at(d).map(|beta| Rc::new(beta.iter().map(|b| equals(b.0, j)).collect()));
            let x = joint_beside(me, d, &zero, hit);
            let y = joint_beside(me, d + 1, &zero, turned.next().map(Rc::new));
            (x, y)
        })
        .collect();
    product(c, &terms, Support::Neighbours(d)).await
}

/// \[x = j\] for small numbers, without a condition.
fn equals(x: u64, j: u64) -> R64 {
    Wrapping((x ^ j).wrapping_sub(1) >> 63)
}

/// Row j is table\[j ⊕ x\] for every x, by swaps of all rows for each bit of x: no x is an address.
fn turn(table: &[u64], x: &[R64]) -> Vec<Vec<R64>> {
    let mut rows: Vec<Vec<R64>> = table.iter().map(|&t| vec![Wrapping(t); x.len()]).collect();
    for bit in 0..table.len().trailing_zeros() {
        let step = 1 << bit;
        for low in (0..rows.len()).filter(|j| j & step == 0) {
            let (front, back) = rows.split_at_mut(low + step);
            let pair = front[low].iter_mut().zip(&mut back[0]);
            for ((zero, one), x) in pair.zip(x) {
                let swap = Wrapping(0u64.wrapping_sub(x.0 >> bit & 1)) & (*zero ^ *one);
                *zero ^= swap;
                *one ^= swap;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_turn_by_exclusive_or() {
        let table: Vec<u64> = (0..16).map(|j| 100 + j).collect();
        let x: Vec<R64> = (0..16).map(Wrapping).collect();
        for (j, row) in turn(&table, &x).iter().enumerate() {
            for (x, t) in row.iter().enumerate() {
                assert_eq!(t.0, 100 + (j ^ x) as u64);
            }
        }
        for (x, j) in [(3, 3), (3, 4), (0, 0), (0, 1)] {
            assert_eq!(equals(x, j).0, u64::from(x == j));
        }
    }
}
