//! The cheapest tree for a comparison of a value that A and B know with a value that D knows.
//!
//! A leaf of m bits costs 2^m - 1 dealt bits and 2 swapped bits for each of G = \[a > b\], P = \[a = b\]; a node of r children
//! costs 2 bits for each output and one dealt bit for each product of two or more of the dealer's bits (`polygate.rs`). The
//! least significant path needs no P. A dynamic programme over (kind, bits, depth) finds the cheapest tree; its figures for 63
//! bits are 1928, 398, 334 and 329 bits at depths 1 to 4 (protocols-rep3, section 3).

use std::collections::HashMap;

/// How many levels of gates a comparison may have above its leaves: fewer rounds or fewer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// No levels, and no leaves: a distributed comparison function, 1824.4 bytes and 2 rounds for 63 bits. For a handful of
    /// values on links with a long round trip. Computational: its messages are pseudo-random, not uniform.
    Dcf,
    /// 241 bytes and 3 rounds for 63 bits: for few values on links with a long round trip.
    One,
    /// 49.75 bytes and 4 rounds for 63 bits: for links with a long round trip.
    Two,
    /// 41.75 bytes and 5 rounds for 63 bits: for local networks.
    Three,
}

impl Depth {
    /// All of them, fewest rounds first.
    pub const ALL: [Self; 4] = [Self::Dcf, Self::One, Self::Two, Self::Three];
}

/// Which outputs a subtree must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Greater and equal.
    Both,
    /// Greater alone: the least significant path.
    Greater,
}

impl Kind {
    /// How many bits a subtree of this kind gives.
    pub(crate) fn outputs(self) -> usize {
        match self {
            Self::Both => 2,
            Self::Greater => 1,
        }
    }

    /// What the children of such a node must give, least significant first.
    pub(crate) fn of_children(self) -> impl Iterator<Item = Self> {
        std::iter::once(self).chain(std::iter::repeat(Self::Both))
    }

    /// Products of two or more of the dealer's bits in a node of `radix` children: every set of two or more p, and every g_i
    /// with some later p.
    pub(crate) fn dealt_products(self, radix: u32) -> usize {
        let with_g: usize = (1..radix).map(|k| (1 << k) - 1).sum();
        // Without an own P the first child has none either.
        let p = if self == Self::Both { radix } else { radix - 1 };
        with_g + (1 << p) - 1 - p as usize
    }
}

/// A comparison tree. Children come least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    Leaf(u32),
    Node(Vec<Self>),
}

/// How a comparison of so many bits is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// By one-time truth tables and gates.
    Tree(Tree),
    /// By function secret sharing.
    Dcf,
}

impl Method {
    /// The cheapest of this depth for \[a > b\] on 2 <= `bits` <= 63 bits.
    pub(crate) fn cheapest(bits: u32, depth: Depth) -> Self {
        let levels = match depth {
            Depth::Dcf => return Self::Dcf,
            Depth::One => 1,
            Depth::Two => 2,
            Depth::Three => 3,
        };
        Self::Tree(Tree::cheapest(bits, levels))
    }
}

const MAX_LEAF: u32 = 9;
const MAX_RADIX: u32 = 9;

impl Tree {
    /// The cheapest tree of so many levels. Its root is a node, which can carry a bit of the dealer.
    fn cheapest(bits: u32, levels: u32) -> Self {
        match Planner::default().tree(Kind::Greater, bits, levels) {
            Some((_, Self::Node(children))) => Self::Node(children),
            _ => Self::Node(vec![Self::Leaf(1), Self::Leaf(bits - 1)]),
        }
    }

    /// Calls `visit` with each leaf's kind and bits, least significant first.
    pub(crate) fn leaves(&self, kind: Kind, visit: &mut impl FnMut(Kind, u32)) {
        match self {
            Self::Leaf(m) => visit(kind, *m),
            Self::Node(children) => children
                .iter()
                .zip(kind.of_children())
                .for_each(|(c, k)| c.leaves(k, visit)),
        }
    }

    /// Levels of gates above the leaves.
    pub(crate) fn height(&self) -> usize {
        match self {
            Self::Leaf(_) => 0,
            Self::Node(children) => 1 + children.iter().map(Self::height).max().unwrap_or(0),
        }
    }

    /// Calls `visit` with the kind and the number of children of each node of a height.
    pub(crate) fn nodes_at(&self, height: usize, kind: Kind, visit: &mut impl FnMut(Kind, u32)) {
        let Self::Node(children) = self else { return };
        if self.height() == height {
            visit(kind, children.len() as u32);
        }
        children
            .iter()
            .zip(kind.of_children())
            .for_each(|(c, k)| c.nodes_at(height, k, visit));
    }

    /// Dealt and swapped bits.
    #[cfg(test)]
    pub(crate) fn bits(&self, kind: Kind) -> u32 {
        match self {
            Self::Leaf(m) => leaf(kind, *m),
            Self::Node(c) => {
                let below: u32 = c
                    .iter()
                    .zip(kind.of_children())
                    .map(|(t, k)| t.bits(k))
                    .sum();
                node(kind, c.len() as u32) + below
            }
        }
    }
}

fn leaf(kind: Kind, m: u32) -> u32 {
    (1 << m) + if kind == Kind::Both { 3 } else { 1 }
}

fn node(kind: Kind, r: u32) -> u32 {
    (2 * kind.outputs() + kind.dealt_products(r)) as u32
}

/// A tree and what it costs in bits.
type Costed = Option<(u32, Tree)>;
type CostedRow = Option<(u32, Vec<Tree>)>;

#[derive(Default)]
struct Planner {
    trees: HashMap<(Kind, u32, u32), Costed>,
    rows: HashMap<(u32, u32, u32), CostedRow>,
}

impl Planner {
    fn tree(&mut self, kind: Kind, bits: u32, depth: u32) -> Costed {
        if let Some(known) = self.trees.get(&(kind, bits, depth)) {
            return known.clone();
        }
        let mut best = (bits <= MAX_LEAF).then(|| (leaf(kind, bits), Tree::Leaf(bits)));
        if depth > 0 {
            for radix in 2..=MAX_RADIX.min(bits) {
                for low in 1..=bits + 1 - radix {
                    let Some((first_cost, first)) = self.tree(kind, low, depth - 1) else {
                        continue;
                    };
                    let Some((rest_cost, rest)) = self.row(bits - low, radix - 1, depth - 1) else {
                        continue;
                    };
                    let cost = node(kind, radix) + first_cost + rest_cost;
                    if best.as_ref().is_none_or(|(b, _)| cost < *b) {
                        best = Some((
                            cost,
                            Tree::Node(std::iter::once(first).chain(rest).collect()),
                        ));
                    }
                }
            }
        }
        self.trees.insert((kind, bits, depth), best.clone());
        best
    }

    /// `count` subtrees of nearly even size that give both outputs.
    fn row(&mut self, bits: u32, count: u32, depth: u32) -> CostedRow {
        if count == 1 {
            return self
                .tree(Kind::Both, bits, depth)
                .map(|(c, t)| (c, vec![t]));
        }
        if let Some(known) = self.rows.get(&(bits, count, depth)) {
            return known.clone();
        }
        let even = bits / count;
        let mut best: CostedRow = None;
        for low in even.saturating_sub(3).max(1)..=(even + 3).min((bits + 1).saturating_sub(count))
        {
            let Some((first_cost, first)) = self.tree(Kind::Both, low, depth) else {
                continue;
            };
            let Some((rest_cost, rest)) = self.row(bits - low, count - 1, depth) else {
                continue;
            };
            if best
                .as_ref()
                .is_none_or(|(b, _)| first_cost + rest_cost < *b)
            {
                best = Some((
                    first_cost + rest_cost,
                    std::iter::once(first).chain(rest).collect(),
                ));
            }
        }
        self.rows.insert((bits, count, depth), best.clone());
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_cost_what_the_specification_says() {
        assert_eq!(Tree::cheapest(63, 1).bits(Kind::Greater), 1928);
        assert_eq!(Tree::cheapest(63, 2).bits(Kind::Greater), 398);
        assert_eq!(Tree::cheapest(63, 3).bits(Kind::Greater), 334);
        for (bits, bytes) in [(47, 30.6), (40, 25.8), (31, 19.4)] {
            let got = f64::from(Tree::cheapest(bits, 3).bits(Kind::Greater)) / 8.0;
            assert!((got - bytes).abs() < 0.06, "{bits} bits: {got} bytes");
        }
    }
}
