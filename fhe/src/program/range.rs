//! What values can be, from the worst inputs: interval arithmetic, which never says too little.

use std::collections::HashMap;

use super::{Domain, Edge, Input, Linear, Lookup, Node, ProgramError, Row, Source, Term};

/// `low ..= high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The lowest value,
    pub low: i64,
    /// the highest.
    pub high: i64,
}

/// Sums beyond this are refused: no torus holds them, and below it nothing here overflows.
const LIMIT: i64 = 1 << 48;

/// More table entries than these are not gone through when a node is checked, which takes seconds. It bounds neither the
/// nodes together nor what planning them takes.
const MOST_READS: u128 = 1 << 31;

/// Wider differences are not gone through one by one.
const MOST_PAIRS: i64 = 1 << 9;

impl Interval {
    /// One value, within what any torus holds.
    fn point(at: i64) -> Option<Self> {
        let within = (-LIMIT..=LIMIT).contains(&at);
        within.then_some(Self { low: at, high: at })
    }

    /// The values of `self + weight · other`; none beyond what any torus holds.
    fn plus(self, weight: i64, other: Self) -> Option<Self> {
        let [a, b] = [other.low, other.high].map(|end| weight.checked_mul(end));
        let (a, b) = (a?, b?);
        let sum = Self {
            low: self.low.checked_add(a.min(b))?,
            high: self.high.checked_add(a.max(b))?,
        };
        (sum.low >= -LIMIT && sum.high <= LIMIT).then_some(sum)
    }

    /// How many values it holds.
    #[must_use]
    pub fn count(self) -> u64 {
        (self.high - self.low) as u64 + 1
    }
}

/// The ranges of a linear node's values.
pub(super) fn of_linear(
    node: usize,
    linear: &Linear,
    input: &Input,
    nodes: &[Node],
    before: &[Vec<Interval>],
) -> Result<Vec<Interval>, ProgramError> {
    let whole = Interval {
        low: 0,
        high: i64::from(input.max),
    };
    let mut alone = HashMap::new();
    let ranges = linear.rows.iter().enumerate().map(|(value, row)| {
        let mut terms = row.terms.iter();
        let add = |sum: Interval, term: &Term| {
            let other = match term.source {
                Source::Input => whole,
                Source::Node(k) => before[k][term.index],
            };
            sum.plus(i64::from(term.weight), other)
        };
        let range = Interval::point(row.bias)
            .and_then(|bias| terms.try_fold(bias, add))
            .ok_or(ProgramError::TooLarge { node, value })?;
        Ok(of_pair(row, nodes, before, &mut alone).unwrap_or(range))
    });
    ranges.collect()
}

/// The range of bias + b + T\[a - b\], for a table of the difference of two values one of which it is added to, as the
/// greater of the two is (T\[d\] = max(d, 0)): difference by difference, for each leaves b only part of its range. None
/// for rows of any other form. `alone` keeps what [`alone_at`] says of nodes.
fn of_pair(
    row: &Row,
    nodes: &[Node],
    before: &[Vec<Interval>],
    alone: &mut HashMap<usize, Vec<Option<usize>>>,
) -> Option<Interval> {
    let [x, y] = row.terms[..] else { return None };
    let mut of = |b: Term, said: Term| {
        let (Source::Node(at), Source::Node(_), 1, 1) =
            (said.source, b.source, b.weight, said.weight)
        else {
            return None;
        };
        let Node::Lookup(lookup) = &nodes[at] else {
            return None;
        };
        let alone = alone.entry(at).or_insert_with(|| alone_at(lookup));
        let edge = &lookup.edges[alone[said.index]?];
        let Node::Linear(differences) = &nodes[lookup.node] else {
            return None;
        };
        let difference = &differences.rows[edge.from];
        let [p, q] = difference.terms[..] else {
            return None;
        };
        let (a, minus) = if p.weight == 1 { (p, q) } else { (q, p) };
        if (a.weight, minus.weight) != (1, -1) || (minus.source, minus.index) != (b.source, b.index)
        {
            return None;
        }
        let range = |term: Term| match term.source {
            Source::Node(k) => Some(before[k][term.index]),
            Source::Input => None,
        };
        let (a, b) = (range(a)?, range(b)?);
        let Domain::Interval { low, high, .. } = lookup.domains[edge.from] else {
            return None;
        };
        if high - low >= MOST_PAIRS {
            return None;
        }
        let bias = row.bias + lookup.bias[said.index];
        let mut ends: Option<Interval> = None;
        for d in low..=high {
            let apart = d - difference.bias;
            let (least, most) = (b.low.max(a.low - apart), b.high.min(a.high - apart));
            if least > most {
                continue;
            }
            let table = &lookup.tables[edge.table];
            let said =
                bias + i64::from(edge.weight) * lookup.domains[edge.from].look_up(table, d)?;
            let (least, most) = (said + least, said + most);
            let ends = ends.get_or_insert(Interval {
                low: least,
                high: most,
            });
            (ends.low, ends.high) = (ends.low.min(least), ends.high.max(most));
        }
        ends
    };
    of(x, y).or_else(|| of(y, x))
}

/// For each result of a lookup the number of its edge, where it has one alone.
fn alone_at(lookup: &Lookup) -> Vec<Option<usize>> {
    let mut counts = vec![0_usize; lookup.bias.len()];
    lookup.edges.iter().for_each(|edge| counts[edge.to] += 1);
    let mut alone = vec![None; counts.len()];
    for (k, edge) in lookup.edges.iter().enumerate() {
        alone[edge.to] = (counts[edge.to] == 1).then_some(k);
    }
    alone
}

/// The ranges of a lookup's results: of all tables of one value that go to one result, entry by entry, since they see
/// the same value; then summed over the values, which are taken to be independent.
pub(super) fn of_lookup(node: usize, lookup: &Lookup) -> Result<Vec<Interval>, ProgramError> {
    let mut edges: Vec<&Edge> = lookup.edges.iter().collect();
    edges.sort_by_key(|edge| (edge.to, edge.from));
    let reads = edges
        .iter()
        .map(|edge| lookup.domains[edge.from].entries() as u128);
    if reads.sum::<u128>() > MOST_READS {
        return Err(ProgramError::TooMany { node });
    }
    let bias = lookup.bias.iter().enumerate();
    let bias =
        bias.map(|(value, &b)| Interval::point(b).ok_or(ProgramError::TooLarge { node, value }));
    let mut ranges = bias.collect::<Result<Vec<Interval>, ProgramError>>()?;
    let mut most = vec![0_i128; lookup.bias.len()];
    for group in edges.chunk_by(|a, b| (a.to, a.from) == (b.to, b.from)) {
        let (to, domain) = (group[0].to, lookup.domains[group[0].from]);
        let too_large = ProgramError::TooLarge { node, value: to };
        let entry = |edge: &Edge, k: usize| {
            i64::from(edge.weight) * i64::from(lookup.tables[edge.table][k])
        };
        // No order of summing may overflow, so absolute values are held to the limit first.
        let entries = || 0..domain.entries();
        for edge in group {
            most[to] += entries()
                .map(|k| i128::from(entry(edge, k).abs()))
                .max()
                .unwrap_or(0);
        }
        if most[to] > i128::from(LIMIT) {
            return Err(too_large);
        }
        let sums = entries().map(|k| group.iter().map(|edge| entry(edge, k)).sum::<i64>());
        let (low, high) = sums.fold((i64::MAX, i64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        let contribution = match domain {
            Domain::Interval { .. } => Interval { low, high },
            Domain::Cyclic { .. } => {
                let most = high.max(-low);
                Interval {
                    low: -most,
                    high: most,
                }
            }
        };
        ranges[to] = ranges[to].plus(1, contribution).ok_or(too_large)?;
    }
    Ok(ranges)
}
