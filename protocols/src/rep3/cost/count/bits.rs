//! Gates on bits of words: comparisons, conjunctions, conversions.

use super::super::super::plan::{Depth, Kind, Method};
use super::super::super::scan::levels;
use super::super::super::{a2b, dcf, equal};
use super::{Count, Form};

impl Count<'_> {
    pub(in super::super::super) fn negative(&mut self, bits: u32, method: &Method) {
        let tree = match method {
            Method::Tree(tree) => tree,
            Method::Dcf => {
                self.function_keys(bits);
                self.deal(1, Form::Planes);
                return self.swap(1, Form::Planes);
            }
        };
        let (mut dealt, mut swapped) = (0, 0);
        tree.leaves(Kind::Greater, &mut |kind, m| {
            dealt += (1 << m) - 1;
            swapped += kind.outputs();
        });
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
    pub(super) fn function_keys(&mut self, bits: u32) {
        let (n, (d, a, b)) = (self.n(), self.roles());
        self.gate += 1;
        self.exchanges.draw(d, 4 * n);
        self.hashed[d] += (dcf::blocks_hashed(bits) * n) as u64;
        for to in [b, a] {
            self.exchanges.draw(to, 2 * n);
            self.hashed[to] += (dcf::words_sent(bits) * n) as u64;
        }
        let bytes = 16 * dcf::words_sent(bits) * n;
        self.exchanges.exchange([(d, b, bytes), (d, a, bytes)]);
    }

    /// Polynomials that are evaluated together.
    pub(super) fn nodes(&mut self, nodes: Nodes) {
        self.deal(nodes.dealt, Form::Planes);
        self.swap(nodes.outputs, Form::Planes);
    }

    /// Conjunctions of `inputs` bits.
    pub(in super::super) fn all(&mut self, gates: usize, inputs: u32) {
        let mut nodes = Nodes::default();
        (0..gates).for_each(|_| nodes.all(inputs));
        self.nodes(nodes);
    }

    pub(in super::super::super) fn zero(&mut self, depth: Depth) {
        if depth == Depth::Dcf {
            self.function_keys(64);
            return self.swap(1, Form::Planes);
        }
        let leaves = equal::leaves(depth);
        let rows: usize = leaves.iter().map(|(_, m)| (1 << m) - 1).sum();
        self.deal(rows, Form::Planes);
        self.swap(leaves.len(), Form::Planes);
        let mut bits = leaves.len();
        for &radix in equal::radices(depth) {
            bits /= radix as usize;
            self.all(bits, radix);
        }
    }

    pub(in super::super) fn floor(&mut self, p: u32, method: &Method) {
        let (n, bits) = (self.n(), 64 - p);
        self.negative(p, method);
        self.deal(2 * n, Form::Words(bits));
        self.swap(n, Form::Words(bits));
    }

    pub(super) fn bits(&mut self, wanted: &std::ops::Range<u32>) {
        let blocks = a2b::blocks_of(wanted.end);
        let rows: usize = blocks.iter().map(|(_, m)| (1 << m) - 1).sum();
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
        self.deal(products, Form::Planes);
        self.swap(wanted.len(), Form::Planes);
    }

    pub(in super::super) fn select(&mut self) {
        let n = self.n();
        self.deal(2 * n, Form::Words(64));
        self.swap(n, Form::Words(64));
    }

    pub(in super::super) fn bit_to_number(&mut self) {
        let n = self.n();
        self.deal(n, Form::Words(64));
        self.swap(n, Form::Words(64));
    }
}

/// Polynomials of one level.
#[derive(Default)]
pub(super) struct Nodes {
    dealt: usize,
    outputs: usize,
}

impl Nodes {
    pub(super) fn merge(&mut self, kind: Kind, radix: u32) {
        self.dealt += kind.dealt_products(radix);
        self.outputs += kind.outputs();
    }

    pub(super) fn all(&mut self, inputs: u32) {
        self.dealt += (1 << inputs) - 1 - inputs as usize;
        self.outputs += 1;
    }
}
