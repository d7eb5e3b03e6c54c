//! What is known of the tables that a value goes through, whatever torus it stands on.

use std::collections::{BTreeSet, HashMap};

use crate::program::{Domain, Node, Program};

/// The values that are looked up in intervals, by what matters for how to.
pub(crate) struct Profiles {
    /// Those that differ.
    pub(crate) all: Vec<Profile>,
    /// By node and value, which one it is; none where it is in no interval, or there is nothing to look up.
    pub(crate) of: HashMap<(usize, usize), usize>,
}

/// A value's interval and tables.
pub(crate) struct Profile {
    /// The node that looks it up,
    pub(crate) node: usize,
    /// the first value of this kind,
    pub(crate) value: usize,
    /// how many values it can take,
    pub(crate) width: u64,
    /// the low bits that tables leave out,
    pub(crate) shift: u8,
    /// the tables, by their number in the node,
    pub(crate) tables: Vec<usize>,
    /// and where any of them changes.
    pub(crate) changes: Changes,
    /// If it has a few tables: the same value with each of them (that changes) alone.
    pub(crate) apart: Vec<usize>,
}

/// Where tables change: between a - low = x - 1 and x, at one x or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The first x,
    pub(crate) first: i64,
    /// the last,
    pub(crate) last: i64,
    /// and a number that as many powers of two divide as all distances between them; 0 if there is one x only.
    pub(crate) apart: i64,
}

impl Changes {
    /// Of a table by entries; none if it is constant.
    fn of(table: &[i32]) -> Option<Self> {
        let pairs = table.windows(2).zip(1_i64..);
        let all = pairs.filter(|(pair, _)| pair[0] != pair[1]);
        let all = all.map(|(_, at)| Self {
            first: at,
            last: at,
            apart: 0,
        });
        all.reduce(Self::and)
    }

    /// Of two tables. Distances between x of both are sums of those from each one's first and that between these.
    fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            apart: self.apart | other.apart | (self.first - other.first).abs(),
        }
    }

    /// Of entries of 2^`shift` values each.
    fn shifted(self, shift: u8) -> Self {
        Self {
            first: self.first << shift,
            last: self.last << shift,
            apart: self.apart << shift,
        }
    }
}

/// Of more tables it is not tried whether they are better looked up one by one.
const MOST_APART: usize = 4;

impl Profiles {
    pub(crate) fn of(program: &Program) -> Self {
        let (mut all, mut of) = (Vec::new(), HashMap::new());
        for (node, lookup) in program.parts().nodes.iter().enumerate() {
            let Node::Lookup(lookup) = lookup else {
                continue;
            };
            let mut tables = vec![BTreeSet::new(); lookup.domains.len()];
            for edge in &lookup.edges {
                tables[edge.from].insert(edge.table);
            }
            // Once for each table, however many values of whatever widths go through it.
            let changes: Vec<Option<Changes>> = lookup
                .tables
                .iter()
                .map(|table| Changes::of(table))
                .collect();
            let mut known = HashMap::new();
            for (value, (domain, tables)) in lookup.domains.iter().zip(tables).enumerate() {
                let &Domain::Interval { low, high, shift } = domain else {
                    continue;
                };
                let width = (high - low) as u64 + 1;
                let found = *known
                    .entry((width, shift, tables))
                    .or_insert_with_key(|key| {
                        let mut add = |tables: Vec<usize>, apart: Vec<usize>| {
                            let changes = tables.iter().filter_map(|&table| changes[table]);
                            let changes = changes.reduce(Changes::and)?.shifted(shift);
                            all.push(Profile {
                                node,
                                value,
                                width,
                                shift,
                                tables,
                                changes,
                                apart,
                            });
                            Some(all.len() - 1)
                        };
                        let few = (2..=MOST_APART).contains(&key.2.len());
                        let single = key.2.iter().take(if few { MOST_APART } else { 0 });
                        let apart = single.filter_map(|&table| add(vec![table], Vec::new()));
                        let apart: Vec<usize> = apart.collect();
                        let apart = if apart.len() > 1 { apart } else { Vec::new() };
                        add(key.2.iter().copied().collect(), apart)
                    });
                if let Some(found) = found {
                    of.insert((node, value), found);
                }
            }
        }
        Self { all, of }
    }
}

#[cfg(test)]
mod tests {
    use super::Changes;

    #[test]
    fn what_is_kept_of_changes_is_what_all_of_them_say() {
        let table = |at: &[usize]| -> Vec<i32> {
            let entry = |k: usize| at.iter().filter(|&&x| x <= k).count() as i32;
            (0..64).map(entry).collect()
        };
        let sets: [&[usize]; 6] = [&[5], &[5, 13, 29], &[8, 40], &[21], &[6, 7], &[]];
        for a in sets {
            for b in sets {
                let all = [a, b].concat();
                let found = [a, b].map(|at| Changes::of(&table(at)));
                let found = found.into_iter().flatten().reduce(Changes::and);
                let Some(found) = found.map(|found| found.shifted(3)) else {
                    assert!(all.is_empty());
                    continue;
                };
                let first = *all.iter().min().unwrap();
                let bits = all.iter().map(|at| (at - first) << 3);
                let bits = bits.fold(0, |a, b| a | b).trailing_zeros();
                assert_eq!(found.apart.trailing_zeros(), bits, "{a:?} {b:?}");
                assert_eq!(found.first, (first << 3) as i64);
                assert_eq!(found.last, (all.iter().max().unwrap() << 3) as i64);
            }
        }
    }
}
