//! Bits of words, four at a time, with the weights of the relations that they stand in.
//!
//! A relation weighs bit b with 2^(b + up - from) from bit `from` on. Within a nibble the weights are those of its lowest bit
//! times 1, 2, 4, 8, so what is summed over millions of words is one number for each pair of nibbles (β, γ).

use super::super::log::BitRelation;
use super::field::Field;
use super::prime::Prime;

/// Bits in a row: the block length of the first level.
pub(super) const K: usize = 4;
/// Rows of a word.
pub(super) const ROWS: usize = 64 / K;

/// Four bits of both halves.
pub(super) struct Row<'w> {
    /// Bits of β.
    pub(super) beta: usize,
    /// Bits of γ.
    pub(super) gamma: usize,
    /// The weight of the lowest bit in relations that weigh all four.
    pub(super) weight: u64,
    /// (bits, weight of the lowest bit) of relations that weigh only the upper ones.
    pub(super) partial: &'w [(usize, u64)],
}

/// The weights of a set of relations.
pub(super) struct BitRows {
    f: Prime,
    /// Lowest bit, and 2^(up - from).
    relations: Vec<(usize, u64)>,
    /// 2^(4i).
    powers: [u64; ROWS],
}

impl BitRows {
    pub(super) fn new(f: Prime, relations: &[BitRelation]) -> Self {
        let scale = |r: &BitRelation| {
            let weight = r.weight;
            let scale = f.mul(
                f.power_of_two(weight.up),
                f.inverse(f.power_of_two(weight.from)),
            );
            (weight.from as usize, scale)
        };
        Self::with(f, relations.iter().map(scale).collect())
    }

    /// One relation that weighs bit b with 2^b.
    pub(super) fn plain(f: Prime) -> Self {
        Self::with(f, vec![(0, 1)])
    }

    fn with(f: Prime, relations: Vec<(usize, u64)>) -> Self {
        Self {
            f,
            relations,
            powers: std::array::from_fn(|i| f.power_of_two((K * i) as u32)),
        }
    }

    /// Calls `visit` with the rows of one word, whose m-th relation has the weight `lambda(m)`.
    pub(super) fn visit(
        &self,
        lambda: impl Fn(usize) -> u64,
        beta: u64,
        gamma: u64,
        visit: &mut impl FnMut(Row<'_>),
    ) {
        let f = self.f;
        let mut base = 0;
        let mut partial = Vec::with_capacity(self.relations.len());
        for (i, &power) in self.powers.iter().enumerate() {
            partial.clear();
            let mut later = 0;
            for (m, &(from, scale)) in self.relations.iter().enumerate() {
                if from / K != i {
                    continue;
                }
                let weight = f.mul(lambda(m), scale);
                if from % K == 0 {
                    base = f.add(base, weight);
                } else {
                    partial.push((0xF << (from % K) & 0xF, f.mul(weight, power)));
                    later = f.add(later, weight);
                }
            }
            visit(Row {
                beta: (beta >> (K * i)) as usize & 0xF,
                gamma: (gamma >> (K * i)) as usize & 0xF,
                weight: f.mul(base, power),
                partial: &partial,
            });
            base = f.add(base, later);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::log::Weight;
    use super::*;

    /// Σ_b w(b)·β_b·γ_b for each relation by the definition, weighed and added, against the rows.
    #[test]
    fn rows_weigh_bits_as_their_relations_do() {
        let f = Prime::from_seed(&[5; 32]);
        let weights = [(0, 0), (18, 0), (63, 0), (0, 1), (62, 3), (4, 0), (63, 46)];
        let relations: Vec<BitRelation> = weights
            .iter()
            .map(|&(from, up)| BitRelation {
                weight: Weight { from, up },
                left: None,
                right: None,
            })
            .collect();
        let lambda = |m: usize| f.uniform([m as u64 * 77 + 5, 0x0123_4567_89AB_CDEF]);
        for (beta, gamma) in [
            (u64::MAX, u64::MAX),
            (0x0123_4567_89AB_CDEF, 0xF0F0_1234_FFFF_8888),
            (1 << 63, u64::MAX),
        ] {
            let mut got = 0;
            BitRows::new(f, &relations).visit(lambda, beta, gamma, &mut |row| {
                let full = [(0xF, row.weight)];
                for &(mask, weight) in full.iter().chain(row.partial) {
                    let bits = (row.beta & row.gamma & mask) as u64;
                    got = f.add(got, f.mul(weight, bits));
                }
            });
            let want = relations.iter().enumerate().fold(0, |sum, (m, r)| {
                (0..64)
                    .filter(|b| beta & gamma & 1 << b != 0)
                    .filter_map(|b| r.weight.log2(b))
                    .fold(sum, |sum, e| {
                        f.add(sum, f.mul(lambda(m), f.power_of_two(e)))
                    })
            });
            assert_eq!(got, want);
        }
    }
}
