//! Bits of words, with the weights of the relations that they stand in: C and D of the claim.
//!
//! A relation weighs bit b with 2^(b + up - from) from bit `from` on. At the first level a block is a nibble: within it the
//! weights are those of its lowest bit times 1, 2, 4, 8, so what is summed over millions of words is one λ for each pair of
//! nibbles (β, γ) of a row. At the second a block is half a word, whose nibbles are folded whenever they are needed; folded again,
//! a half is a sum of four table entries for its bytes. Neither C nor D is written down before it has two elements a word.

use std::rc::Rc;

use tacit_mpc::R64;

use super::super::log::BitRelation;
use super::field::Field;
use super::prime::Prime;
use super::prime_sum::PrimeSum;

/// Bits in a row: the block length of the first level.
pub(super) const K: usize = 4;
/// Rows of a word.
const ROWS: usize = 64 / K;
/// Rows of half a word: the block length of the second level.
pub(super) const HALF: usize = ROWS / 2;
/// Nibbles.
const NIBBLES: usize = 1 << K;
/// Words that go through all rows together: what stays in the first-level cache.
const PART: usize = 256;

/// From which bit on a relation weighs, and the weight of bit 0 as if it counted: 2^(up - from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    from: usize,
    scale: u64,
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

    /// The first row with a bit that counts.
    fn row(&self) -> usize {
        self.from / K
    }

    /// The bits of a row that count.
    fn mask(&self, row: usize) -> usize {
        if row == self.row() {
            ((NIBBLES - 1) << (self.from % K)) & (NIBBLES - 1)
        } else {
            NIBBLES - 1
        }
    }

    /// The weight of the lowest bit of each row, were it to count.
    fn rows(&self, f: Prime) -> [u64; ROWS] {
        std::array::from_fn(|i| f.mul(self.scale, f.power_of_two((K * i) as u32)))
    }
}

/// The words of one dealer that are in the same relations.
pub(super) struct Dots {
    /// Shares of the bits, where they are known.
    beta: Option<Rc<Vec<R64>>>,
    gamma: Option<Rc<Vec<R64>>>,
    len: usize,
    relations: Vec<Scale>,
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
    fn lambda(&self, m: usize) -> &[u64] {
        &self.lambda[m * self.len..][..self.len]
    }

    /// Both halves, at the dealer.
    fn both(&self) -> Option<(&[R64], &[R64])> {
        Some((self.beta.as_deref()?, self.gamma.as_deref()?))
    }
}

/// Relations that a word can be in.
pub(in crate::malicious) const RELATIONS: usize = 8;

/// Σ λ·w for λ < 2^61, w < 2^63 and at most eight terms, which do not overflow.
fn products(terms: impl Iterator<Item = (u64, u64)>) -> u128 {
    terms.map(|(l, w)| u128::from(l) * u128::from(w)).sum()
}

fn nibble(word: R64, row: usize) -> usize {
    (word.0 >> (K * row)) as usize & (NIBBLES - 1)
}

/// Σ_j c_j·bit_j for every nibble.
fn subset_sums(f: Prime, c: &[u64; K]) -> [u64; NIBBLES] {
    let mut sums = [0; NIBBLES];
    for (bit, &c) in c.iter().enumerate() {
        for nibble in 0..1 << bit {
            sums[nibble | 1 << bit] = f.add(sums[nibble], c);
        }
    }
    sums
}

/// M_jl = Σ λ·β_j·(weighted γ_l) over all rows of what this party deals.
pub(super) fn first_gram(f: Prime, dots: &[Dots]) -> [u64; K * K] {
    // For every kind of relation and row: the sum of λ for each pair of nibbles.
    let mut kinds: Vec<(Scale, Vec<[u128; NIBBLES * NIBBLES]>)> = Vec::new();
    for dots in dots {
        let Some((beta, gamma)) = dots.both() else {
            continue;
        };
        for (m, &scale) in dots.relations.iter().enumerate() {
            let at = kinds.iter().position(|(s, _)| *s == scale);
            let at = at.unwrap_or_else(|| {
                kinds.push((scale, vec![[0; NIBBLES * NIBBLES]; ROWS]));
                kinds.len() - 1
            });
            let tables = &mut kinds[at].1;
            let parts = beta.chunks(PART).zip(gamma.chunks(PART));
            for ((beta, gamma), lambda) in parts.zip(dots.lambda(m).chunks(PART)) {
                for (row, table) in tables.iter_mut().enumerate().skip(scale.row()) {
                    for ((&beta, &gamma), &lambda) in beta.iter().zip(gamma).zip(lambda) {
                        table[nibble(beta, row) * NIBBLES + nibble(gamma, row)] +=
                            u128::from(lambda);
                    }
                }
            }
        }
    }
    let mut gram = [0; K * K];
    for (scale, tables) in kinds {
        let weights = scale.rows(f);
        for (row, table) in tables.iter().enumerate().skip(scale.row()) {
            for j in 0..K {
                for l in (0..K).filter(|l| scale.mask(row) >> l & 1 == 1) {
                    let entries = table.iter().enumerate();
                    let sum = entries
                        .filter(|(k, _)| (k / NIBBLES) >> j & 1 == 1 && (k % NIBBLES) >> l & 1 == 1)
                        .fold(0, |s, (_, &sum)| f.add(s, f.wide(sum)));
                    let weighted = f.mul(f.mul(weights[row], 1 << l), sum);
                    gram[K * j + l] = f.add(gram[K * j + l], weighted);
                }
            }
        }
    }
    gram
}

/// What rows fold to under the Lagrange polynomials of the first challenge.
pub(super) struct Rows {
    f: Prime,
    /// Of β.
    beta: [u64; NIBBLES],
    /// Of γ with the weights of its bits in a row.
    gamma: [u64; NIBBLES],
}

impl Rows {
    pub(super) fn new(f: Prime, lagrange: &[u64; K]) -> Self {
        let doubled = std::array::from_fn(|l| f.mul(1 << l, lagrange[l]));
        Self {
            f,
            beta: subset_sums(f, lagrange),
            gamma: subset_sums(f, &doubled),
        }
    }

    /// Of γ in a relation: what λ multiplies, for every row and nibble.
    fn weighted(&self, scale: Scale) -> [[u64; NIBBLES]; ROWS] {
        let (f, weights) = (self.f, scale.rows(self.f));
        std::array::from_fn(|row| {
            std::array::from_fn(|nibble| {
                if row < scale.row() {
                    0
                } else {
                    f.mul(weights[row], self.gamma[nibble & scale.mask(row)])
                }
            })
        })
    }

    /// Adds to the sums of [`Field::gram`] those of (C, D) at this party's relations, half a word being a block.
    pub(super) fn gram(&self, dots: &[Dots], out: &mut [PrimeSum]) {
        let f = self.f;
        for dots in dots {
            let Some((beta, gamma)) = dots.both() else {
                continue;
            };
            let weighted: Vec<_> = dots.relations.iter().map(|&s| self.weighted(s)).collect();
            let (mut c, mut d) = ([0; ROWS * PART], [0; ROWS * PART]);
            for start in (0..dots.len).step_by(PART) {
                let end = dots.len.min(start + PART);
                for (c, &beta) in c
                    .as_chunks_mut::<ROWS>()
                    .0
                    .iter_mut()
                    .zip(&beta[start..end])
                {
                    *c = std::array::from_fn(|row| self.beta[nibble(beta, row)]);
                }
                for (d, g) in d.as_chunks_mut::<ROWS>().0.iter_mut().zip(start..end) {
                    *d = std::array::from_fn(|row| {
                        let terms = weighted.iter().enumerate().map(|(m, weighted)| {
                            (dots.lambda(m)[g], weighted[row][nibble(gamma[g], row)])
                        });
                        // Four products of reduced numbers are reduced at once.
                        let sum = products(terms);
                        if weighted.len() <= 4 {
                            f.word(sum)
                        } else {
                            f.wide(sum)
                        }
                    });
                }
                let n = ROWS * (end - start);
                f.gram(&c[..n], &d[..n], HALF, out);
            }
        }
    }

    /// Appends both halves of every word of β, folded again with `c`; zeros where it is not known.
    pub(super) fn fold_beta(&self, dots: &[Dots], c: &[u64; HALF], out: &mut Vec<u64>) {
        let f = self.f;
        let tables: [[u64; 256]; HALF / 2] = std::array::from_fn(|k| {
            std::array::from_fn(|byte| {
                let low = f.mul(c[2 * k], self.beta[byte % NIBBLES]);
                f.add(low, f.mul(c[2 * k + 1], self.beta[byte / NIBBLES]))
            })
        });
        for dots in dots {
            let Some(beta) = dots.beta.as_deref() else {
                out.resize(out.len() + 2 * dots.len, 0);
                continue;
            };
            for word in beta {
                for half in word.0.to_le_bytes().as_chunks::<{ HALF / 2 }>().0 {
                    // Four summands below 2^61 do not overflow.
                    let bytes = half.iter().zip(&tables);
                    out.push(f.lift(bytes.map(|(&b, t)| t[usize::from(b)]).sum()));
                }
            }
        }
    }

    /// The same for weighted γ.
    pub(super) fn fold_gamma(&self, dots: &[Dots], c: &[u64; HALF], out: &mut Vec<u64>) {
        let f = self.f;
        for dots in dots {
            let Some(gamma) = dots.gamma.as_deref() else {
                out.resize(out.len() + 2 * dots.len, 0);
                continue;
            };
            let tables: Vec<[[u64; 256]; ROWS / 2]> = dots
                .relations
                .iter()
                .map(|&scale| {
                    let rows = self.weighted(scale);
                    std::array::from_fn(|k| {
                        std::array::from_fn(|byte| {
                            let low = f.mul(c[2 * k % HALF], rows[2 * k][byte % NIBBLES]);
                            let high = rows[2 * k + 1][byte / NIBBLES];
                            f.add(low, f.mul(c[2 * k % HALF + 1], high))
                        })
                    })
                })
                .collect();
            let from: Vec<usize> = dots.relations.iter().map(|s| s.from / 8).collect();
            for (g, word) in gamma.iter().enumerate() {
                let bytes = word.0.to_le_bytes();
                for half in [0..4, 4..8] {
                    let terms = tables.iter().enumerate().map(|(m, tables)| {
                        let counting = half.start.max(from[m])..half.end;
                        let weights = counting.map(|k| tables[k][usize::from(bytes[k])]);
                        (dots.lambda(m)[g], weights.sum())
                    });
                    out.push(f.wide(products(terms)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use super::super::super::log::Weight;
    use super::super::kernels;
    use super::*;

    /// The sums of both levels and what is left after them, by the definition bit by bit, against the tables: all kinds of
    /// weights, words at the ends and between, more words than go through together.
    #[test]
    fn bits_are_weighed_as_their_relations_say() {
        let f = Prime::from_seed(&[5; 32]);
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
        let n = PART + 7;
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
            assert_eq!(got[K * j + l], gram(&c, &d, K, j, l), "{j}, {l}");
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
