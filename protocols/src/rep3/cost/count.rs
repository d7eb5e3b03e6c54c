//! What each gate sends and computes. Each function declares the gate of its name; tests hold messages, bytes, rounds and
//! the words drawn to it exactly.
//!
//! Local work is counted by the loops that the gate's file has, in the units of [`Work`]: `passed` is a loop over words,
//! `combined` one over the words of planes.

use tacit_mpc::chunk::Chunk;
use tacit_mpc::wire::packed_len;

use super::super::bits::words_of;
use super::super::choice::Methods;
use super::super::dcf;
use super::super::exp::{self, Range};
use super::super::exp_negative;
use super::super::lookup::Prepared;
use super::super::plan::{Depth, Kind, Method};
use super::super::scaled::Normalised;
use super::super::scan::{Step, levels};
use super::super::work::{Forecast, Work};
use super::super::{a2b, combine, equal};
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

    pub(super) fn truncate(&mut self, k: u32, p: u32) {
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
    pub(super) fn rounded_product(&mut self, shift: u32) {
        let n = self.n() as u64;
        self.all_parties(passed(n));
        self.all_parties(moved(2 * n));
        self.swap(self.n(), Form::Words(64));
        self.dealer(passed(2 * n));
        self.truncate(64, shift);
    }

    /// A local result of shares, rounded.
    pub(super) fn rounded(&mut self, shift: u32) {
        self.all_parties(passed(3 * self.n() as u64));
        self.all_parties(moved(2 * self.n() as u64));
        self.truncate(64, shift);
    }

    /// What `owner` has and shares.
    pub(super) fn input(&mut self, owner: usize) {
        let n = self.n();
        let next = (owner + 1) % 3;
        for (party, drawn) in [(owner, n), (next, 0), ((owner + 2) % 3, n)] {
            self.exchanges.draw(party, drawn);
            self.work(party, passed(5 * n as u64));
        }
        self.exchanges.exchange([(owner, next, packed_len(n, 64))]);
    }

    /// Shares that leave for somebody else.
    pub(super) fn release(&mut self) {
        let n = self.n();
        for party in 0..3 {
            self.exchanges.draw(party, 2 * n);
            self.work(party, passed(5 * n as u64));
        }
    }

    /// Words of a product that is not rounded.
    pub(super) fn product(&mut self) {
        let n = self.n();
        for party in 0..3 {
            self.exchanges.draw(party, 2 * n);
            self.work(party, passed(8 * n as u64));
        }
        let bytes = packed_len(n, 64);
        self.exchanges
            .exchange([0, 1, 2].map(|party| (party, (party + 2) % 3, bytes)));
    }

    pub(in super::super) fn negative(&mut self, bits: u32, method: &Method) {
        let tree = match method {
            Method::Tree(tree) => tree,
            Method::Dcf => {
                self.function_keys(bits);
                self.deal(1, Form::Planes);
                return self.swap(1, Form::Planes);
            }
        };
        let words = words_of(self.n()) as u64;
        let (mut dealt, mut swapped, mut looked_up) = (0, 0, 0);
        tree.leaves(Kind::Greater, &mut |kind, m| {
            dealt += (1 << m) - 1;
            swapped += kind.outputs();
            looked_up += (1 << m) * kind.outputs() as u64;
        });
        self.all_parties(transposed(self.n()));
        self.dealer(combined(2 * dealt as u64 * words));
        self.pair(combined(looked_up * words));
        self.deal(dealt, Form::Planes);
        self.swap(swapped, Form::Planes);
        for level in 1..=tree.height() {
            let mut nodes = Nodes::default();
            tree.nodes_at(level, Kind::Greater, &mut |kind, radix| {
                nodes.merge(kind, radix);
            });
            self.nodes(nodes);
        }
    }

    /// Keys of a distributed comparison or point function, and their evaluation.
    fn function_keys(&mut self, bits: u32) {
        let (n, (d, a, b)) = (self.n(), self.roles());
        self.gate += 1;
        self.exchanges.draw(d, 4 * n);
        self.dealer(hashed(dcf::blocks_hashed(bits) * n));
        for to in [b, a] {
            self.exchanges.draw(to, 2 * n);
            self.work(to, hashed(dcf::words_sent(bits) * n));
        }
        let bytes = 16 * dcf::words_sent(bits) * n;
        self.exchanges.exchange([(d, b, bytes), (d, a, bytes)]);
    }

    /// Polynomials that are evaluated together.
    fn nodes(&mut self, nodes: Nodes) {
        let words = words_of(self.n()) as u64;
        self.dealer(combined(3 * nodes.dealt as u64 * words));
        self.pair(combined(2 * nodes.rows * words));
        self.deal(nodes.dealt, Form::Planes);
        self.swap(nodes.outputs, Form::Planes);
    }

    /// Conjunctions of `inputs` bits.
    pub(super) fn all(&mut self, gates: usize, inputs: u32) {
        let mut nodes = Nodes::default();
        (0..gates).for_each(|_| nodes.all(inputs));
        self.nodes(nodes);
    }

    pub(in super::super) fn zero(&mut self, depth: Depth) {
        if depth == Depth::Dcf {
            self.function_keys(64);
            return self.swap(1, Form::Planes);
        }
        let leaves = equal::leaves(depth);
        let rows: usize = leaves.iter().map(|(_, m)| (1 << m) - 1).sum();
        let words = words_of(self.n()) as u64;
        self.all_parties(transposed(self.n()));
        self.all_parties(combined(3 * rows as u64 * words));
        self.deal(rows, Form::Planes);
        self.swap(leaves.len(), Form::Planes);
        let mut bits = leaves.len();
        for &radix in equal::radices(depth) {
            bits /= radix as usize;
            self.all(bits, radix);
        }
    }

    pub(super) fn floor(&mut self, p: u32, method: &Method) {
        let (n, bits) = (self.n(), 64 - p);
        self.negative(p, method);
        self.all_parties(transposed(n));
        self.all_parties(passed(6 * n as u64));
        self.deal(2 * n, Form::Words(bits));
        self.swap(n, Form::Words(bits));
    }

    fn bits(&mut self, wanted: &std::ops::Range<u32>) {
        let blocks = a2b::blocks_of(wanted.end);
        let words = words_of(self.n()) as u64;
        let rows: usize = blocks.iter().map(|(_, m)| (1 << m) - 1).sum();
        self.all_parties(transposed(self.n()));
        self.dealer(combined(3 * rows as u64 * words));
        // Completing the rows, sums of them, and two choices.
        self.pair(combined(7 * rows as u64 * words));
        self.deal(rows, Form::Planes);
        let carries = blocks.len() - 1;
        self.swap(2 * carries - 1, Form::Planes);
        // A prefix that begins with the first block propagates nothing.
        let mut starts: Vec<usize> = (0..carries).collect();
        for level in levels(carries) {
            let mut nodes = Nodes::default();
            let before = starts.clone();
            for (i, lows) in &level {
                starts[*i] = before[lows[0]];
                let kind = if starts[*i] == 0 {
                    Kind::Greater
                } else {
                    Kind::Both
                };
                nodes.merge(kind, lows.len() as u32 + 1);
            }
            self.nodes(nodes);
        }
        let sums = |&b| a2b::sums(b, wanted);
        let products: usize = blocks[1..]
            .iter()
            .flat_map(sums)
            .map(|t| (1 << t) - 1)
            .sum();
        // For each bit, the rows are added up and chosen from.
        let chosen: u64 = blocks
            .iter()
            .flat_map(|b| sums(b).map(|t| 2 * (1 << b.1) + 8 * (1 << t)))
            .sum();
        self.dealer(combined(4 * products as u64 * words));
        self.pair(combined(chosen * words));
        self.deal(products, Form::Planes);
        self.swap(wanted.len(), Form::Planes);
    }

    pub(super) fn scaled(&mut self, t: &Normalised) {
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
    fn product_of_held(&mut self, k: u32) {
        self.all_parties(passed(6 * self.n() as u64));
        self.swap(self.n(), Form::Words(k));
    }

    pub(super) fn select(&mut self) {
        let n = self.n();
        self.all_parties(transposed(n));
        self.all_parties(passed(3 * n as u64));
        self.deal(2 * n, Form::Words(64));
        self.swap(n, Form::Words(64));
    }

    pub(super) fn bit_to_number(&mut self) {
        let n = self.n();
        self.all_parties(transposed(n));
        self.deal(n, Form::Words(64));
        self.swap(n, Form::Words(64));
    }

    pub(super) fn table(&mut self, t: &Prepared) {
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

    pub(super) fn exp(&mut self, f: u32) {
        self.exponential(exp::RELATIVE, f, (exp::RELATIVE.cells(), 64));
    }

    pub(super) fn exp_negative(&mut self, f: u32, method: &Method) {
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
    fn exponential(&mut self, range: Range, f: u32, (dealt, k): (usize, u32)) {
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
    pub(super) fn linear(&mut self, terms: usize) {
        self.all_parties(passed((4 * terms * self.n()) as u64));
    }

    /// What goes into a program and comes out of it.
    pub(super) fn carried(&mut self, values: usize) {
        self.all_parties(moved((2 * values * self.n()) as u64));
    }
}

/// Polynomials of one level.
#[derive(Default)]
struct Nodes {
    dealt: usize,
    outputs: usize,
    /// Planes that A and B combine: one for each subset of the variables of each monomial.
    rows: u64,
}

impl Nodes {
    fn merge(&mut self, kind: Kind, radix: u32) {
        self.dealt += kind.dealt_products(radix);
        self.outputs += kind.outputs();
        self.rows += 2 * ((1 << radix) - 1);
        if kind == Kind::Both {
            self.rows += 1 << radix;
        }
    }

    fn all(&mut self, inputs: u32) {
        self.dealt += (1 << inputs) - 1 - inputs as usize;
        self.outputs += 1;
        self.rows += 1 << inputs;
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
