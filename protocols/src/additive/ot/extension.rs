//! Correlated transfers without end from the leaves of trees: SoftSpokenOT (Roy, CRYPTO 2022, sections 3 and 4) with the repetition
//! code, semi-honest; with trees of depth 1 it is the protocol of Ishai, Kilian, Nissim, Petrank (CRYPTO 2003).
//!
//! Whoever chooses knows all leaves r_x of a tree, x in F_2^4, and takes u = ⊕_x r_x, v = ⊕_x x·r_x, each leaf as a stream of one bit a
//! transfer. Whoever holds the difference Δ knows all r_x but that of x = Δ, and so ⊕_x (x ⊕ Δ)·r_x = v ⊕ Δ·u. The chooser
//! sends u ⊕ c for its choices c, and the other adds Δ times it: q = v ⊕ Δ·c. Over all 32 trees that is, transfer by transfer,
//! a row q_j = t_j ⊕ c_j·Δ of 128 bits. 4 bytes a transfer, from the chooser.
//!
//! The pseudo-random streams are addressed by the label of their gate: nothing is ever drawn twice, in whatever order gates run.

use tacit_mpc::Result;
use tacit_mpc::kernels::vectorised;
use tacit_mpc::prss::SeedStream;

use super::base::Key;
use super::{DEPTH, LEAVES, SECURITY, TREES};
use crate::rep3::bits::transpose;

/// Words of a column of a tile at most: 4096 transfers are worked on in the first caches.
pub(crate) const TILE: usize = 64;

/// Where the transfers of a tile lie in the streams: the address of their gate, and the number of the tile in it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) address: u128,
    pub(crate) tile: usize,
}

impl Place {
    fn fill(self, stream: &SeedStream, out: &mut [u64]) -> Result<()> {
        let blocks = TILE / 2 * self.tile;
        stream.fill_at(self.address + blocks as u128, out)
    }
}

/// Rows of 128 bits from 128 columns of `words` words each.
fn rows(columns: &[u64], words: usize) -> Vec<u128> {
    let mut rows = vec![0; 64 * words];
    vectorised(|| {
        for (w, rows) in rows.chunks_exact_mut(64).enumerate() {
            for half in 0..2 {
                let mut block: [u64; 64] =
                    std::array::from_fn(|c| columns[(64 * half + c) * words + w]);
                transpose(&mut block);
                rows.iter_mut()
                    .zip(block)
                    .for_each(|(row, b)| *row |= u128::from(b) << (64 * half));
            }
        }
    });
    rows
}

fn xor_into(x: &mut [u64], y: &[u64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x ^= y);
}

/// Adds a stream to the columns whose bit is set in `which`: as long for every value of it.
fn scatter(columns: &mut [u64], stream: &[u64], which: usize) {
    for (bit, column) in columns.chunks_exact_mut(stream.len()).enumerate() {
        let set = 0u64.wrapping_sub((which >> bit & 1) as u64);
        let both = column.iter_mut().zip(stream);
        both.for_each(|(x, y)| *x ^= y & set);
    }
}

/// The end of a link that chooses: it knows the trees.
pub(crate) struct Chooser(Vec<SeedStream>);

impl Chooser {
    /// From the leaves of all trees.
    pub(crate) fn new<'a>(leaves: impl Iterator<Item = &'a Key>) -> Self {
        Self(leaves.map(SeedStream::new).collect())
    }

    /// The rows t_j of a tile, and the message u ⊕ c for whole words of choices, at most [`TILE`]: [`TREES`] times as many words.
    pub(crate) fn tile(
        &self,
        place: Place,
        choices: &[u64],
        message: &mut Vec<u64>,
    ) -> Result<Vec<u128>> {
        let words = choices.len();
        let mut columns = vec![0; SECURITY * words];
        let mut stream = vec![0; words];
        let trees = self.0.chunks_exact(LEAVES);
        for (leaves, columns) in trees.zip(columns.chunks_exact_mut(DEPTH * words)) {
            let start = message.len();
            message.extend_from_slice(choices);
            for (x, leaf) in leaves.iter().enumerate() {
                place.fill(leaf, &mut stream)?;
                vectorised(|| {
                    xor_into(&mut message[start..], &stream);
                    scatter(columns, &stream, x);
                });
            }
        }
        Ok(rows(&columns, words))
    }
}

/// The end of a link that holds the difference: it knows the trees but for one leaf each.
pub(crate) struct Holder {
    leaves: Vec<SeedStream>,
    holes: [usize; TREES],
}

impl Holder {
    /// From the leaves of all trees and the places of those that it does not know.
    pub(crate) fn new<'a>(leaves: impl Iterator<Item = &'a Key>, holes: [usize; TREES]) -> Self {
        Self {
            leaves: leaves.map(SeedStream::new).collect(),
            holes,
        }
    }

    /// Δ.
    pub(crate) fn difference(&self) -> u128 {
        let holes = self.holes.iter().enumerate();
        holes.fold(0, |d, (k, &hole)| d | (hole as u128) << (DEPTH * k))
    }

    /// The rows q_j of a tile from the chooser's message, of [`TREES`] times as many words as a column has.
    pub(crate) fn tile(&self, place: Place, message: &[u64]) -> Result<Vec<u128>> {
        let words = message.len() / TREES;
        let mut columns = vec![0; SECURITY * words];
        let mut stream = vec![0; words];
        let trees = self.leaves.chunks_exact(LEAVES).zip(&self.holes);
        let parts = columns.chunks_exact_mut(DEPTH * words);
        for (((leaves, &hole), columns), sent) in trees.zip(parts).zip(message.chunks_exact(words))
        {
            for (x, leaf) in leaves.iter().enumerate() {
                // The unknown leaf, of which zeros stand here, has factor 0: nothing takes another way for it.
                place.fill(leaf, &mut stream)?;
                vectorised(|| scatter(columns, &stream, x ^ hole));
            }
            vectorised(|| scatter(columns, sent, hole));
        }
        Ok(rows(&columns, words))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Both ends of a link, as a setup would leave them.
    pub(crate) fn ends(seed: u8) -> (Chooser, Holder) {
        let keys: Vec<Key> = (0..TREES * LEAVES)
            .map(|k| std::array::from_fn(|i| (k >> (8 * (i % 2))) as u8 ^ seed ^ i as u8))
            .collect();
        let holes = std::array::from_fn(|k| (7 * k + usize::from(seed)) % LEAVES);
        let mut known = keys.clone();
        for (leaves, hole) in known.chunks_mut(LEAVES).zip(holes) {
            leaves[hole] = [0; 16];
        }
        (Chooser::new(keys.iter()), Holder::new(known.iter(), holes))
    }

    #[test]
    fn rows_differ_by_the_difference_where_the_choice_is_one() {
        let (chooser, holder) = ends(3);
        let delta = holder.difference();
        let mut seen = std::collections::HashSet::new();
        for (tile, words) in [(0, 1), (1, TILE), (2, 3)] {
            let place = Place {
                address: 1 << 40,
                tile,
            };
            let choices: Vec<u64> = (0..words as u64)
                .map(|w| (w + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .collect();
            let mut message = Vec::new();
            let t = chooser.tile(place, &choices, &mut message).unwrap();
            assert_eq!(message.len(), TREES * words);
            let q = holder.tile(place, &message).unwrap();
            for (j, (t, q)) in t.iter().zip(&q).enumerate() {
                let set = choices[j / 64] >> (j % 64) & 1;
                assert_eq!(t ^ q, delta * u128::from(set), "{j}");
                assert!(seen.insert(*t));
            }
            // A message that was altered makes other rows, but for transfers and trees that it does not touch.
            message[0] ^= 1;
            let other = holder.tile(place, &message).unwrap();
            assert!((other[0] != q[0]) == (holder.holes[0] != 0) && other[1..] == q[1..]);
        }
    }

    /// u ⊕ c is masked by the stream of a leaf that the holder does not know: bits of it are balanced for all choices.
    #[test]
    fn messages_look_uniform_whatever_the_choices() {
        let (chooser, _) = ends(9);
        for choices in [0, u64::MAX] {
            let mut message = Vec::new();
            let place = Place {
                address: 0,
                tile: 0,
            };
            chooser.tile(place, &[choices; TILE], &mut message).unwrap();
            let ones: u32 = message.iter().map(|w| w.count_ones()).sum();
            let bits = 64.0 * message.len() as f64;
            assert!((f64::from(ones) - bits / 2.0).abs() < 5.0 * (bits / 4.0).sqrt());
        }
    }
}
