//! Equality to zero.
//!
//! x = c + s is zero iff c = -s: a comparison of a value that A and B both know with a value that D knows, block by block in
//! one-time truth tables (`onehot.rs`), then a tree of conjunctions. Semi-honest; exact for every word; nothing leaks.
//! 31.6 bytes in 5 rounds, 38.1 bytes in 4, 224.1 bytes in 3, or
//! 1856.25 bytes in 2 (`dcf.rs`), D's round included (protocols-rep3, section 3).

use tacit_mpc::{R64, Result, Role, Strand};

use super::bits::{Plane, look_up, to_planes};
use super::boolean::all;
use super::dcf;
use super::exchange::{Halves, deal_planes, swap_planes};
use super::held::{Held, is_a};
use super::onehot::{blocks, complete, cut, one, unit_vector};
use super::plan::Depth;

/// How many bits the conjunctions of each level take, from the leaves up.
pub(super) fn radices(depth: Depth) -> &'static [u32] {
    match depth {
        Depth::Dcf => &[],
        Depth::One => &[9],
        Depth::Two => &[4, 5],
        Depth::Three => &[3, 3, 3],
    }
}

/// The blocks at the leaves.
pub(super) fn leaves(depth: Depth) -> Vec<(u32, u32)> {
    blocks(64, radices(depth).iter().product())
}

/// The bit \[x = 0\], from this party's side of x = c + s.
pub(crate) async fn zero(strand: &Strand<'_>, side: &[R64], depth: Depth) -> Result<Held<Plane>> {
    if depth == Depth::Dcf {
        return dcf::zero(strand, side).await;
    }
    let planes = if strand.role() == Role::Dealer {
        let negated: Vec<R64> = side.iter().map(|&s| -s).collect();
        to_planes(&negated, 64)
    } else {
        to_planes(side, 64)
    };
    let leaves = leaves(depth);
    let rows = leaves.iter().map(|(_, m)| (1usize << m) - 1).sum();
    let halves = deal_planes(strand, rows, || {
        let table = |&leaf| unit_vector(cut(&planes, leaf)).into_iter().skip(1);
        leaves.iter().flat_map(table).collect()
    })
    .await?;
    let u = match &halves {
        Halves::Dealer { .. } => None,
        Halves::Pair(half) => {
            let mut rest = &half[..];
            let look = |&leaf: &(u32, u32)| {
                let (dealt, later) = rest.split_at((1 << leaf.1) - 1);
                rest = later;
                let total = one(is_a(strand), side.len());
                look_up(complete(total, dealt), cut(&planes, leaf))
            };
            Some(leaves.iter().map(look).collect())
        }
    };
    let mut bits = swap_planes(strand, leaves.len(), u).await?;
    for &radix in radices(depth) {
        bits = all(
            strand,
            bits.chunks(radix as usize).map(<[_]>::to_vec).collect(),
        )
        .await?;
    }
    Ok(bits.swap_remove(0))
}
