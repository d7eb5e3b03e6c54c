//! The sum of several numbers in shared bits, modulo 2^k.
//!
//! Three numbers become two by carry-save adders, one conjunction a position: a + b + c = (a ⊕ b ⊕ c) + 2·maj(a, b, c) with
//! maj = ((a ⊕ c)(b ⊕ c)) ⊕ c. The last two are added along a prefix tree ([`crate::trees`]) as far as all bits are wanted, and
//! along a plain tree for the carries elsewhere. k·(n - 1) conjunctions for generating, and about k·log2 k for k bits that are
//! wanted and 2k for k that are not; a round for each level of carry-save adders, one, and those of the two trees.

use tacit_mpc::Result;

use super::circuit::Circuit;
use super::primitives::Primitives;
use super::share::Bits;
use crate::trees::{self, BitShares, Group};

impl BitShares for Bits {
    fn components(&self) -> impl Iterator<Item = &Vec<u64>> {
        self.parts().iter()
    }

    fn of(components: impl Iterator<Item = Vec<u64>>) -> Self {
        Self::new(components.collect())
    }
}

/// A sum in bits.
pub(super) struct Sum {
    /// Its low planes, as many as were asked for, lowest first.
    pub(super) planes: Bits,
    /// Its highest plane, where places were asked for.
    pub(super) top: Option<Bits>,
    /// For each place q that was asked for, the bits that were carried from position q - 1 to q: as many bits as there are
    /// numbers, less one. They add up to floor(Σ (x_i mod 2^q) / 2^q).
    pub(super) crossing: Vec<Vec<Bits>>,
}

/// Adds numbers, at least two, of equally many planes: the `low` ones of the sum, and where `places` are given, what crosses them,
/// and the highest plane.
pub(super) async fn sum<P: Primitives>(
    c: &Circuit<'_, P>,
    mut numbers: Vec<Bits>,
    low: usize,
    places: &[u32],
) -> Result<Sum> {
    let plane = c.plane();
    let k = numbers.first().map_or(0, |x| c.planes(x));
    let mut crossing = vec![Vec::new(); places.len()];
    while numbers.len() > 2 {
        let rest = numbers.split_off(numbers.len() / 3 * 3);
        let column = |j: usize| {
            let column: Vec<&Bits> = numbers.iter().skip(j).step_by(3).collect();
            Bits::concat(&column)
        };
        let (x, y, z) = (column(0), column(1), column(2));
        let (xz, yz) = (x.xor(&z), y.xor(&z));
        let majority = c.and(&xz, &yz).await?.xor(&z);
        let sums = xz.xor(&y).separate(k * plane);
        let carries = majority.separate(k * plane).into_iter().map(|carries| {
            for (all, &place) in crossing.iter_mut().zip(places) {
                all.push(carries.cut((place as usize - 1) * plane, place as usize * plane));
            }
            // Twice as much: one position up, and what crosses the end is gone.
            carries.each(|x| [&vec![0; plane], &x[..(k - 1) * plane]].concat())
        });
        numbers = sums.into_iter().chain(carries).chain(rest).collect();
    }
    let [x, y] = &numbers[..] else {
        unreachable!("at least two numbers are added")
    };
    let p = x.xor(y);
    let g = c.and(x, y).await?.separate(plane);
    let ps = p.separate(plane);
    let groups = |from: usize, to: usize| -> Vec<Group<Bits>> {
        let both = g[from..to].iter().zip(&ps[from..to]);
        let group = |(g, p): (&Bits, &Bits)| Group {
            g: g.clone(),
            p: p.clone(),
        };
        both.map(group).collect()
    };
    let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
    // The carry out of the last low position is needed only where something lies above.
    let prefix = if places.is_empty() {
        low.saturating_sub(1)
    } else {
        low
    };
    let carries = trees::carries(plane, groups(0, prefix), &and).await?;
    let mut planes = ps[..low].to_vec();
    for (sum, carry) in planes.iter_mut().skip(1).zip(&carries) {
        *sum = sum.xor(carry);
    }
    let planes = match &planes[..] {
        [] => p.each(|_| Vec::new()),
        planes => Bits::concat(&planes.iter().collect::<Vec<_>>()),
    };
    let mut top = None;
    if !places.is_empty() {
        // One group for what lies between two places, and between these and the highest plane.
        let mut ends: Vec<usize> = places.iter().map(|&q| q as usize).chain([k - 1]).collect();
        ends.sort_unstable();
        ends.dedup();
        ends.retain(|&end| end > low);
        let starts = std::iter::once(low).chain(ends.iter().copied());
        let parts = starts.zip(&ends).map(|(from, &to)| groups(from, to));
        let parts = trees::segments(plane, parts.collect(), low == 0, &and).await?;
        let mut carry = carries.last().cloned();
        let mut carried = Vec::new();
        for (end, part) in ends.into_iter().zip(parts) {
            carry = Some(match carry {
                None => part.g,
                Some(below) => part.g.xor(&c.and(&part.p, &below).await?),
            });
            carried.push((end, carry.clone()));
        }
        let at = |place: usize| {
            let above = carried.iter().find(|(end, _)| *end == place);
            let above = above.and_then(|(_, carry)| carry.clone());
            carries.get(place - 1).cloned().or(above)
        };
        for (all, &place) in crossing.iter_mut().zip(places) {
            all.extend(at(place as usize));
        }
        top = at(k - 1).map(|carry| ps[k - 1].xor(&carry));
    }
    Ok(Sum {
        planes,
        top,
        crossing,
    })
}
