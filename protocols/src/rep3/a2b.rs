//! From a word to its bits.
//!
//! x = c + s is an addition of a value that A and B both know and one that D knows. The bits of each block of three or four
//! are looked up in one-time truth tables (`onehot.rs`); so are its (generate, propagate) for the carries, which a prefix tree
//! merges by `polygate.rs`. A block's bit is then
//!     x_t = c_t ⊕ s_t ⊕ \[c_low > ~s_low\] ⊕ \[c_low = ~s_low\]·C
//! with C the carry into the block: the first three summands are in the table already, and for the last D deals
//! \[v = ~s_low\]·λ_C for every v. Semi-honest, exact, nothing leaks.
//!
//! 32 bits: 38.8 bytes, 6 rounds (D's first). The specification (section 4) takes 78.75 bytes and 8 rounds for 64.

use std::ops::Range;

use tacit_mpc::{R64, Result, Role, Strand};

use super::bits::{Plane, and, look_up, not, to_planes, xor, xor_into};
use super::exchange::{deal_planes, swap_planes};
use super::held::{Held, is_a};
use super::onehot::{blocks, complete, cut, one, unit_vector};
use super::polygate::{evaluate, merge};
use super::scan::levels;

/// The blocks of k bits: ten where blocks of at most four allow it, because nine carries are merged in two levels.
pub(super) fn blocks_of(k: u32) -> Vec<(u32, u32)> {
    blocks(k, k.div_ceil(3).min(10).max(k.div_ceil(4)))
}

/// How many of the bits `wanted` a block gives, and the dealt bits it takes for their carries.
pub(super) fn sums((first, m): (u32, u32), wanted: &Range<u32>) -> impl Iterator<Item = u32> {
    (0..m).filter(move |t| wanted.contains(&(first + t)))
}

/// Bits `wanted` of x mod 2^k, k = `wanted.end`, from this party's side of x = c + s.
pub(crate) async fn bits(
    strand: &Strand<'_>,
    side: &[R64],
    wanted: Range<u32>,
) -> Result<Vec<Held<Plane>>> {
    let (n, dealer) = (side.len(), strand.role() == Role::Dealer);
    let k = wanted.end;
    // c at A and B, ~s at D.
    let mut planes = to_planes(side, k);
    if dealer {
        planes.iter_mut().for_each(|p| *p = not(p));
    }
    let blocks = blocks_of(k);
    let rows = blocks.iter().map(|(_, m)| (1usize << m) - 1).sum();
    let dealt = deal_planes(strand, rows, || {
        let table = |&block| unit_vector(cut(&planes, block)).into_iter().skip(1);
        blocks.iter().flat_map(table).collect()
    })
    .await?;
    // Shares of [~s_block = v], every v.
    let tables: Option<Vec<Vec<Plane>>> = dealt.half().map(|half| {
        let mut rest = &half[..];
        let table = |(_, m): &(u32, u32)| {
            let (dealt, later) = rest.split_at((1 << m) - 1);
            rest = later;
            complete(one(is_a(strand), n), dealt)
        };
        blocks.iter().map(table).collect()
    });
    let carries = carries(strand, &planes, &blocks, tables.as_deref()).await?;
    let products = blocks[1..]
        .iter()
        .flat_map(|&b| sums(b, &wanted).map(|t| (1usize << t) - 1))
        .sum();
    let dealt = deal_planes(strand, products, || {
        let mut out = Vec::with_capacity(products);
        for (block, carry) in blocks[1..].iter().zip(&carries) {
            let lambda = carry.lambda().unwrap_or_default();
            for t in sums(*block, &wanted).filter(|&t| t > 0) {
                let low = unit_vector(&cut(&planes, *block)[..t as usize]);
                out.extend(low[1..].iter().map(|row| and(row, &lambda)));
            }
        }
        out
    })
    .await?;
    let u = tables.zip(dealt.half()).map(|(tables, half)| {
        let mut rest = &half[..];
        let mut out = Vec::new();
        for (i, (&block, table)) in blocks.iter().zip(&tables).enumerate() {
            let carry = i.checked_sub(1).map(|i| &carries[i]);
            for t in sums(block, &wanted) {
                let products = if carry.is_some() { (1 << t) - 1 } else { 0 };
                let (dealt, later) = rest.split_at(products);
                rest = later;
                out.push(sum_bit(
                    cut(&planes, block),
                    table,
                    t,
                    carry,
                    dealt,
                    is_a(strand),
                ));
            }
        }
        out
    });
    swap_planes(strand, wanted.len(), u).await
}

/// The carries into all blocks but the first.
async fn carries(
    strand: &Strand<'_>,
    planes: &[Plane],
    blocks: &[(u32, u32)],
    tables: Option<&[Vec<Plane>]>,
) -> Result<Vec<Held<Plane>>> {
    let count = blocks.len() - 1;
    let u = tables.map(|tables| {
        let mut u = Vec::with_capacity(2 * count);
        for (i, (&block, table)) in blocks.iter().zip(&tables[..count]).enumerate() {
            u.push(look_up(less(table), cut(planes, block)));
            if i > 0 {
                u.push(look_up(table.clone(), cut(planes, block)));
            }
        }
        u
    });
    let mut bits = swap_planes(strand, 2 * count.max(1) - 1, u)
        .await?
        .into_iter();
    let mut carries: Vec<(Held<Plane>, Option<Held<Plane>>)> = (0..count)
        .filter_map(|i| Some((bits.next()?, if i > 0 { bits.next() } else { None })))
        .collect();
    for level in levels(count) {
        let mut gates = Vec::with_capacity(level.len());
        for (i, lows) in &level {
            let children: Vec<_> = lows
                .iter()
                .chain([i])
                .map(|&k| carries[k].clone())
                .collect();
            gates.push(merge(&children, children[0].1.is_some(), None));
        }
        let mut results = evaluate(strand, &gates).await?.into_iter();
        for ((i, _), gate) in level.iter().zip(&gates) {
            if let Some(generate) = results.next() {
                let propagate = if gate.outputs.len() > 1 {
                    results.next()
                } else {
                    None
                };
                carries[*i] = (generate, propagate);
            }
        }
    }
    Ok(carries.into_iter().map(|(generate, _)| generate).collect())
}

/// \[b < v\] for every v, from \[b = v\].
fn less(rows: &[Plane]) -> Vec<Plane> {
    let mut sum = vec![0; rows.first().map_or(0, Vec::len)];
    rows.iter()
        .map(|row| {
            let before = sum.clone();
            xor_into(&mut sum, row);
            before
        })
        .collect()
}

/// A's or B's summand of bit t of a block of c, where `table` has the shares of \[b = v\] for b = ~s, and `products` those of
/// \[b_low = v\]·λ_C for v > 0.
fn sum_bit(
    c: &[Plane],
    table: &[Plane],
    t: u32,
    carry: Option<&Held<Plane>>,
    products: &[Plane],
    is_a: bool,
) -> Plane {
    let t = t as usize;
    // c_t + s_t: rows with bit t add up to b_t = 1 + s_t.
    let mut u = if is_a {
        not(&c[t])
    } else {
        vec![0; c[t].len()]
    };
    let with_bit = table.iter().enumerate().filter(|(v, _)| v >> t & 1 == 1);
    with_bit.for_each(|(_, row)| xor_into(&mut u, row));
    // [b_low = v]: the rows of the table that agree in the low t bits.
    let mut low = vec![vec![0; u.len()]; 1 << t];
    for (v, row) in table.iter().enumerate() {
        xor_into(&mut low[v & ((1 << t) - 1)], row);
    }
    xor_into(&mut u, &look_up(less(&low), &c[..t]));
    if let Some(Held::Pair { half, common }) = carry {
        let with_lambda = look_up(complete(half.clone(), products), &c[..t]);
        xor_into(&mut u, &and(common, &look_up(low, &c[..t])));
        u = xor(&u, &with_lambda);
    }
    u
}
