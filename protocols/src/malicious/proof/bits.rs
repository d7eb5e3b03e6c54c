//! The claim over GF(2^64): AND gates, 64 to a word.
//!
//! The words of all gates follow each other in blocks of 64 rows of 512 bits, the last filled up with zeros. The 64 gates of column
//! h have the weights τ_h·ζ^b (`cubes.rs`): one pass over the log leads through two levels to the claim
//! Σ_h τ_h·(a_h·b'_h + b_h·a'_h) about one element for 64 gates, a and b what a column of x and y folds to. Neither vector is
//! written down before the third level has made one element of eight: two more passes fold the columns again.

use tacit_mpc::prss::SeedStream;

use super::super::log::Entry;
use super::super::pair::Bits;
use super::binary::{Binary, BinarySum};
use super::bit_kernels::{Block, COLUMNS, CUBE, Gates, Linear, ROWS, Row, Sums, WORDS, Weights};
use super::challenge::Coin;
use super::cubes::{self, Cubes};
use super::field::Field;
use super::fold::{Claim, Fold, Folded, Last, Level, Nodes, Segments};
use super::kernels;

/// Values of each of the first two levels.
pub(super) const FIRST: usize = cubes::SENT;
/// Block length of the third.
pub(super) const THIRD: usize = 8;

/// The proof, with this party's shares of what is claimed.
pub(super) enum BitProof<'l> {
    /// Before the third level.
    Cubes(Box<Early<'l>>),
    /// From then on.
    Fold(Box<Fold<Binary, BitClaim<'l>>>),
    /// While one becomes the other.
    Empty,
}

/// The first two levels.
pub(super) struct Early<'l> {
    columns: Columns<'l>,
    cubes: Cubes,
    /// This party's share of the claim of P_{me+1}.
    left: u64,
    /// And of that of P_{me-1}.
    right: u64,
}

/// The AND gates of a log.
pub(super) struct Columns<'l> {
    entries: Vec<Ands<'l>>,
    tau: SeedStream,
}

struct Ands<'l> {
    x: &'l Bits,
    y: &'l Bits,
    left: &'l [u64],
    right: &'l [u64],
}

/// Columns of so many words of gates: elements of A and of B.
pub(super) fn columns(words: usize) -> usize {
    match words {
        ..8 => 64 * words,
        _ => words.div_ceil(WORDS) * COLUMNS,
    }
}

impl<'l> Ands<'l> {
    /// x, x', y, y', tL and tR.
    fn vectors(&self) -> [&'l [u64]; 6] {
        let (x, y) = (self.x, self.y);
        [&x.own, &x.next, &y.own, &y.next, self.left, self.right]
    }
}

/// The proof to be folded; `None` where there is no gate.
pub(super) fn proof<'l, A>(log: &'l [Entry], coin: &Coin<A>) -> Option<BitProof<'l>> {
    let entries = log.iter().filter_map(|entry| match entry {
        Entry::Ands { x, y, left, right } => Some(Ands { x, y, left, right }),
        _ => None,
    });
    let entries: Vec<Ands<'l>> = entries.collect();
    if entries.is_empty() {
        return None;
    }
    let columns = Columns {
        entries,
        tau: coin.stream("gates", 0),
    };
    let zeta = coin.words("bits", 0, 6);
    let zeta = std::array::from_fn(|i| zeta[i]);
    let (mut table, mut left, mut right) = (Sums::new(CUBE), Sums::new(ROWS), Sums::new(ROWS));
    columns.for_each_block(|[x, x_next, y, y_next, l, r], weights| {
        let gates = Gates {
            x: [x, x_next],
            y: [y, y_next],
        };
        table.add_cubes(&gates, weights);
        left.add_rows(l, weights);
        right.add_rows(r, weights);
    });
    let weights = cubes::weights(&zeta);
    let share = |sums: Sums| Binary.dot(weights, sums.finish());
    Some(BitProof::Cubes(Box::new(Early {
        columns,
        cubes: Cubes::new(table.finish(), zeta),
        left: share(left),
        right: share(right),
    })))
}

impl BitProof<'_> {
    /// The prover's part of the next level; `None` after the last.
    pub(super) fn level(&self, nodes: &Nodes) -> Option<Level> {
        match self {
            Self::Cubes(early) => Some(Level::of_cube(early.cubes.values())),
            Self::Fold(fold) => fold.level(nodes),
            Self::Empty => None,
        }
    }

    /// Goes on with the challenge of a level, from uniform `words`, given this party's shares of the other two polynomials.
    pub(super) fn absorb(
        &mut self,
        level: &Level,
        [left_values, right_values]: [&[u64]; 2],
        words: impl Fn(usize) -> Vec<u64>,
        nodes: &Nodes,
    ) -> Option<Last> {
        match self {
            Self::Empty => None,
            Self::Fold(fold) => {
                let r = level.challenge(Binary, |attempt| {
                    let words = words(attempt);
                    [words[0], words[1]]
                });
                fold.absorb(level, left_values, right_values, r, nodes)
            }
            Self::Cubes(early) => {
                let words = words(0);
                let r = [words[0], words[1], words[2]];
                early.left = early.cubes.claim(early.left, left_values, r);
                early.right = early.cubes.claim(early.right, right_values, r);
                let points = early.cubes.absorb(r)?;
                if let Self::Cubes(early) = std::mem::replace(self, Self::Empty) {
                    let claim = BitClaim {
                        columns: early.columns,
                        folding: Linear::new(cubes::folding(points)),
                    };
                    let fold = Fold::new(Binary, claim, early.left, early.right);
                    *self = Self::Fold(Box::new(fold));
                }
                None
            }
        }
    }
}

impl Columns<'_> {
    fn words(&self) -> usize {
        self.entries.iter().map(|e| e.left.len()).sum()
    }

    /// How many columns of a block are not zero in every row: all, but for a log of a few words.
    fn used(&self) -> usize {
        columns(self.words()).min(COLUMNS)
    }

    /// Calls `visit` with N vectors of each block, in the order of [`Ands::vectors`], and with the weights of its columns.
    fn for_each_block<const N: usize>(&self, mut visit: impl FnMut([&Block; N], &Weights)) {
        let mut blocks = vec![[Row::default(); ROWS]; N];
        let (mut filled, mut number) = (0, 0);
        let mut flush = |blocks: &[Block]| {
            let mut tau = [0; COLUMNS];
            self.tau.fill((number * COLUMNS / 2) as u32, &mut tau);
            number += 1;
            visit(std::array::from_fn(|k| &blocks[k]), &Weights::new(tau));
        };
        for ands in &self.entries {
            let (vectors, len) = (ands.vectors(), ands.left.len());
            let mut start = 0;
            while start < len {
                let end = len.min(start + WORDS - filled);
                for (block, words) in blocks.iter_mut().zip(vectors) {
                    put(block, filled, &words[start..end]);
                }
                filled += end - start;
                start = end;
                if filled == WORDS {
                    flush(&blocks);
                    filled = 0;
                }
            }
        }
        if filled > 0 {
            for block in &mut blocks {
                let words = block.iter_mut().flat_map(|row| &mut row.0);
                words.skip(filled).for_each(|w| *w = 0);
            }
            flush(&blocks);
        }
    }
}

/// Writes words into a block, from word `at` on.
fn put(block: &mut Block, at: usize, words: &[u64]) {
    let width = block[0].0.len();
    let (row, column) = (at / width, at % width);
    let first = words.len().min((width - column) % width);
    let (head, rest) = words.split_at(first);
    block[row].0[column..][..first].copy_from_slice(head);
    let (whole, tail) = rest.as_chunks();
    let rows = &mut block[row + usize::from(column > 0)..];
    rows.iter_mut().zip(whole).for_each(|(r, w)| r.0 = *w);
    if let Some(last) = rows.get_mut(whole.len()) {
        last.0[..tail.len()].copy_from_slice(tail);
    }
}

/// The vectors of the claim of the third level.
pub(super) struct BitClaim<'l> {
    columns: Columns<'l>,
    folding: Linear,
}

impl BitClaim<'_> {
    /// Calls `visit` with a, a', b·τ and b'·τ of the columns of every block.
    fn for_each_part(&self, mut visit: impl FnMut([&[u64]; 4])) {
        let used = self.columns.used();
        let mut elements = [[0; COLUMNS]; 4];
        self.columns.for_each_block::<4>(|blocks, weights| {
            for (elements, block) in elements.iter_mut().zip(blocks) {
                self.folding.of(block, elements);
            }
            for b in &mut elements[2..] {
                Binary.scale(b, weights.tau());
            }
            visit(elements.each_ref().map(|e| &e[..used]));
        });
    }
}

impl Claim<Binary> for BitClaim<'_> {
    fn block(&self) -> usize {
        THIRD
    }

    fn gram(&self) -> Vec<u64> {
        let mut sums = vec![BinarySum::default(); THIRD * THIRD];
        self.for_each_part(|[a, a_next, b, b_next]| {
            Binary.gram(a, b_next, THIRD, &mut sums);
            Binary.gram(b, a_next, THIRD, &mut sums);
        });
        kernels::symmetric(Binary, sums, THIRD)
    }

    fn fold(self, lagrange: &[u64]) -> Folded<Self> {
        let elements = columns(self.columns.words()) / THIRD;
        let mut vectors = [(); 4].map(|()| Vec::with_capacity(elements));
        self.for_each_part(|parts| {
            for (vector, part) in vectors.iter_mut().zip(parts) {
                Binary.combine(part, lagrange, vector);
            }
        });
        let [a, a_next, b, b_next] = vectors;
        let segments = |a, b| Segments {
            a,
            b,
            ..Segments::default()
        };
        Folded::Segments([segments(a, b), segments(a_next, b_next)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that come in pieces lie in a block as if they had come at once.
    #[test]
    fn words_are_put_where_they_belong() {
        let words: Vec<u64> = (1..=WORDS as u64).collect();
        for cuts in [
            vec![1, 8, 9, 64, 65, 500],
            vec![3, 5, 7],
            vec![8, 16],
            vec![],
        ] {
            let mut block = [Row::default(); ROWS];
            let ends = cuts.iter().copied().chain([WORDS]);
            ends.fold(0, |start, end| {
                put(&mut block, start, &words[start..end]);
                end
            });
            let flat: Vec<u64> = block.iter().flat_map(|row| row.0).collect();
            assert_eq!(flat, words, "{cuts:?}");
        }
    }
}
