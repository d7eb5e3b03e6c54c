//! Keys of a distributed comparison function, and of a distributed point function.
//!
//! Boyle, Chandran, Gilboa, Gupta, Ishai, Kumar, Rathee, "Function Secret Sharing for Mixed-Mode and Fixed-Point Secure
//! Computation" (Eurocrypt 2021), figure 1, for outputs of one bit: key b, b = 0, 1, is a root r_b and correction words that both
//! keys share, and Eval(0, x) ⊕ Eval(1, x) = \[x < α\] for every x. Without the value bits V it is the distributed point function
//! \[x = α\] of Boyle, Gilboa, Ishai (CCS 2016), whose early termination both have: the last [`TAIL`] levels are one
//! word of 128 bits, the table of the function on them.
//!
//! A node is (s, t): a seed of 125 bits and a control bit; below it G(s ‖ side) = H(s ‖ side), H the one-way function of
//! `tacit_mpc::hash`, gives the next seed, control bit and value bit. The correction word of a level is one block:
//!     seed (125 bits) ‖ t_R ‖ V ‖ t_L.
//! Off the path of α both parties' nodes are equal and so cancel out; on it s_0, s_1 are independent and t_0 ⊕ t_1 = 1.
//!
//! Computational: for who holds one key, its words are pseudo-random as long as H is a pseudo-random generator and the other
//! root is uniform, unknown and used for nothing else. Time depends on public sizes alone: bits of α and x only mask.

use tacit_mpc::Hash;

/// The levels that one word replaces: 2^7 bits of it.
pub(super) const TAIL: u32 = 7;
/// The bits of a block that are a seed.
const SEED: u128 = !7;
/// Before a seed is hashed: for the word of the last levels.
const LAST: u128 = 4;

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// \[x < α\].
    Below,
    /// \[x = α\].
    Equal,
}

/// The levels of correction words for so many bits, without the last word.
pub(super) fn levels(bits: u32) -> u32 {
    bits.saturating_sub(TAIL)
}

/// All ones where the lowest bit of x is set, else zero.
fn mask(x: u128) -> u128 {
    0u128.wrapping_sub(x & 1)
}

/// y where the mask is set, else x.
fn choose(mask: u128, x: u128, y: u128) -> u128 {
    x ^ (mask & (x ^ y))
}

/// Bit j of a word as the lowest bit of a block.
fn bit(word: u64, j: u32) -> u128 {
    u128::from(word >> j & 1)
}

/// The roots as nodes: t_0 = 0, t_1 = 1.
fn start(mut roots: Vec<u128>, key: usize) -> Vec<u128> {
    roots.iter_mut().for_each(|r| *r = *r & SEED | key as u128);
    roots
}

/// The correction words of the keys with these roots for each α of so many bits: level by level, a word a value, the most
/// significant bit first; then the last words.
pub(super) fn generate(
    hash: &Hash,
    roots: [Vec<u128>; 2],
    alpha: &[u64],
    bits: u32,
    test: Test,
) -> Vec<u128> {
    let n = alpha.len();
    let [zero, one] = roots;
    let mut nodes = [start(zero, 0), start(one, 1)];
    let has_value = mask(u128::from(test == Test::Below));
    // V_α: what both keys' value bits come to on the path so far.
    let mut value = vec![0u128; n];
    let mut words = Vec::with_capacity((levels(bits) as usize + 1) * n);
    let mut children = vec![0u128; 4 * n];
    for j in (TAIL..bits).rev() {
        for (c, (s0, s1)) in children
            .chunks_exact_mut(4)
            .zip(nodes[0].iter().zip(&nodes[1]))
        {
            let (s0, s1) = (s0 & SEED, s1 & SEED);
            c.copy_from_slice(&[s0, s0 | 1, s1, s1 | 1]);
        }
        hash.apply(&mut children);
        let [zero, one] = &mut nodes;
        let path = zero.iter_mut().zip(one).zip(&mut value).zip(alpha);
        for ((((s0, s1), value), &alpha), c) in path.zip(children.chunks_exact(4)) {
            let a = bit(alpha, j);
            let right = mask(a);
            let lost = choose(right, c[1] ^ c[3], c[0] ^ c[2]);
            let (keep0, keep1) = (choose(right, c[0], c[1]), choose(right, c[2], c[3]));
            let (tl, tr) = ((c[0] ^ c[2] ^ a ^ 1) & 1, (c[1] ^ c[3] ^ a) & 1);
            // Left of a path that goes right, x < α.
            let v = (lost >> 1 ^ *value ^ a) & 1 & has_value;
            let word = lost & SEED | tr << 2 | v << 1 | tl;
            *value ^= ((keep0 ^ keep1) >> 1 ^ v) & 1 & has_value;
            let correction = word & SEED | choose(right, tl, tr);
            *s0 = keep0 & (SEED | 1) ^ mask(*s0) & correction;
            *s1 = keep1 & (SEED | 1) ^ mask(*s1) & correction;
            words.push(word);
        }
    }
    let [mut last, other] = nodes.map(|nodes| tables(hash, &nodes));
    for (((word, other), value), &alpha) in last.iter_mut().zip(other).zip(value).zip(alpha) {
        let mut unit = 1u128;
        for j in 0..TAIL.min(bits) {
            unit = choose(mask(bit(alpha, j)), unit, unit << (1u32 << j));
        }
        // Bit v is [v < α] or [v = α].
        let table = unit.wrapping_sub(has_value & 1);
        *word ^= other ^ mask(value) ^ table;
    }
    words.append(&mut last);
    words
}

/// The 128 bits that a node of the last level stands for.
fn tables(hash: &Hash, nodes: &[u128]) -> Vec<u128> {
    let mut tables: Vec<u128> = nodes.iter().map(|s| s & SEED | LAST).collect();
    hash.apply(&mut tables);
    tables
}

/// The share of key 0 or 1 of \[x < α\] or \[x = α\] for each x of so many bits, one in a word. `words` are those of
/// [`generate`], as they travel.
pub(super) fn evaluate(
    hash: &Hash,
    (key, roots): (usize, Vec<u128>),
    x: &[u64],
    bits: u32,
    test: Test,
    words: &[[u8; 16]],
) -> Vec<u64> {
    let n = x.len();
    let mut nodes = start(roots, key);
    let has_value = mask(u128::from(test == Test::Below));
    let mut value = vec![0u128; n];
    let mut levels = words.chunks_exact(n.max(1));
    let mut children = vec![0u128; n];
    for j in (TAIL..bits).rev() {
        for ((c, s), &x) in children.iter_mut().zip(&nodes).zip(x) {
            *c = s & SEED | bit(x, j);
        }
        hash.apply(&mut children);
        let words = levels.next().unwrap_or_default();
        let path = nodes.iter_mut().zip(&mut value).zip(x).zip(&children);
        for ((((s, value), &x), c), word) in path.zip(words) {
            let word = u128::from_le_bytes(*word);
            let t = choose(mask(bit(x, j)), word, word >> 2) & 1;
            let c = c ^ mask(*s) & (word & (SEED | 2) | t);
            *value ^= c >> 1 & 1 & has_value;
            *s = c & (SEED | 1);
        }
    }
    let tables = tables(hash, &nodes);
    let words = levels.next().unwrap_or_default();
    let last = nodes.iter().zip(value).zip(x).zip(tables).zip(words);
    last.map(|((((s, value), &x), table), word)| {
        let mut row = table ^ mask(*s) & u128::from_le_bytes(*word);
        for j in 0..TAIL.min(bits) {
            row = choose(mask(bit(x, j)), row, row >> (1u32 << j));
        }
        ((row ^ value) & 1) as u64
    })
    .collect()
}

#[cfg(test)]
mod tests;
