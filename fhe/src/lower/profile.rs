//! What is known of the tables that a value goes through, whatever torus it stands on.

use std::collections::{BTreeSet, HashMap};

use crate::program::{Domain, Lookup, Node, Program};

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
    /// and where any of them changes: between a - low = x - 1 and x, ascending, at least one.
    pub(crate) changes: Vec<i64>,
    /// If it has a few tables: the same value with each of them (that changes) alone.
    pub(crate) apart: Vec<usize>,
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
                            let changes = changes(lookup, &tables, shift);
                            if changes.is_empty() {
                                return None;
                            }
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

fn changes(lookup: &Lookup, tables: &[usize], shift: u8) -> Vec<i64> {
    let mut all = BTreeSet::new();
    for &table in tables {
        let pairs = lookup.tables[table].windows(2).zip(1_i64..);
        all.extend(
            pairs
                .filter(|(pair, _)| pair[0] != pair[1])
                .map(|(_, at)| at << shift),
        );
    }
    all.into_iter().collect()
}
