//! Gates on words: inputs, products, roundings, tables.

use tacit_mpc::wire::packed_len;

use super::super::super::exp::{self, Range};
use super::super::super::lookup::Prepared;
use super::super::super::plan::Method;
use super::super::super::scaled::Normalised;
use super::super::super::scan::{Step, levels};
use super::super::super::{combine, exp_negative};
use super::bits::Nodes;
use super::{Count, Form};

impl Count<'_> {
    pub(in super::super) fn truncate(&mut self, k: u32, p: u32) {
        let (n, e) = (self.n(), p + 64 - k);
        if let Some(methods) = self.exact {
            self.negative(p.max(2), &methods.carry(p, 3 * n));
            self.deal(n, Form::Words(e));
            self.deal(2 * n, Form::Words(64));
            return self.swap(n, Form::Words(64));
        }
        self.deal(n, Form::Words(64));
        self.deal(n, Form::Words(e));
        self.swap(n, Form::Words(e));
    }

    /// A sum of products that is there, or of elementwise ones.
    pub(in super::super) fn rounded_product(&mut self, shift: u32) {
        self.swap(self.n(), Form::Words(64));
        self.truncate(64, shift);
    }

    /// A local result of shares, rounded.
    pub(in super::super) fn rounded(&mut self, shift: u32) {
        self.truncate(64, shift);
    }

    /// What `owner` has and shares.
    pub(in super::super) fn input(&mut self, owner: usize) {
        let n = self.n();
        let next = (owner + 1) % 3;
        for (party, drawn) in [(owner, n), (next, 0), ((owner + 2) % 3, n)] {
            self.exchanges.draw(party, drawn);
        }
        self.exchanges.exchange([(owner, next, packed_len(n, 64))]);
    }

    /// Shares that leave for somebody else.
    pub(in super::super) fn release(&mut self) {
        let n = self.n();
        for party in 0..3 {
            self.exchanges.draw(party, 2 * n);
        }
    }

    /// Words of a product that is not rounded.
    pub(in super::super) fn product(&mut self) {
        let n = self.n();
        for party in 0..3 {
            self.exchanges.draw(party, 2 * n);
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
        self.swap(self.n(), Form::Words(k));
    }

    pub(in super::super) fn table(&mut self, t: &Prepared) {
        let n = self.n();
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
        self.negative(exp_negative::compared(f), method);
        self.exponential(range, f, (dealt, exp_negative::word_bits(f)));
    }

    /// A table of exponentials of which so many words of k bits are dealt a value.
    pub(super) fn exponential(&mut self, range: Range, f: u32, (dealt, k): (usize, u32)) {
        let n = self.n();
        self.deal(dealt * n, Form::Words(k));
        self.swap(n, Form::Words(k));
        self.truncate(k, range.shift(f));
    }
}
