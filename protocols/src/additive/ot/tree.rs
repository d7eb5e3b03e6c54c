//! Trees of seeds of which the other party learns all leaves but one: 1-of-2^d transfers the other way round, from d base transfers
//! (Goldreich, Goldwasser, Micali, J. ACM 1986; punctured as in Doerner, shelat, CCS 2017, and Roy, CRYPTO 2022, section 4).
//!
//! The owner expands a root seed. For each level it gives the exclusive or of all left and of all right children under the two keys of
//! a base transfer; whoever must not know leaf α chose the one on the side where the path to α is not, and fills in that sibling.
//! Semi-honest. 32 bytes a level.

use tacit_mpc::prss::expand_seed;
use zeroize::Zeroizing;

use super::base::Key;
use super::{DEPTH, LEAVES};

/// Bytes of what the owner sends for a tree.
pub(crate) const CORRECTION: usize = DEPTH * 2 * 16;

/// Both children of a node.
fn children(seed: &Key) -> [Key; 2] {
    let words = expand_seed(seed, 4);
    let half = |k: usize| {
        let (low, high) = (
            words[2 * k].0.to_le_bytes(),
            words[2 * k + 1].0.to_le_bytes(),
        );
        std::array::from_fn(|i| if i < 8 { low[i] } else { high[i - 8] })
    };
    [half(0), half(1)]
}

fn xor(x: &Key, y: &Key) -> Key {
    std::array::from_fn(|i| x[i] ^ y[i])
}

/// The leaves below a root, and the correction under the keys of a transfer a level.
pub(crate) fn grow(root: &Key, keys: &[[Key; 2]]) -> (Zeroizing<Vec<Key>>, Vec<u8>) {
    let mut level = Zeroizing::new(vec![*root]);
    let mut correction = Vec::with_capacity(CORRECTION);
    for keys in keys.iter().take(DEPTH) {
        level = Zeroizing::new(level.iter().flat_map(children).collect());
        for (side, key) in keys.iter().enumerate() {
            let side = level.iter().skip(side).step_by(2);
            let sum = side.fold([0; 16], |sum, node| xor(&sum, node));
            correction.extend_from_slice(&xor(&sum, key));
        }
    }
    (level, correction)
}

/// For each level, from the root on, whether the right sum is to be chosen by whoever must not know leaf `hole`.
pub(crate) fn choices(hole: usize) -> [bool; DEPTH] {
    std::array::from_fn(|level| hole >> (DEPTH - 1 - level) & 1 == 0)
}

/// All leaves but one, whose place holds zeros, from the keys that [`choices`] chose and the owner's correction of
/// [`CORRECTION`] bytes.
pub(crate) fn punctured(hole: usize, keys: &[Key], correction: &[u8]) -> Zeroizing<Vec<Key>> {
    let mut level: Zeroizing<Vec<Key>> = Zeroizing::new(vec![[0; 16]]);
    let mut gap = 0;
    let sums = correction.as_chunks::<16>().0.as_chunks::<2>().0;
    for (depth, (key, sums)) in keys.iter().zip(sums).enumerate().take(DEPTH) {
        let mut next: Zeroizing<Vec<Key>> =
            Zeroizing::new(level.iter().flat_map(children).collect());
        let path = hole >> (DEPTH - 1 - depth) & 1;
        let side = 1 - path;
        // What hangs below the gap is not known: its sibling on the chosen side comes from the sum.
        next[2 * gap] = [0; 16];
        next[2 * gap + 1] = [0; 16];
        let known = next.iter().skip(side).step_by(2);
        let sum = known.fold(xor(&sums[side], key), |sum, node| xor(&sum, node));
        next[2 * gap + side] = sum;
        gap = 2 * gap + path;
        level = next;
    }
    debug_assert_eq!(level.len(), LEAVES);
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_leaves_but_one_are_known() {
        let keys: Vec<[Key; 2]> = (0..DEPTH as u8).map(|k| [[k; 16], [k + 100; 16]]).collect();
        let (leaves, correction) = grow(&[7; 16], &keys);
        assert_eq!((leaves.len(), correction.len()), (LEAVES, CORRECTION));
        for hole in 0..LEAVES {
            let chosen = keys.iter().zip(choices(hole));
            let chosen: Vec<Key> = chosen.map(|(k, c)| k[usize::from(c)]).collect();
            let known = punctured(hole, &chosen, &correction);
            for k in 0..LEAVES {
                assert_eq!(known[k] == leaves[k], k != hole, "{hole} {k}");
            }
        }
    }

    #[test]
    fn every_leaf_differs() {
        let keys = [[[0; 16]; 2]; DEPTH];
        let (leaves, _) = grow(&[1; 16], &keys);
        let all: std::collections::HashSet<_> = leaves.iter().collect();
        assert_eq!(all.len(), LEAVES);
    }
}
