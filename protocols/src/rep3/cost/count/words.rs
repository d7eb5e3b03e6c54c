//! Gates on words: inputs, products, roundings, tables.

use tacit_mpc::wire::packed_len;

use super::super::super::exp::{self, Range};
use super::super::super::lookup::Prepared;
use super::super::super::plan::Method;
use super::super::super::scaled::Normalised;
use super::super::super::scan::{Step, levels};
use super::super::super::work::Work;
use super::super::super::{combine, exp_negative};
use super::bits::Nodes;
use super::{Count, Form, moved, passed, transposed};

impl Count<'_> {
    pub(in super::super) fn truncate(&mut self, k: u32, p: u32) {
        let (n, e) = (self.n(), p + 64 - k);
        if let Some(methods) = self.exact {
            self.negative(p.max(2), &methods.carry(p, 3 * n));
            self.deal(n, Form::Words(e));
            self.deal(2 * n, Form::Words(64));
            self.all_parties(passed(6 * n as u64));
            self.all_parties(transposed(n));
            return self.swap(n, Form::Words(64));
        }
        self.deal(n, Form::Words(64));
        self.deal(n, Form::Words(e));
        self.all_parties(passed(3 * n as u64));
        self.swap(n, Form::Words(e));
    }

    /// A sum of products that is there, or of elementwise ones.
    pub(in super::super) fn rounded_product(&mut self, shift: u32) {
        let n = self.n() as u64;
        self.all_parties(passed(n));
        self.all_parties(moved(2 * n));
        self.swap(self.n(), Form::Words(64));
        self.dealer(passed(2 * n));
        self.truncate(64, shift);
    }

    /// A local result of shares, rounded.
    pub(in super::super) fn rounded(&mut self, shift: u32) {
        self.all_parties(passed(3 * self.n() as u64));
        self.all_parties(moved(2 * self.n() as u64));
        self.truncate(64, shift);
    }

    /// What `owner` has and shares.
    pub(in super::super) fn input(&mut self, owner: usize) {
        let n = self.n();
        let next = (owner + 1) % 3;
        for (party, drawn) in [(owner, n), (next, 0), ((owner + 2) % 3, n)] {
            self.exchanges.draw(party, drawn);
            self.work(party, passed(5 * n as u64));
        }
        self.exchanges.exchange([(owner, next, packed_len(n, 64))]);
    }

    /// Shares that leave for somebody else.
    pub(in super::super) fn release(&mut self) {
        let n = self.n();
        for party in 0..3 {
            self.exchanges.draw(party, 2 * n);
            self.work(party, passed(5 * n as u64));
        }
    }

    /// Words of a product that is not rounded.
    pub(in super::super) fn product(&mut self) {
        let n = self.n();
        for party in 0..3 {
            self.exchanges.draw(party, 2 * n);
            self.work(party, passed(8 * n as u64));
        }
        let bytes = packed_len(n, 64);
        self.exchanges
            .exchange([0, 1, 2].map(|party| (party, (party + 2) % 3, bytes)));
    }

    pub(in super::super) fn scaled(&mut self, t: &Normalised) {
        let n = self.n();
        self.bits(&t.wanted());
        for level in levels(t.wanted().len()) {
            let mut nodes = Nodes::default();
            let inputs = |(_, lows): &Step| lows.len() as u32 + 1;
            level.iter().for_each(|step| nodes.all(inputs(step)));
            self.nodes(nodes);
        }
        for (count, width) in combine::groups(&[&t.position, &t.factor]) {
            self.all_parties(transposed(count * n));
            // Each bit's share goes into two sums.
            self.pair(passed(3 * (count * n) as u64));
            self.deal(count * n, Form::Words(width));
        }
        self.swap(n, Form::Words(t.position.k));
        self.product_of_held(t.position.k);
        self.table(&t.table);
        if let Some(shift) = t.shift {
            self.swap(n, Form::Words(t.factor.k));
            self.product_of_held(t.factor.k);
            self.truncate(t.factor.k, shift);
        }
    }

    /// A product of two shared words that stays two-sided.
    pub(super) fn product_of_held(&mut self, k: u32) {
        self.all_parties(passed(6 * self.n() as u64));
        self.swap(self.n(), Form::Words(k));
    }

    pub(in super::super) fn table(&mut self, t: &Prepared) {
        let n = self.n();
        let (cells, powers) = (t.cells() as u64, t.degree as u64 + 1);
        let words = (t.words() * n) as u64;
        self.dealer(Work {
            terms: cells * powers * (powers + 1) / 2 * n as u64,
            chosen: u64::from(t.log2_cells) * words,
            passed: words,
            ..Work::default()
        });
        self.pair(Work {
            chosen: words,
            passed: words + 3 * powers * n as u64,
            ..Work::default()
        });
        self.deal(t.words() * n, Form::Words(t.k));
        self.swap(n, Form::Words(t.k));
        self.truncate(t.k, t.shift);
    }

    pub(in super::super) fn exp(&mut self, f: u32) {
        self.exponential(exp::RELATIVE, f, (exp::RELATIVE.cells(), 64));
    }

    pub(in super::super) fn exp_negative(&mut self, f: u32, method: &Method) {
        let range = exp_negative::range(f);
        let dealt = 2 * range.cells();
        self.all_parties(passed(self.n() as u64));
        self.negative(exp_negative::compared(f), method);
        // The bit as masks, and what it leaves of the rows.
        self.all_parties(transposed(self.n()));
        self.dealer(passed((dealt * self.n()) as u64));
        self.exponential(range, f, (dealt, exp_negative::word_bits(f)));
    }

    /// A table of exponentials of which so many words of k bits are dealt a value.
    pub(super) fn exponential(&mut self, range: Range, f: u32, (dealt, k): (usize, u32)) {
        let n = self.n();
        let words = (range.cells() * n) as u64;
        let factors = u64::from(range.low_bits(f)) * n as u64;
        self.dealer(Work {
            // A row's word is a product as large as a factor's.
            factors: factors + words,
            chosen: u64::from(range.cells().trailing_zeros()) * words,
            passed: words,
            ..Work::default()
        });
        self.pair(Work {
            factors,
            chosen: (dealt * n) as u64,
            passed: (dealt * n) as u64,
            ..Work::default()
        });
        self.deal(dealt * n, Form::Words(k));
        self.swap(n, Form::Words(k));
        self.truncate(k, range.shift(f));
    }

    /// A linear combination of `terms` terms inside of a program.
    pub(in super::super) fn linear(&mut self, terms: usize) {
        self.all_parties(passed((4 * terms * self.n()) as u64));
    }

    /// What goes into a program and comes out of it.
    pub(in super::super) fn carried(&mut self, values: usize) {
        self.all_parties(moved((2 * values * self.n()) as u64));
    }
}
