//! From correlated rows to independent pads: H(x, i) = π(π(x) ⊕ i) ⊕ π(x) with a fixed-key permutation π, which is tweakable,
//! circular correlation robust for a random π (Guo, Katz, Wang, Yu, IEEE S&P 2020, section 7.4).
//!
//! Every call has a tweak of its own: the address of the gate, then the number of the row and block.

use tacit_mpc::kernels::vectorised;
use tacit_mpc::permutation::{Block, Permutation};

/// The hash of one link, by a key that both ends derive from public messages.
pub(crate) struct Hash(Permutation);

impl Hash {
    /// By a key that everybody may know.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(Permutation::new(key))
    }

    /// `blocks` blocks for each row ⊕ `offset`, row after row, with tweaks from `tweak` on.
    pub(crate) fn pads(
        &self,
        rows: &[Block],
        offset: Block,
        tweak: u128,
        blocks: usize,
    ) -> Vec<Block> {
        let add = |x: &Block, y: &Block| [x[0] ^ y[0], x[1] ^ y[1]];
        let mut inner: Vec<Block> = rows.iter().map(|row| add(row, &offset)).collect();
        self.0.apply(&mut inner);
        let mut out = Vec::with_capacity(rows.len() * blocks);
        for (j, row) in inner.iter().enumerate() {
            for l in 0..blocks {
                let tweak = tweak + (j * blocks + l) as u128;
                out.push(add(row, &[tweak as u64, (tweak >> 64) as u64]));
            }
        }
        self.0.apply(&mut out);
        vectorised(|| {
            for (pads, row) in out.chunks_mut(blocks.max(1)).zip(&inner) {
                pads.iter_mut().for_each(|pad| *pad = add(pad, row));
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition, with the permutation alone; an offset is added before.
    #[test]
    fn pads_follow_their_definition() {
        let (key, rows) = ([5; 16], [[1, 2], [3, 4], [5, 6]]);
        let pi = |x: Block| {
            let mut x = [x];
            Permutation::new(&key).apply(&mut x);
            x[0]
        };
        let offset = [9, 1 << 63];
        let pads = Hash::new(&key).pads(&rows, offset, 1 << 70, 2);
        for (j, row) in rows.iter().enumerate() {
            let inner = pi([row[0] ^ 9, row[1] ^ 1 << 63]);
            for l in 0..2u64 {
                let outer = pi([inner[0] ^ (2 * j as u64 + l), inner[1] ^ 1 << 6]);
                assert_eq!(
                    pads[2 * j + l as usize],
                    [outer[0] ^ inner[0], outer[1] ^ inner[1]]
                );
            }
        }
    }
}
