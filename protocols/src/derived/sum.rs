//! The sum of several numbers in shared bits, modulo 2^k.
//!
//! Three numbers become two by carry-save adders, one conjunction a position: a + b + c = (a ⊕ b ⊕ c) + 2·maj(a, b, c) with
//! maj = ((a ⊕ c)(b ⊕ c)) ⊕ c; the last two are added along a prefix tree ([`crate::trees`]). About k·(n - 2) + k·log2 k
//! conjunctions, a round for each level of carry-save adders and 1 + ⌈log2 k⌉ rounds.

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
    /// Its planes, lowest first.
    pub(super) planes: Bits,
    /// For each place q that was asked for, the bits that were carried from position q - 1 to q: as many bits as there are
    /// numbers, less one. They add up to floor(Σ (x_i mod 2^q) / 2^q).
    pub(super) crossing: Vec<Vec<Bits>>,
}

/// Adds numbers, at least two, of equally many planes, and tells what crosses some of the positions above the lowest.
pub(super) async fn sum<P: Primitives>(
    c: &Circuit<'_, P>,
    mut numbers: Vec<Bits>,
    places: &[u32],
) -> Result<Sum> {
    let plane = c.plane();
    let k = numbers.first().map_or(0, |x| c.planes(x));
    let mut crossing = vec![Vec::new(); places.len()];
    let mut cross = |carries: &[Bits]| {
        for (all, &place) in crossing.iter_mut().zip(places) {
            all.push(carries[place as usize - 1].clone());
        }
    };
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
            cross(&carries.separate(plane));
            // Twice as much: one position up, and what crosses the end is gone.
            carries.each(|x| [&vec![0; plane], &x[..(k - 1) * plane]].concat())
        });
        numbers = sums.into_iter().chain(carries).chain(rest).collect();
    }
    let [x, y] = &numbers[..] else {
        unreachable!("at least two numbers are added")
    };
    let g = c.and(x, y).await?;
    let p = x.xor(y);
    let (gs, ps) = (g.separate(plane), p.separate(plane));
    // The carry out of the highest position is needed only where it is asked for.
    let most = places.iter().copied().max().unwrap_or(0) as usize;
    let groups = gs.into_iter().zip(ps).map(|(g, p)| Group { g, p });
    let groups = groups.take(most.max(k - 1)).collect();
    let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
    let carries = trees::carries(plane, groups, &and).await?;
    if !places.is_empty() {
        cross(&carries);
    }
    let planes = if k > 1 {
        let carried = Bits::concat(&carries[..k - 1].iter().collect::<Vec<_>>());
        p.zip(&carried, |p, carried| {
            let mut sum = p.clone();
            let above = sum[plane..].iter_mut().zip(carried);
            above.for_each(|(sum, carry)| *sum ^= carry);
            sum
        })
    } else {
        p
    };
    Ok(Sum { planes, crossing })
}
