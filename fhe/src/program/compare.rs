//! The greatest of values, and which it is.

use std::collections::BTreeMap;

use super::{
    Builder, Domain, Edge, Interval, Linear, Lookup, Node, ProgramError, Row, Source, Term,
};

/// How a program says which of its scores is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One value: its number.
    Index,
    /// A value for each, 1 for the greatest and 0 for the others.
    OneHot,
}

/// A value of a node.
type Value = (usize, usize);

fn term((node, index): Value, weight: i32) -> Term {
    let source = Source::Node(node);
    Term {
        source,
        index,
        weight,
    }
}

fn sum(terms: Vec<Term>) -> Row {
    Row { bias: 0, terms }
}

/// A lookup of all values of `node`, each in a table of its range: `says` gives the entries.
fn lookup(node: usize, ranges: &[Interval], says: impl Fn(i64) -> i32) -> Node {
    // Values of one range share a table.
    let mut known = BTreeMap::new();
    let mut tables = Vec::new();
    let edges = ranges.iter().enumerate().map(|(k, range)| {
        let table = *known.entry((range.low, range.high)).or_insert_with(|| {
            tables.push((range.low..=range.high).map(&says).collect());
            tables.len() - 1
        });
        Edge {
            from: k,
            to: k,
            table,
            weight: 1,
        }
    });
    let edges = edges.collect();
    let domains = ranges
        .iter()
        .map(|range| Domain::interval(range.low, range.high));
    Node::Lookup(Lookup {
        node,
        domains: domains.collect(),
        tables,
        edges,
        bias: vec![0; ranges.len()],
    })
}

impl Builder {
    fn differences(&mut self, pairs: &[(Value, Value)]) -> Result<usize, ProgramError> {
        let row = |&(a, b): &(Value, Value)| sum(vec![term(a, 1), term(b, -1)]);
        let rows = pairs.iter().map(row).collect();
        self.push(Node::Linear(Linear { rows }))
    }

    fn range(&self, (node, index): Value) -> Result<Interval, ProgramError> {
        let ranges = self.ranges.get(node);
        let missing = |what, index, count| ProgramError::Missing {
            node: self.nodes.len(),
            what,
            index,
            count,
        };
        let ranges = ranges.ok_or_else(|| missing("node", node, self.ranges.len()))?;
        let range = ranges.get(index).copied();
        range.ok_or_else(|| missing("value", index, ranges.len()))
    }

    /// Adds the greatest value of each window of values of `node`; returns the number of the node that holds them.
    ///
    /// max(a, b) = b + max(a - b, 0), in a tournament: a lookup of a difference for all values of a window but one. Where
    /// ranges tell which is greater, none. Differences must not be wide (32 values are two bootstraps at N = 2048, 16 one)
    /// since max(d, 0) is a table that changes everywhere.
    ///
    /// # Errors
    /// If a window is empty or holds what is not there, or values are too large.
    pub fn max(&mut self, node: usize, windows: &[Vec<usize>]) -> Result<usize, ProgramError> {
        let mut left: Vec<Vec<Value>> = windows
            .iter()
            .map(|window| window.iter().map(|&index| (node, index)).collect())
            .collect();
        if left.is_empty() || left.iter().any(Vec::is_empty) {
            return Err(ProgramError::Empty);
        }
        while left.iter().any(|values| values.len() > 1) {
            let mut pairs = Vec::new();
            for values in &mut left {
                let mut next = Vec::with_capacity(values.len().div_ceil(2));
                let mut halves = values.chunks_exact(2);
                for pair in &mut halves {
                    let (a, b) = (pair[0], pair[1]);
                    let [x, y] = [self.range(a)?, self.range(b)?];
                    if y.high <= x.low {
                        next.push(a);
                    } else if x.high <= y.low {
                        next.push(b);
                    } else {
                        // The node after the differences and their lookup holds the greater.
                        next.push((usize::MAX, pairs.len()));
                        pairs.push((a, b));
                    }
                }
                next.extend(halves.remainder());
                *values = next;
            }
            if pairs.is_empty() {
                continue;
            }
            let differences = self.differences(&pairs)?;
            let above = lookup(differences, self.ranges(differences), |d| d.max(0) as i32);
            let above = self.push(above)?;
            let row =
                |(k, &(_, b)): (usize, &(Value, Value))| sum(vec![term(b, 1), term((above, k), 1)]);
            let rows = pairs.iter().enumerate().map(row).collect();
            let greater = self.push(Node::Linear(Linear { rows }))?;
            for value in left
                .iter_mut()
                .flatten()
                .filter(|value| value.0 == usize::MAX)
            {
                value.0 = greater;
            }
        }
        for values in &left {
            self.range(values[0])?;
        }
        let rows = left
            .iter()
            .map(|values| sum(vec![term(values[0], 1)]))
            .collect();
        self.push(Node::Linear(Linear { rows }))
    }

    /// Adds which value of `node` is the greatest, the first where several are; returns the number of the node that says
    /// so. A client that gets this learns the class and no score.
    ///
    /// Every pair is compared: \[a_i >= a_j\] for i < j, the sign of a difference, which may be wide. One value is greater
    /// than all others, or as great and before them: it wins n - 1 times. That takes n(n-1)/2 signs, and a bootstrap for
    /// each value (but the first, for [`Class::Index`]). A tournament would take fewer signs, but has to carry the greater
    /// score on, which is a product of a sign and a wide value.
    ///
    /// # Errors
    /// If there is no such node, or values are too large.
    pub fn argmax(&mut self, node: usize, class: Class) -> Result<usize, ProgramError> {
        let count = self.ranges.get(node).map_or(0, Vec::len);
        self.range((node, 0))?;
        let mut wins: Vec<Row> = vec![Row::default(); count];
        let mut pairs = Vec::new();
        let mut players = Vec::new();
        for j in 0..count {
            for i in 0..j {
                let [x, y] = [self.range((node, i))?, self.range((node, j))?];
                if x.low >= y.high {
                    wins[i].bias += 1;
                } else if x.high < y.low {
                    wins[j].bias += 1;
                } else {
                    pairs.push(((node, i), (node, j)));
                    players.push((i, j));
                }
            }
        }
        if !pairs.is_empty() {
            let differences = self.differences(&pairs)?;
            let signs = lookup(differences, self.ranges(differences), |d| i32::from(d >= 0));
            let signs = self.push(signs)?;
            for (k, (i, j)) in players.into_iter().enumerate() {
                wins[i].terms.push(term((signs, k), 1));
                wins[j].bias += 1;
                wins[j].terms.push(term((signs, k), -1));
            }
        }
        let wins = self.push(Node::Linear(Linear { rows: wins }))?;
        let most = count as i64 - 1;
        let won = lookup(wins, self.ranges(wins), |wins| i32::from(wins == most));
        let Node::Lookup(mut won) = won else {
            unreachable!("a lookup was made")
        };
        if class == Class::Index {
            won.bias = vec![0];
            won.edges.remove(0);
            for edge in &mut won.edges {
                (edge.to, edge.weight) = (0, edge.from as i32);
            }
        }
        self.push(Node::Lookup(won))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::params::Params;
    use crate::program::{Input, Program};

    /// Sums of three inputs, as wide as their weights are large.
    fn scores(rows: &[[i32; 3]], bias: &[i64]) -> Builder {
        let mut builder = Builder::new(Input {
            offset: vec![0.0],
            gain: vec![1.0],
            len: 3,
            max: 5,
        })
        .unwrap();
        let row = |(weights, &bias): (&[i32; 3], &i64)| {
            let terms = weights.iter().enumerate().filter(|(_, w)| **w != 0);
            let terms = terms.map(|(index, &weight)| Term {
                source: Source::Input,
                index,
                weight,
            });
            Row {
                bias,
                terms: terms.collect(),
            }
        };
        let rows = rows.iter().zip(bias).map(row).collect();
        builder.push(Node::Linear(Linear { rows })).unwrap();
        builder
    }

    fn inputs() -> impl Iterator<Item = [u16; 3]> {
        (0..216).map(|k| [k % 6, k / 6 % 6, k / 36])
    }

    fn first_greatest(scores: &[i64]) -> usize {
        let most = scores.iter().max().unwrap();
        scores.iter().position(|score| score == most).unwrap()
    }

    proptest! {
        #[test]
        fn the_greatest_and_the_first_of_the_greatest_are_found(
            rows in prop::collection::vec([-9..9_i32, -9..9_i32, -3..3_i32], 1..7),
            bias in prop::collection::vec(-20_i64..20, 7),
        ) {
            let windows = vec![(0..rows.len()).collect(), vec![0], vec![rows.len() - 1, 0, rows.len() / 2]];
            let builder = scores(&rows, &bias);
            let finish = |builder: Builder| builder.finish("", 1.0).unwrap();
            let [mut max, mut index, mut one_hot] = [0; 3].map(|_| builder.clone());
            max.max(0, &windows).unwrap();
            index.argmax(0, Class::Index).unwrap();
            one_hot.argmax(0, Class::OneHot).unwrap();
            let [max, index, one_hot] = [max, index, one_hot].map(finish);
            // No wider than the values are.
            let before = max.ranges(0).to_vec();
            for (window, range) in windows.iter().zip(max.result_ranges()) {
                let most = |end: fn(&Interval) -> i64| window.iter().map(|&k| end(&before[k])).max();
                prop_assert_eq!(Some(range.low), most(|range| range.low));
                prop_assert_eq!(Some(range.high), most(|range| range.high));
            }
            for input in inputs() {
                let scores = max.trace(&input).swap_remove(0);
                let greatest = |window: &Vec<usize>| window.iter().map(|&k| scores[k]).max().unwrap();
                let wanted: Vec<i64> = windows.iter().map(greatest).collect();
                prop_assert_eq!(max.run(&input), wanted);
                let class = first_greatest(&scores);
                prop_assert_eq!(index.run(&input), [class as i64]);
                let wanted: Vec<i64> = (0..scores.len()).map(|k| i64::from(k == class)).collect();
                prop_assert_eq!(one_hot.run(&input), wanted);
            }
        }
    }

    fn bootstraps(program: &Program) -> usize {
        let params = Params::by_name("tacit-2048-3").unwrap();
        params.noise(program).unwrap().bootstraps
    }

    /// Four values of 0 to 15: three differences of 31 values, two bootstraps each.
    #[test]
    fn a_window_of_four_takes_six_bootstraps() {
        let mut builder = scores(&[[3, 0, 0], [0, 3, 0], [1, 1, 1], [2, 1, 0]], &[0; 4]);
        builder.max(0, &[vec![0, 1, 2, 3]]).unwrap();
        let program = builder.finish("", 1.0).unwrap();
        assert_eq!(bootstraps(&program), 6);
    }

    /// Ten scores of nine bits: 45 differences of ten bits, and nine counts of wins.
    #[test]
    fn ten_classes_take_a_sign_for_each_pair() {
        let rows: Vec<[i32; 3]> = (0..10).map(|k| [30 + k, -20 + k, 2 * k - 20]).collect();
        let mut builder = scores(&rows, &[0; 10]);
        builder.argmax(0, Class::Index).unwrap();
        let program = builder.finish("", 1.0).unwrap();
        assert_eq!(bootstraps(&program), 45 * 3 + 9);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let mut builder = scores(&[[1, 0, 0]], &[0]);
        assert_eq!(builder.max(0, &[vec![]]), Err(ProgramError::Empty));
        assert_eq!(builder.max(0, &[]), Err(ProgramError::Empty));
        for (node, window) in [(1, vec![0]), (0, vec![1]), (0, vec![0, 1])] {
            let refused = builder.max(node, &[window]);
            assert!(matches!(refused, Err(ProgramError::Missing { .. })));
        }
        let refused = builder.argmax(3, Class::Index);
        assert!(matches!(refused, Err(ProgramError::Missing { .. })));
    }
}
