//! The claim over GF(2^64): AND gates, 64 to a word.
//!
//! The eight gates of byte c of word h have the weights λ = τ_{h,c}·σ_l, l < 8, for uniform τ and σ: an error vanishes with
//! probability 2/2^64. At the first level a block is such a byte: A is the byte of x, B the byte of y weighted. At the second it
//! is a word, whose eight bytes are folded whenever they are needed. Neither vector is ever written down before it has one
//! element for 64 gates, and τ is drawn again in every pass; a pass reads the log, some words at a time.

use tacit_mpc::prss::SeedStream;

use super::super::log::Entry;
use super::super::pair::Bits;
use super::binary::{Binary, BinarySum};
use super::bit_kernels::{self, Folds, Gates, K, Linear};
use super::challenge::Coin;
use super::field::Field;
use super::fold::{BLOCKS, Claim, Fold, Folded, LAST, Segments};
use super::kernels;

/// Words whose τ are drawn at once: what stays in the first-level cache.
const PART: usize = 128;
/// Block length of the first level.
pub(super) const FIRST: usize = K;

/// The vectors of the claim.
pub(super) struct BitClaim<'l> {
    entries: Vec<Ands<'l>>,
    /// σ_l.
    sigma: [u64; K],
    stage: Stage,
}

struct Ands<'l> {
    gates: Gates<'l>,
    left: &'l [u64],
    right: &'l [u64],
    tau: SeedStream,
}

/// What the next level is.
enum Stage {
    /// The first, whose sums are these.
    Bytes(Box<[[u64; K]; K]>),
    /// The second, with the Lagrange polynomials of the first challenge.
    Words([u64; K]),
}

/// The proof to be folded, with this party's shares of the right-hand side; `None` where there is no gate.
pub(super) fn claim<'l, A>(log: &'l [Entry], coin: &Coin<A>) -> Option<Fold<Binary, BitClaim<'l>>> {
    let both = |bits: &'l Bits| [&bits.own[..], &bits.next[..]];
    let entries = log.iter().enumerate();
    let entries = entries.filter_map(|(number, entry)| match entry {
        Entry::Ands { x, y, left, right } => Some(Ands {
            gates: Gates {
                x: both(x),
                y: both(y),
            },
            left,
            right,
            tau: coin.stream("gates", number),
        }),
        _ => None,
    });
    let entries: Vec<Ands<'l>> = entries.collect();
    if entries.is_empty() {
        return None;
    }
    let sigma = coin.words("bits", 0, K);
    let mut claim = BitClaim {
        entries,
        sigma: std::array::from_fn(|l| sigma[l]),
        stage: Stage::Bytes(Box::default()),
    };
    let (left, right) = claim.sums();
    Some(Fold::new(Binary, claim, left, right))
}

impl Ands<'_> {
    fn len(&self) -> usize {
        self.gates.x[0].len()
    }

    /// Calls `visit` with ranges of words and their τ.
    fn for_each_part(&self, mut visit: impl FnMut(std::ops::Range<usize>, &[[u64; K]])) {
        let mut tau = [[0; K]; PART];
        for start in (0..self.len()).step_by(PART) {
            let end = self.len().min(start + PART);
            let tau = &mut tau[..end - start];
            // Two words a block of the stream.
            self.tau
                .fill((start * K / 2) as u32, tau.as_flattened_mut());
            visit(start..end, tau);
        }
    }
}

impl BitClaim<'_> {
    /// All that is summed over the gates before the first challenge: the pairs of bits, which are kept, and cL of the proof of
    /// P_{me+1} and cR of that of P_{me-1}, Σ λ·tL and Σ λ·tR.
    fn sums(&mut self) -> (u64, u64) {
        let (mut left, mut right, mut pairs) = ([0; K], [0; K], [[0; K]; K]);
        for ands in &self.entries {
            let (l, r) = (ands.left, ands.right);
            ands.for_each_part(|range, tau| {
                bit_kernels::sums(&l[range.clone()], tau, &mut left);
                bit_kernels::sums(&r[range.clone()], tau, &mut right);
                bit_kernels::pairs(&ands.gates.part(range), tau, &mut pairs);
            });
        }
        self.stage = Stage::Bytes(Box::new(pairs));
        (Binary.dot(self.sigma, left), Binary.dot(self.sigma, right))
    }

    /// Elements of U_j after the first level.
    fn bytes(&self) -> usize {
        2 * K * self.words()
    }

    fn words(&self) -> usize {
        self.entries.iter().map(Ands::len).sum()
    }

    /// What bytes fold to under the Lagrange polynomials of the first challenge.
    fn folds(&self, lagrange: &[u64; K]) -> Folds {
        let weights = std::array::from_fn(|l| Binary.mul(lagrange[l], self.sigma[l]));
        Folds {
            plain: Linear::new(lagrange),
            weighted: Linear::new(&weights),
        }
    }

    /// Σ_j c_j·(element j) of every word, for what its bytes fold to.
    fn combine(&self, folds: &Folds, coefficients: &[u64; K]) -> [Segments; 2] {
        let mut vectors = [(); 4].map(|()| vec![0; self.words()]);
        let mut at = 0;
        for ands in &self.entries {
            ands.for_each_part(|range, tau| {
                let place = at..at + range.len();
                at = place.end;
                let out = vectors.each_mut().map(|v| &mut v[place.clone()]);
                bit_kernels::combine(&ands.gates.part(range), tau, folds, coefficients, out);
            });
        }
        let [a, a_next, b, b_next] = vectors;
        let segments = |a, b| Segments {
            a,
            b,
            ..Segments::default()
        };
        [segments(a, b), segments(a_next, b_next)]
    }

    /// What bytes fold to, one after the other: for a few words.
    fn elements(&self, folds: &Folds) -> [Segments; 2] {
        let units = (0..K).map(|j| std::array::from_fn(|i| u64::from(i == j)));
        let columns: Vec<[Segments; 2]> = units.map(|unit| self.combine(folds, &unit)).collect();
        [0, 1].map(|index| {
            let interleaved = |of: fn(&Segments) -> &Vec<u64>| {
                let words = 0..self.words();
                let element = |h: usize| columns.iter().map(move |c| of(&c[index])[h]);
                words.flat_map(element).collect()
            };
            Segments {
                a: interleaved(|s| &s.a),
                b: interleaved(|s| &s.b),
                ..Segments::default()
            }
        })
    }
}

impl Claim<Binary> for BitClaim<'_> {
    fn block(&self) -> usize {
        const { assert!(BLOCKS[0] == K) };
        K
    }

    fn gram(&self) -> Vec<u64> {
        match &self.stage {
            Stage::Bytes(pairs) => pairs
                .iter()
                .flat_map(|row| row.iter().zip(&self.sigma))
                .map(|(&sum, &sigma)| Binary.mul(sigma, sum))
                .collect(),
            Stage::Words(lagrange) => {
                let folds = self.folds(lagrange);
                let mut sums = vec![BinarySum::default(); K * K];
                for ands in &self.entries {
                    ands.for_each_part(|range, tau| {
                        bit_kernels::gram(&ands.gates.part(range), tau, &folds, &mut sums);
                    });
                }
                kernels::symmetric(Binary, sums, K)
            }
        }
    }

    fn fold(mut self, lagrange: &[u64]) -> Folded<Self> {
        let new = std::array::from_fn(|l| lagrange[l]);
        match &self.stage {
            Stage::Bytes(_) if self.bytes() <= LAST => {
                Folded::Segments(self.elements(&self.folds(&new)))
            }
            Stage::Bytes(_) => {
                self.stage = Stage::Words(new);
                Folded::Claim(self)
            }
            Stage::Words(first) => Folded::Segments(self.combine(&self.folds(first), &new)),
        }
    }
}
