//! Products of one party's numbers with another's, by oblivious transfer, as sharings of the two.
//!
//! Gilboa (CRYPTO 1999): x = Σ 2^b x_b chooses with its bits. For bit b the transfer gives pads m_0, m_1 of which the chooser knows
//! m_{x_b}; the holder of y sends d = m_0 - m_1 + y, and m_{x_b} + x_b·d = m_0 + x_b·y. So Σ 2^b (m_0 + x_b y) at the chooser and
//! -Σ 2^b m_0 at the holder add up to x·y. Of bit b only 64 - b bits of d matter mod 2^64, and no more are sent: 260 bytes a
//! product with one row of y, and 256 bytes for the transfers. A row of y instead of a word takes the same transfers. Over GF(2),
//! d = m_0 ⊕ m_1 ⊕ y: 4 bytes and 1 bit a conjunction.
//!
//! What the chooser sends is masked by streams that the holder does not know, and d by m_{1 - x_b}, which the chooser does not know.

use std::cell::RefCell;
use std::num::Wrapping;

use bytemuck::cast_slice;
use bytes::BytesMut;
use tacit_mpc::kernels::vectorised;
use tacit_mpc::wire::{append, packed_len, unpacked};
use tacit_mpc::{PartyId, Purpose, R64, Result, Strand};

use super::ot::TREES;
use super::ot::extension::{Place, TILE};
use super::ot::setup::Link;
use crate::rep3::bits::to_bits;

/// A link with each of the other parties.
pub(super) type Links = [(PartyId, Link)];

/// Products of matrices \[m, k\]·\[k, n\], so many of them. Elementwise products are products of 1×1 matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrices {
    pub(super) batch: usize,
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
}

impl Matrices {
    pub(super) fn elementwise(n: usize) -> Self {
        Self {
            batch: n,
            m: 1,
            k: 1,
            n: 1,
        }
    }

    /// Entries of the left matrices.
    pub(super) fn entries(&self) -> usize {
        self.batch * self.m * self.k
    }

    /// The row among all right matrices by which an entry is multiplied.
    fn source(&self, entry: usize) -> usize {
        entry / (self.m * self.k) * self.k + entry % self.k
    }

    /// The row among all results to which that is added.
    fn target(&self, entry: usize) -> usize {
        entry / self.k
    }
}

/// Columns of a right matrix that are worked on together at most.
const COLUMNS: usize = 256;
/// Words of pads for one bit at most, about: entries times columns.
const PADS: usize = 4096;
/// Blocks of entries and columns at most, 2 gates each: a pass has 4096. Where matrices are wide, blocks are larger.
const BLOCKS: usize = 1000;

/// The words of little-endian bytes.
fn words(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.as_chunks::<8>().0.iter();
    words.map(|b| u64::from_le_bytes(*b)).collect()
}

fn put(words: &[u64], out: &mut BytesMut) {
    if cfg!(target_endian = "little") {
        out.extend_from_slice(cast_slice(words));
    } else {
        words
            .iter()
            .for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    }
}

/// The first `columns` words of the pads of each transfer.
fn pad_words(pads: &mut [u128], columns: usize) -> impl Iterator<Item = &[u64]> {
    if cfg!(target_endian = "big") {
        // The low word of a block is the first.
        pads.iter_mut().for_each(|pad| *pad = pad.rotate_left(64));
    }
    let rows = pads.chunks_exact(columns.div_ceil(2));
    rows.map(move |row| &cast_slice(row)[..columns])
}

/// What a party's numbers are multiplied with, and where the products go.
pub(super) struct Factors<'a> {
    pub(super) shape: Matrices,
    /// The left matrices of this party, entry by entry: they choose.
    pub(super) left: &'a [R64],
    /// Its right matrices, row by row.
    pub(super) right: &'a [R64],
}

/// Adds this party's shares of left_i·right_j and left_j·right_i for all peers j, of the entries from `start` to `end`, to the results.
/// 2 rounds for each block of entries.
pub(super) async fn words_times_words(
    strand: &Strand<'_>,
    links: &Links,
    factors: &Factors<'_>,
    (start, end): (usize, usize),
    out: &RefCell<Vec<R64>>,
) -> Result<()> {
    let n = factors.shape.n;
    for first in (0..n).step_by(COLUMNS) {
        let columns = (first, n.min(first + COLUMNS));
        let entries = entries_at_once(end - start, n, columns.1 - columns.0);
        for from in (start..end).step_by(entries) {
            let block = Entries {
                factors,
                from,
                to: end.min(from + entries),
                columns,
            };
            block.multiply(strand, links, out).await?;
        }
    }
    Ok(())
}

/// How many of `len` entries of a left matrix are worked on together with so many of the right one's `n` columns.
fn entries_at_once(len: usize, n: usize, columns: usize) -> usize {
    let fewest = (len * n.div_ceil(COLUMNS)).div_ceil(BLOCKS);
    let entries = (PADS / columns).max(fewest);
    entries.next_multiple_of(64).min(64 * TILE)
}

/// Entries and columns that are worked on together.
struct Entries<'a> {
    factors: &'a Factors<'a>,
    from: usize,
    to: usize,
    columns: (usize, usize),
}

impl Entries<'_> {
    fn len(&self) -> usize {
        self.to - self.from
    }

    fn width(&self) -> usize {
        self.columns.1 - self.columns.0
    }

    /// Words of one bit of the entries.
    fn plane(&self) -> usize {
        self.len().div_ceil(64)
    }

    /// Bytes of the corrections of bit `bit`.
    fn correction(&self, bit: usize) -> usize {
        packed_len(self.len() * self.width(), 64 - bit)
    }

    /// Where entry `k` of the block adds to.
    fn target<'o>(&self, k: usize, out: &'o mut [R64]) -> &'o mut [R64] {
        let (row, n) = (
            self.factors.shape.target(self.from + k),
            self.factors.shape.n,
        );
        &mut out[row * n..][self.columns.0..self.columns.1]
    }

    /// The row that entry `k` of the block is multiplied by.
    fn source(&self, k: usize) -> &[R64] {
        let (row, n) = (
            self.factors.shape.source(self.from + k),
            self.factors.shape.n,
        );
        &self.factors.right[row * n..][self.columns.0..self.columns.1]
    }

    /// The tweak of the first pad of bit `bit`.
    fn tweak(&self, address: u128, bit: usize) -> u128 {
        address + (bit * self.len() * self.width().div_ceil(2)) as u128
    }

    async fn multiply(
        &self,
        strand: &Strand<'_>,
        links: &Links,
        out: &RefCell<Vec<R64>>,
    ) -> Result<()> {
        let (choosing, correcting) = (strand.next_gate()?, strand.next_gate()?);
        let address = choosing.address(Purpose::Transfer);
        let bits = to_bits(&self.factors.left[self.from..self.to], 64);
        for (peer, link) in links {
            let message = self.choose(link, address, &bits, &mut out.borrow_mut())?;
            strand.send(*peer, choosing, 8 * message.len(), |out| put(&message, out))?;
        }
        let lengths = (0..64).map(|bit| self.correction(bit));
        let length = lengths.sum();
        for (peer, link) in links {
            let bytes = 8 * 64 * TREES * self.plane();
            let message = strand.recv(*peer, choosing, bytes).await?;
            let message = words(&message);
            let corrections = self.correct(link, address, &message, &mut out.borrow_mut())?;
            strand.send(*peer, correcting, length, |out| {
                out.extend_from_slice(&corrections);
            })?;
        }
        for (peer, _) in links {
            let corrections = strand.recv(*peer, correcting, length).await?;
            let (mut corrections, out) = (&corrections[..], &mut *out.borrow_mut());
            for bit in 0..64 {
                let (these, rest) = corrections.split_at(self.correction(bit));
                corrections = rest;
                let d = unpacked(these, 64 - bit as u32, self.len() * self.width());
                let plane = &bits[bit * self.plane()..];
                for (k, d) in d.chunks_exact(self.width()).enumerate() {
                    let set = Wrapping(0u64.wrapping_sub(plane[k / 64] >> (k % 64) & 1));
                    let target = self.target(k, out).iter_mut().zip(d);
                    target.for_each(|(z, d)| *z += (d & set) << bit);
                }
            }
        }
        Ok(())
    }

    /// As the one who chooses: adds 2^b·m_{x_b}, and gives the message.
    fn choose(
        &self,
        link: &Link,
        address: u128,
        bits: &[u64],
        out: &mut [R64],
    ) -> Result<Vec<u64>> {
        let blocks = self.width().div_ceil(2);
        let mut message = Vec::with_capacity(64 * TREES * self.plane());
        for (bit, plane) in bits.chunks_exact(self.plane()).enumerate() {
            let place = Place { address, tile: bit };
            let rows = link.chooser.tile(place, plane, &mut message)?;
            let tweak = self.tweak(address, bit);
            let mut pads = link.hashes[0].pads(&rows[..self.len()], 0, tweak, blocks);
            for (k, pads) in pad_words(&mut pads, self.width()).enumerate() {
                let target = self.target(k, out).iter_mut().zip(pads);
                target.for_each(|(z, m)| *z += Wrapping(*m) << bit);
            }
        }
        Ok(message)
    }

    /// As the one who holds the difference: subtracts 2^b·m_0, and gives the corrections.
    fn correct(
        &self,
        link: &Link,
        address: u128,
        message: &[u64],
        out: &mut [R64],
    ) -> Result<BytesMut> {
        let blocks = self.width().div_ceil(2);
        let delta = link.holder.difference();
        let mut corrections = BytesMut::new();
        for (bit, message) in message.chunks_exact(TREES * self.plane()).enumerate() {
            let rows = link.holder.tile(Place { address, tile: bit }, message)?;
            let (rows, tweak) = (&rows[..self.len()], self.tweak(address, bit));
            let mut zero = link.hashes[1].pads(rows, 0, tweak, blocks);
            let mut one = link.hashes[1].pads(rows, delta, tweak, blocks);
            let mut d = Vec::with_capacity(self.len() * self.width());
            let pads = pad_words(&mut zero, self.width()).zip(pad_words(&mut one, self.width()));
            for (k, (zero, one)) in pads.enumerate() {
                let both = zero.iter().zip(one).zip(self.source(k));
                d.extend(both.map(|((zero, one), y)| Wrapping(*zero) - Wrapping(*one) + y));
                let target = self.target(k, out).iter_mut().zip(zero);
                target.for_each(|(z, m)| *z -= Wrapping(*m) << bit);
            }
            append(&d, 64 - bit as u32, &mut corrections);
        }
        Ok(corrections)
    }
}

/// The lowest bits of pads of one block each, as whole words; past the last pad they are zero.
fn pad_bits(pads: &[u128]) -> Vec<u64> {
    let bits = |pads: &[u128]| {
        let bits = pads.iter().enumerate();
        bits.fold(0, |word, (k, pad)| word | (*pad as u64 & 1) << k)
    };
    vectorised(|| pads.chunks(64).map(bits).collect())
}

/// Adds this party's shares of x_i ∧ y_j and x_j ∧ y_i for all peers j to the result, word by word. 2 rounds.
pub(super) async fn bits_and_bits(
    strand: &Strand<'_>,
    links: &Links,
    x: &[u64],
    y: &[u64],
    out: &mut [u64],
) -> Result<()> {
    let (choosing, correcting) = (strand.next_gate()?, strand.next_gate()?);
    let address = choosing.address(Purpose::Transfer);
    let tweak = |tile: usize| address + (64 * TILE * tile) as u128;
    for (peer, link) in links {
        let mut message = Vec::with_capacity(TREES * x.len());
        for (tile, (x, out)) in x.chunks(TILE).zip(out.chunks_mut(TILE)).enumerate() {
            let rows = link
                .chooser
                .tile(Place { address, tile }, x, &mut message)?;
            let pads = link.hashes[0].pads(&rows, 0, tweak(tile), 1);
            out.iter_mut()
                .zip(pad_bits(&pads))
                .for_each(|(z, m)| *z ^= m);
        }
        strand.send(*peer, choosing, 8 * message.len(), |out| put(&message, out))?;
    }
    for (peer, link) in links {
        let message = strand.recv(*peer, choosing, 8 * TREES * x.len()).await?;
        let message = words(&message);
        let delta = link.holder.difference();
        let mut corrections = Vec::with_capacity(x.len());
        let tiles = message.chunks(TREES * TILE).zip(y.chunks(TILE));
        for (tile, ((message, y), out)) in tiles.zip(out.chunks_mut(TILE)).enumerate() {
            let rows = link.holder.tile(Place { address, tile }, message)?;
            let [zero, one] = [0, delta]
                .map(|offset| pad_bits(&link.hashes[1].pads(&rows, offset, tweak(tile), 1)));
            corrections.extend(zero.iter().zip(&one).zip(y).map(|((m, n), y)| m ^ n ^ y));
            out.iter_mut().zip(zero).for_each(|(z, m)| *z ^= m);
        }
        strand.send(*peer, correcting, 8 * x.len(), |out| put(&corrections, out))?;
    }
    for (peer, _) in links {
        let corrections = strand.recv(*peer, correcting, 8 * x.len()).await?;
        let d = words(&corrections);
        let all = out.iter_mut().zip(d).zip(x);
        all.for_each(|((z, d), x)| *z ^= d & x);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of a matrix of any width has gate numbers enough for its blocks, and narrow ones stay in the caches.
    #[test]
    fn wide_matrices_do_not_run_out_of_gates() {
        for n in [1, 3, 256, 257, 8000, 9216, 50_176, 100_000] {
            for len in [1, 64, 65, 1000, 4160] {
                let entries = entries_at_once(len, n, n.min(COLUMNS));
                let gates = 2 * len.div_ceil(entries) * n.div_ceil(COLUMNS);
                assert!(gates <= 4096, "{len} entries by {n} columns: {gates}");
                assert!(entries.is_multiple_of(64) && (1..=TILE).contains(&(entries / 64)));
            }
        }
        assert_eq!(entries_at_once(4160, 256, 256), 64);
    }

    /// Twelve roundings fit into a pass of a chunk, among as many parties as are worked with, which is more than any program has: each
    /// converts 2n - 1 bits of n parties, along a tree of products.
    #[test]
    fn roundings_among_many_parties_do_not_run_out_of_gates() {
        for parties in 2..=16 {
            let chunks = crate::additive::cut_of_transfers(parties).chunks(1 << 20);
            let most = chunks.iter().map(|c| c.len()).max().unwrap();
            let (mut left, mut gates) = (parties, 0);
            while left > 1 {
                let products = left / 2 * (2 * parties - 1) * most;
                gates += 2 * products.div_ceil(entries_at_once(products, 1, 1));
                left = left.div_ceil(2);
            }
            assert!(12 * gates <= 4096, "{parties} parties: {gates} gates");
        }
    }
}
