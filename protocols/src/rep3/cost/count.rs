//! What each gate sends and draws. Each function declares the gate of its name; tests hold messages, bytes, rounds and the words
//! drawn to it exactly.

mod bits;
mod words;

use tacit_mpc::Cost;
use tacit_mpc::chunk::Chunk;
use tacit_mpc::wire::packed_len;

use super::super::bits::words_of;
use super::super::choice::Methods;
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
    /// Blocks of 128 bits that each party hashes.
    pub(super) hashed: [u64; 3],
}

impl<'a> Count<'a> {
    /// A strand that starts at these logical times; `exact` as in [`super::CostEngine::round_exactly`], and how it compares.
    pub(super) fn new(
        chunk: Chunk,
        clock: [u64; 3],
        exact: Option<&'a Methods>,
        parties: &'a mut [Cost; 3],
    ) -> Self {
        Self {
            chunk,
            gate: 0,
            exchanges: Exchanges::new(Wires { clock, parties }),
            exact,
            hashed: [0; 3],
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

    fn deal(&mut self, units: usize, form: Form) {
        let (d, a, b) = self.roles();
        let first = (units + self.gate % 2) / 2;
        self.gate += 1;
        let all = self.words(units, form);
        self.exchanges.draw(d, all);
        // The words are made, masked and sent, their masks kept.
        for (to, sent) in [(b, first), (a, units - first)] {
            let drawn = all - self.words(sent, form);
            self.exchanges.draw(to, drawn);
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
        for party in [a, b] {
            self.exchanges.draw(party, words);
        }
        if units > 0 {
            self.exchanges.exchange([(a, b, bytes), (b, a, bytes)]);
        }
    }
}
