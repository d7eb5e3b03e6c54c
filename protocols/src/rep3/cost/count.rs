//! What each gate sends and computes. Each function declares the gate of its name; tests hold messages, bytes, rounds and
//! the words drawn to it exactly.
//!
//! Local work is counted by the loops that the gate's file has, in the units of [`Work`]: `passed` is a loop over words,
//! `combined` one over the words of planes.

mod bits;
mod words;

use tacit_mpc::chunk::Chunk;
use tacit_mpc::wire::packed_len;

use super::super::bits::words_of;
use super::super::choice::Methods;
use super::super::work::{Forecast, Work};
use crate::cost::{Exchanges, Wires};

/// How units travel.
#[derive(Clone, Copy)]
enum Form {
    /// As this many bits of a word each.
    Words(u32),
    /// As planes, one bit for each element.
    Planes,
}

/// One strand as all three parties see it.
pub(in super::super) struct Count<'a> {
    chunk: Chunk,
    gate: usize,
    pub(super) exchanges: Exchanges<'a>,
    exact: Option<&'a Methods>,
}

impl<'a> Count<'a> {
    /// A strand that starts at these logical times; `exact` as in [`super::CostEngine::round_exactly`], and how it compares.
    pub(super) fn new(
        chunk: Chunk,
        clock: [u64; 3],
        exact: Option<&'a Methods>,
        parties: &'a mut [Forecast; 3],
    ) -> Self {
        Self {
            chunk,
            gate: 0,
            exchanges: Exchanges::new(Wires { clock, parties }),
            exact,
        }
    }

    fn n(&self) -> usize {
        self.chunk.len()
    }

    /// (dealer, A, B).
    fn roles(&self) -> (usize, usize, usize) {
        let d = self.chunk.dealer;
        (d, (d + 1) % 3, (d + 2) % 3)
    }

    fn work(&mut self, party: usize, work: Work) {
        self.exchanges.wires.parties[party].work += work;
    }

    /// Work of the dealer.
    fn dealer(&mut self, work: Work) {
        let (d, ..) = self.roles();
        self.work(d, work);
    }

    /// Work of each of A and B.
    fn pair(&mut self, work: Work) {
        let (_, a, b) = self.roles();
        self.work(a, work);
        self.work(b, work);
    }

    /// Work of everybody.
    fn all_parties(&mut self, work: Work) {
        self.dealer(work);
        self.pair(work);
    }

    /// Words that `units` take in memory.
    fn words(&self, units: usize, form: Form) -> usize {
        match form {
            Form::Words(_) => units,
            Form::Planes => units * words_of(self.n()),
        }
    }

    fn wire_len(&self, units: usize, form: Form) -> usize {
        match form {
            Form::Words(bits) => packed_len(units, bits as usize),
            Form::Planes => packed_len(units, self.n()),
        }
    }

    /// One way over the boundary between words and messages.
    fn packing(&self, units: usize, form: Form) -> Work {
        let words = self.words(units, form) as u64;
        let whole = match form {
            Form::Words(bits) => bits == 64,
            Form::Planes => self.n().is_multiple_of(64),
        };
        if whole {
            passed(words)
        } else {
            Work {
                packed: words,
                ..Work::default()
            }
        }
    }

    fn deal(&mut self, units: usize, form: Form) {
        let (d, a, b) = self.roles();
        let first = (units + self.gate % 2) / 2;
        self.gate += 1;
        let all = self.words(units, form);
        self.exchanges.draw(d, all);
        // The words are made, masked and sent, their masks kept.
        self.dealer(passed(3 * all as u64));
        for (to, sent) in [(b, first), (a, units - first)] {
            let drawn = all - self.words(sent, form);
            self.exchanges.draw(to, drawn);
            self.work(to, passed((drawn + all) as u64));
            let packing = self.packing(sent, form);
            self.work(d, packing);
            self.work(to, packing);
        }
        let messages = [(b, first), (a, units - first)]
            .into_iter()
            .filter(|(_, sent)| *sent > 0)
            .map(|(to, sent)| (d, to, self.wire_len(sent, form)));
        self.exchanges.exchange(messages.collect::<Vec<_>>());
    }

    fn swap(&mut self, units: usize, form: Form) {
        let (d, a, b) = self.roles();
        self.gate += 1;
        let bytes = self.wire_len(units, form);
        let words = self.words(units, form);
        self.exchanges.draw(d, 2 * words);
        self.dealer(passed(3 * words as u64));
        for party in [a, b] {
            self.exchanges.draw(party, words);
            let packing = self.packing(units, form);
            self.work(party, packing);
            self.work(party, packing);
            self.work(party, passed(3 * words as u64));
        }
        if units > 0 {
            self.exchanges.exchange([(a, b, bytes), (b, a, bytes)]);
        }
    }
}

/// Words of whole tensors.
pub(super) fn moved(words: u64) -> Work {
    Work {
        moved: words,
        ..Work::default()
    }
}

/// Words passed.
pub(super) fn passed(words: u64) -> Work {
    Work {
        passed: words,
        ..Work::default()
    }
}

fn combined(words: u64) -> Work {
    Work {
        combined: words,
        ..Work::default()
    }
}

fn hashed(blocks: usize) -> Work {
    Work {
        hashed: blocks as u64,
        ..Work::default()
    }
}

fn transposed(words: usize) -> Work {
    Work {
        transposed: words as u64,
        ..Work::default()
    }
}
