//! What a proof costs, by the lengths of what it is about: the schedule of `fold.rs` without its numbers.

use std::ops::AddAssign;

use super::super::log::Entry;
use super::dot_rows::HALF;
use super::fold::{BLOCKS, LAST};
use super::strength::SIGMA;
use super::{bits, pages, words};
use crate::cost::Exchanges;

/// Lengths of the vectors of the claims about a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Lengths {
    /// Entries that are proved in the prime field.
    words: usize,
    /// Of A and B at the first level, blocks filled up.
    factors: usize,
    /// Of C and D after the second, for each dealer.
    halves: [usize; 3],
    /// Words of AND gates.
    gates: usize,
}

impl AddAssign for Lengths {
    fn add_assign(&mut self, o: Self) {
        self.words += o.words;
        self.factors += o.factors;
        self.halves
            .iter_mut()
            .zip(o.halves)
            .for_each(|(x, y)| *x += y);
        self.gates += o.gates;
    }
}

impl Lengths {
    /// Those of one entry.
    pub(in super::super) fn of(entry: &Entry) -> Self {
        let whole = |n: usize| n.next_multiple_of(words::FIRST);
        let mut lengths = Self {
            words: usize::from(!matches!(entry, Entry::Ands { .. })),
            ..Self::default()
        };
        match entry {
            Entry::Products { terms, rest, .. } => {
                lengths.factors = terms.len() * whole(rest.right.own.len());
            }
            Entry::Bilinear { f, x, y, .. } => {
                let [pages, factors] = pages::factors(*f, x.own.shape(), y.own.shape());
                lengths.factors = pages * whole(factors);
            }
            Entry::Ands { x, .. } => lengths.gates = x.own.len(),
            Entry::BitDots(dots) => lengths.halves[dots.dealer] = 2 * dots.len,
        }
        lengths
    }

    /// What [`super::verify`] sends and draws, and when.
    pub(in super::super) fn price(self, wires: &mut Exchanges<'_>) {
        if self.words == 0 && self.gates == 0 {
            return;
        }
        toss(wires);
        // The coin is no further round for those who wait for the quotients.
        all(wires, [0, 16 * SIGMA], 4 * SIGMA);
        toss(wires);
        let mut claims = [self.of_words(), self.of_bits()];
        loop {
            draw(wires, NODES);
            let levels = claims.each_ref().map(|c| c.as_ref().and_then(Claim::level));
            let values: usize = levels.iter().flatten().map(|l| l.values).sum();
            if values == 0 {
                break;
            }
            all(wires, [0, 8 * values], 4 * values);
            toss(wires);
            for (claim, level) in claims.iter_mut().zip(levels) {
                if let (Some(claim), Some(level)) = (claim, level) {
                    claim.absorb(level);
                }
            }
        }
        let ends = claims.iter().flatten().count();
        all(wires, [16 * ends; 2], 0);
    }

    fn of_words(self) -> Option<Claim> {
        // The quotients are two words each.
        let halves = self.halves.into_iter().max().unwrap_or(0) + 2 * 2 * SIGMA;
        let (factors, levels) = (self.factors, 0);
        (self.words > 0).then_some(Claim {
            cubes: 0,
            factors,
            halves,
            // C and D are bits, of which both levels make `halves`.
            blocks: vec![words::FIRST, HALF],
            levels,
        })
    }

    fn of_bits(self) -> Option<Claim> {
        (self.gates > 0).then_some(Claim {
            cubes: 2,
            factors: bits::columns(self.gates),
            halves: 0,
            blocks: vec![bits::THIRD],
            levels: 0,
        })
    }
}

/// Words that each party draws for the masking points of a level: of two fields, four times two words.
const NODES: usize = 16;

/// A claim on its way through the levels.
struct Claim {
    /// Levels of cubes before all others: they make bits elements.
    cubes: usize,
    /// Elements of each of A and B.
    factors: usize,
    /// Of C and D, as they are once they are written down.
    halves: usize,
    /// Blocks of the levels before everything is written down.
    blocks: Vec<usize>,
    levels: usize,
}

/// A level: its block length, and how many values of its polynomial travel.
#[derive(Clone, Copy)]
struct Level {
    k: usize,
    values: usize,
    last: bool,
}

impl Claim {
    fn level(&self) -> Option<Level> {
        if self.cubes > 0 {
            return Some(Level {
                k: 1,
                values: bits::FIRST,
                last: false,
            });
        }
        let written = self.blocks.is_empty();
        let all = 2 * self.factors + self.halves;
        let (k, last) = match self.blocks.first() {
            Some(&k) => (k, false),
            None if self.levels == usize::MAX => return None,
            None if all <= LAST => (all, true),
            None => (self.block(), false),
        };
        debug_assert!(written || !last);
        // The last level has a point more.
        let values = if last { 2 * k } else { 2 * k - 2 };
        Some(Level { k, values, last })
    }

    /// The block of the next level.
    fn block(&self) -> usize {
        BLOCKS[(self.levels - 1).min(BLOCKS.len() - 1)]
    }

    fn absorb(&mut self, Level { k, last, .. }: Level) {
        if self.cubes > 0 {
            self.cubes -= 1;
            return;
        }
        if last {
            self.levels = usize::MAX;
            return;
        }
        self.levels += 1;
        let written = self.blocks.is_empty();
        self.factors = self.factors.div_ceil(k);
        if written {
            self.halves = self.halves.div_ceil(k);
        } else {
            self.blocks.remove(0);
        }
        // Blocks of the next level are whole.
        if let Some(&k) = self.blocks.first() {
            self.factors = self.factors.next_multiple_of(k);
        } else if 2 * self.factors + self.halves > LAST {
            let k = self.block();
            self.factors = self.factors.next_multiple_of(k);
            self.halves = self.halves.next_multiple_of(k);
        }
    }
}

/// A coin: 16 bytes to the next party, which confirms, and a hash to the one before.
fn toss(wires: &mut Exchanges<'_>) {
    all(wires, [16, 32], 4);
}

/// Every party draws so many words.
fn draw(wires: &mut Exchanges<'_>, words: usize) {
    (0..3).for_each(|party| wires.draw(party, words));
}

/// Every party sends so many bytes to the next one and to the one before, and draws so many words.
fn all(wires: &mut Exchanges<'_>, bytes: [usize; 2], words: usize) {
    draw(wires, words);
    let to_both = |party| [1, 2].map(|ahead| (party, (party + ahead) % 3, bytes[ahead - 1]));
    let messages = (0..3).flat_map(to_both);
    wires.exchange(messages.filter(|(_, _, bytes)| *bytes > 0));
}
