//! From correlated rows to independent pads: H(x, i) = π(π(x) ⊕ i) ⊕ π(x) with a fixed-key permutation π, which is tweakable,
//! circular correlation robust for a random π (Guo, Katz, Wang, Yu, IEEE S&P 2020, section 7.4). The one-way function h of
//! [`tacit_mpc::hash`] gives it: π(x) = h(x) ⊕ x, and so H(x, i) = h(π(x) ⊕ i) ⊕ i.
//!
//! Every call has a tweak of its own: the address of the gate, then the number of the row and block.

use tacit_mpc::kernels::vectorised;

/// The hash of one link, by a key that both ends derive from public messages.
pub(crate) struct Hash(tacit_mpc::Hash);

impl Hash {
    /// By a key that everybody may know.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(tacit_mpc::Hash::new(key))
    }

    /// `blocks` blocks for each row ⊕ `offset`, row after row, with tweaks from `tweak` on.
    pub(crate) fn pads(
        &self,
        rows: &[u128],
        offset: u128,
        tweak: u128,
        blocks: usize,
    ) -> Vec<u128> {
        let rows = rows.iter().map(|row| row ^ offset);
        let mut inner: Vec<u128> = rows.clone().collect();
        self.0.apply(&mut inner);
        inner.iter_mut().zip(rows).for_each(|(y, x)| *y ^= x);
        let mut out = Vec::with_capacity(inner.len() * blocks);
        for (row, start) in inner.iter().zip((tweak..).step_by(blocks.max(1))) {
            out.extend((start..).take(blocks).map(|tweak| row ^ tweak));
        }
        self.0.apply(&mut out);
        vectorised(|| {
            out.iter_mut()
                .zip(tweak..)
                .for_each(|(pad, tweak)| *pad ^= tweak);
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
        let (key, rows) = ([5; 16], [1 | 2 << 64, 3 | 4 << 64, 5 | 6 << 64]);
        let pi = |x: u128| {
            let mut block = [x];
            tacit_mpc::Hash::new(&key).apply(&mut block);
            block[0] ^ x
        };
        let offset = 9 | 1 << 127;
        let pads = Hash::new(&key).pads(&rows, offset, 1 << 70, 2);
        assert_eq!(pads.len(), 6);
        for (k, pad) in pads.into_iter().enumerate() {
            let inner = pi(rows[k / 2] ^ offset);
            let tweak = (1 << 70) + k as u128;
            assert_eq!(pad, pi(inner ^ tweak) ^ inner, "{k}");
        }
    }
}
