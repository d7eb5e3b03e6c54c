//! The claim over GF(2^64): AND gates, 64 to a word.
//!
//! The eight gates of byte c of word h have the weights λ = τ_{h,c}·σ_l, l < 8, for uniform τ and σ: an error vanishes with
//! probability 2/2^64. A block is a byte: A is the byte of x, B the byte of y weighted. What the prover sums over all gates is
//! one number τ for each pair of bytes (x, y), so a word costs sixteen table entries and no multiplication; because a product is
//! symmetric, both its halves go to one table.

use super::super::log::{Entry, Rest};
use super::super::pair::Bits;
use super::binary::Binary;
use super::challenge::Coin;
use super::combinations::subset_sums;
use super::field::Field;
use super::fold::{Claim, Fold, Segments};

/// Block length of the first level: a byte.
const K: usize = 8;

/// The vectors of the claim.
pub(super) struct BitClaim<'l> {
    gates: Vec<Gates<'l>>,
    /// σ_l.
    sigma: [u64; K],
}

struct Gates<'l> {
    x: &'l Bits,
    y: &'l Bits,
    rest: &'l Rest<Vec<u64>>,
    /// τ of every byte.
    tau: Vec<u64>,
}

/// The proof to be folded, with this party's shares of the right-hand side; `None` where there is no gate.
pub(super) fn claim<'l, A>(log: &'l [Entry], coin: &Coin<A>) -> Option<Fold<Binary, BitClaim<'l>>> {
    let gates: Vec<Gates<'l>> = log
        .iter()
        .enumerate()
        .filter_map(|(number, entry)| match entry {
            Entry::Ands { x, y, rest } => Some(Gates {
                x,
                y,
                rest,
                tau: coin.words("gates", number, K * x.own.len()),
            }),
            _ => None,
        })
        .collect();
    if gates.is_empty() {
        return None;
    }
    let sigma = coin.words("bits", 0, K);
    let claim = BitClaim {
        gates,
        sigma: std::array::from_fn(|l| sigma[l]),
    };
    let (left, right) = claim.shares();
    Some(Fold::new(Binary, claim, left, right))
}

/// The bytes of words.
fn bytes(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().flat_map(|w| w.to_le_bytes()).map(usize::from)
}

impl BitClaim<'_> {
    /// cL of the proof of P_{me+1} and cR of that of P_{me-1}: Σ λ·tL and Σ λ·tR.
    fn shares(&self) -> (u64, u64) {
        let weights = subset_sums(&self.sigma, |x, y| x ^ y);
        // The sum of τ for each byte.
        let sum = |of: fn(&Rest<Vec<u64>>) -> &Vec<u64>| {
            let mut table = [0; 1 << K];
            for g in &self.gates {
                bytes(of(g.rest))
                    .zip(&g.tau)
                    .for_each(|(byte, tau)| table[byte] ^= tau);
            }
            Binary.dot(weights, table)
        };
        (sum(|r| &r.left.next), sum(|r| &r.right.own))
    }
}

impl Claim<Binary> for BitClaim<'_> {
    const BLOCK: usize = K;

    fn gram(&self) -> Vec<u64> {
        // The sum of τ for each pair of bytes (x, y).
        let mut table = vec![0u64; 1 << (2 * K)];
        for g in &self.gates {
            let mut add = |x: &[u64], y: &[u64]| {
                for ((x, y), tau) in bytes(x).zip(bytes(y)).zip(&g.tau) {
                    table[x << K | y] ^= tau;
                }
            };
            add(&g.x.own, &g.y.next);
            add(&g.x.next, &g.y.own);
        }
        (0..K * K)
            .map(|k| {
                let (j, l) = (k / K, k % K);
                let pairs = table.iter().enumerate();
                let sum = pairs
                    .filter(|(xy, _)| xy >> (K + j) & 1 == 1 && xy >> l & 1 == 1)
                    .fold(0, |s, (_, t)| s ^ t);
                Binary.mul(self.sigma[l], sum)
            })
            .collect()
    }

    fn fold(self, lagrange: &[u64]) -> [Segments; 2] {
        let plain = subset_sums(lagrange, |x, y| x ^ y);
        let weights: Vec<u64> = (0..K)
            .map(|l| Binary.mul(lagrange[l], self.sigma[l]))
            .collect();
        let weighted = subset_sums(&weights, |x, y| x ^ y);
        let index = |x: fn(&Bits) -> &Vec<u64>| {
            let mut segments = Segments::default();
            for g in &self.gates {
                segments.a.extend(bytes(x(g.x)).map(|byte| plain[byte]));
                let mut b: Vec<u64> = bytes(x(g.y)).map(|byte| weighted[byte]).collect();
                Binary.scale(&mut b, &g.tau);
                segments.b.extend(b);
            }
            segments
        };
        [index(|p| &p.own), index(|p| &p.next)]
    }
}
