//! Bits of words, with the weights of the relations that they stand in: C and D of the claim.
//!
//! A relation weighs bit b with 2^(b + up - from) from bit `from` on. At the first level a block is a nibble, and as the weights
//! are those of an integer's bits, Σ_rows β_j·(weighted γ_l) is one integer, β_j moved to where γ_l stands: what is summed are
//! products λ·word. At the second a block is half a word, whose nibbles are folded whenever they are needed (`dot_rows.rs`).
//! Neither C nor D is written down before it has two elements a word.

use std::rc::Rc;

use tacit_mpc::R64;
use tacit_mpc::kernels::vectorised;

use super::super::log::BitRelation;
use super::field::Field;
use super::prime::Prime;
use super::prime_sum::PrimeSum;

/// Bits in a row: the block length of the first level.
pub(super) const K: usize = 4;
/// Nibbles.
const NIBBLES: usize = 1 << K;
/// Words that go through all pairs of bits together: what stays in the first-level cache.
const PART: usize = 1024;

/// From which bit on a relation weighs, and the weight of bit 0 as if it counted: 2^(up - from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) from: usize,
    pub(super) scale: u64,
}

impl Scale {
    /// Bit b weighs 2^b.
    pub(super) const PLAIN: Self = Self { from: 0, scale: 1 };

    pub(super) fn of(f: Prime, relation: &BitRelation) -> Self {
        let weight = relation.weight;
        let from = f.inverse(f.power_of_two(weight.from));
        Self {
            from: weight.from as usize,
            scale: f.mul(f.power_of_two(weight.up), from),
        }
    }
}

/// The words of one dealer that are in the same relations.
pub(super) struct Dots {
    /// Shares of the bits, where they are known.
    pub(super) beta: Option<Rc<Vec<R64>>>,
    pub(super) gamma: Option<Rc<Vec<R64>>>,
    pub(super) len: usize,
    pub(super) relations: Vec<Scale>,
    /// The λ of all words in the first relation, then in the second, ….
    lambda: Rc<Vec<u64>>,
}

impl Dots {
    /// Words with the λ of all of them in the first relation, then in the second, …: at most eight.
    pub(super) fn new(
        [beta, gamma]: [Option<Rc<Vec<R64>>>; 2],
        relations: Vec<Scale>,
        lambda: Rc<Vec<u64>>,
    ) -> Self {
        assert!(
            relations.len() <= RELATIONS,
            "sums of products fit 128 bits"
        );
        Self {
            beta,
            gamma,
            len: lambda.len() / relations.len().max(1),
            relations,
            lambda,
        }
    }

    /// Elements of C and D after the second level.
    pub(super) fn halves(&self) -> usize {
        2 * self.len
    }

    /// The λ of relation m.
    pub(super) fn lambda(&self, m: usize) -> &[u64] {
        &self.lambda[m * self.len..][..self.len]
    }

    /// Both halves, at the dealer.
    pub(super) fn both(&self) -> Option<(&[R64], &[R64])> {
        Some((self.beta.as_deref()?, self.gamma.as_deref()?))
    }
}

/// Relations that a word can be in.
pub(in crate::malicious) const RELATIONS: usize = 8;

/// Bit 0 of every nibble.
const FIRST_BITS: u64 = u64::MAX / (NIBBLES as u64 - 1);

/// The sums M_jl + M_lj, at j < l, of M_jl = Σ λ·β_j·(weighted γ_l) over all rows of what this party deals; M_jj at j.
pub(super) fn first_gram(f: Prime, dots: &[Dots]) -> [u64; K * K] {
    let mut gram = [0; K * K];
    let mut both = [0; PART];
    for dots in dots {
        let Some((beta, gamma)) = dots.both() else {
            continue;
        };
        for (m, scale) in dots.relations.iter().enumerate() {
            let counts = u64::MAX << scale.from;
            let mut sums = [PrimeSum::default(); K * K];
            let parts = beta.chunks(PART).zip(gamma.chunks(PART));
            for ((beta, gamma), lambda) in parts.zip(dots.lambda(m).chunks(PART)) {
                for (j, l) in (0..K).flat_map(|j| (j..K).map(move |l| (j, l))) {
                    // β_j where γ_l stands, whose weight is that of a bit of an integer; both ways, which never meet.
                    let (at_j, at_l) = (counts & FIRST_BITS << j, counts & FIRST_BITS << l);
                    if at_j | at_l == 0 {
                        continue;
                    }
                    vectorised(|| {
                        for (both, (b, g)) in both.iter_mut().zip(beta.iter().zip(gamma)) {
                            let (up, down) = (b.0 << (l - j) & at_l, b.0 >> (l - j) & at_j);
                            *both = (up | down) & g.0;
                        }
                    });
                    sums[K * j + l].add_dot(&both[..lambda.len()], lambda);
                }
            }
            for (gram, sum) in gram.iter_mut().zip(sums) {
                *gram = f.add(*gram, f.mul(scale.scale, f.reduce(sum)));
            }
        }
    }
    gram
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};
    use std::num::Wrapping;

    use super::super::super::log::Weight;
    use super::super::dot_rows::{HALF, Rows};
    use super::super::kernels;
    use super::*;

    /// The sums of both levels and what is left after them, by the definition bit by bit, against the tables: all kinds of
    /// weights, words at the ends and between, more words than go through together.
    #[test]
    fn bits_are_weighed_as_their_relations_say() {
        check(Prime::from_seed(&[5; 32]));
        check(Prime::of((1 << 61) - 1));
    }

    /// The same without vectors.
    #[test]
    fn bits_are_weighed_one_by_one_alike() {
        check(Prime::of(1_000_003));
    }

    fn check(f: Prime) {
        let draw = |k: usize| {
            f.uniform([
                k as u64 * 0x9E37_79B9_7F4A_7C15,
                0x0123_4567_89AB_CDEF ^ k as u64,
            ])
        };
        let weights = [(0, 0), (18, 0), (63, 0), (0, 1), (62, 3), (4, 0), (63, 46)];
        let relations: Vec<BitRelation> = weights
            .map(|(from, up)| BitRelation {
                weight: Weight { from, up },
                left: None,
                right: None,
            })
            .into();
        let n = 4 * PART + 7;
        let words = |seed: usize| -> Vec<R64> {
            let ends = [0, u64::MAX, 1 << 63, 0xF0F0_1234_FFFF_8888];
            let ends = ends.into_iter().cycle().take(16);
            ends.chain((16..n).map(|g| draw(seed + g) << 3 ^ draw(g)))
                .map(Wrapping)
                .collect()
        };
        let (beta, gamma) = (words(10_000), words(20_000));
        let lambda: Vec<u64> = (0..weights.len() * n).map(|k| draw(30_000 + k)).collect();
        let known = [Some(Rc::new(beta.clone())), Some(Rc::new(gamma.clone()))];
        let scales = relations.iter().map(|r| Scale::of(f, r)).collect();
        let dots = [Dots::new(known, scales, Rc::new(lambda.clone()))];

        let bit = |w: R64, b: usize| w.0 >> b & 1;
        let c: Vec<u64> = beta
            .iter()
            .flat_map(|&w| (0..64).map(move |b| bit(w, b)))
            .collect();
        let d: Vec<u64> = (0..n)
            .flat_map(|g| (0..64).map(move |b| (g, b)))
            .map(|(g, b)| {
                let weights = relations.iter().enumerate().filter_map(|(m, r)| {
                    let log2 = r.weight.log2(b as u32)?;
                    Some(f.mul(lambda[m * n + g], f.power_of_two(log2)))
                });
                f.mul(bit(gamma[g], b), weights.fold(0, |s, w| f.add(s, w)))
            })
            .collect();
        let gram = |c: &[u64], d: &[u64], k: usize, j: usize, l: usize| {
            let blocks = c.chunks(k).zip(d.chunks(k));
            blocks.fold(0, |s, (c, d)| f.add(s, f.mul(c[j], d[l])))
        };
        let got = first_gram(f, &dots);
        for (j, l) in (0..K).flat_map(|j| (0..K).map(move |l| (j, l))) {
            let want = match j.cmp(&l) {
                Less => f.add(gram(&c, &d, K, j, l), gram(&c, &d, K, l, j)),
                Equal => gram(&c, &d, K, j, j),
                Greater => 0,
            };
            assert_eq!(got[K * j + l], want, "{j}, {l}");
        }

        let first: [u64; K] = std::array::from_fn(|k| draw(40_000 + k));
        let fold = |x: &[u64], by: &[u64]| -> Vec<u64> {
            let blocks = x.chunks(by.len());
            blocks
                .map(|x| f.dot(x.iter().copied(), by.iter().copied()))
                .collect()
        };
        let (c, d) = (fold(&c, &first), fold(&d, &first));
        let rows = Rows::new(f, &first);
        let mut got = vec![PrimeSum::default(); HALF * HALF];
        rows.gram(&dots, &mut got);
        let got = kernels::symmetric(f, got, HALF);
        for (j, l) in (0..HALF).flat_map(|j| (0..=j).map(move |l| (j, l))) {
            let want = [gram(&c, &d, HALF, j, l), gram(&c, &d, HALF, l, j)];
            let want = if j == l {
                want[0]
            } else {
                f.add(want[0], want[1])
            };
            assert_eq!(
                f.add(
                    got[HALF * l + j],
                    if j == l { 0 } else { got[HALF * j + l] }
                ),
                want
            );
        }

        let second: [u64; HALF] = std::array::from_fn(|k| draw(50_000 + k));
        let (mut by_beta, mut by_gamma) = (Vec::new(), Vec::new());
        rows.fold_beta(&dots, &second, &mut by_beta);
        rows.fold_gamma(&dots, &second, &mut by_gamma);
        assert_eq!((by_beta, by_gamma), (fold(&c, &second), fold(&d, &second)));
        assert_eq!(dots[0].halves(), 2 * n);
        // What is not known is zero, at both levels.
        let unknown = [Dots::new(
            [None, None],
            vec![Scale::PLAIN],
            Rc::new(vec![1; 3]),
        )];
        let mut zeros = Vec::new();
        rows.fold_beta(&unknown, &second, &mut zeros);
        rows.fold_gamma(&unknown, &second, &mut zeros);
        assert_eq!(zeros, [0; 12]);
        assert_eq!(first_gram(f, &unknown), [0; K * K]);
    }
}
