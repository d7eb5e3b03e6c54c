//! What values can be, from the worst inputs: interval arithmetic, which never says too little.

use super::{Domain, Edge, Input, Linear, Lookup, ProgramError, Source, Term};

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

/// More table entries than these are not gone through when a program is checked: it would take longer than seconds.
const MOST_READS: u128 = 1 << 31;

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
    before: &[Vec<Interval>],
) -> Result<Vec<Interval>, ProgramError> {
    let whole = Interval {
        low: 0,
        high: i64::from(input.max),
    };
    let ranges = linear.rows.iter().enumerate().map(|(value, row)| {
        let mut terms = row.terms.iter();
        let add = |sum: Interval, term: &Term| {
            let other = match term.source {
                Source::Input => whole,
                Source::Node(k) => before[k][term.index],
            };
            sum.plus(i64::from(term.weight), other)
        };
        Interval::point(row.bias)
            .and_then(|bias| terms.try_fold(bias, add))
            .ok_or(ProgramError::TooLarge { node, value })
    });
    ranges.collect()
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
