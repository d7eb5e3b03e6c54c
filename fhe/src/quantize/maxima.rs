//! Maxima: kept as pairs until a sum needs them, because functions that never fall go before them.

use std::collections::{BTreeSet, HashMap};

use tacit_nn::Function;

use super::build::{Build, Entry, Refused, Result};
use super::network::Kind;

/// A maximum is proved to be no more than this many times what its variables can be; then it is looked up again.
const WIDEST: usize = 4;

/// Pairs of which the larger is meant.
#[derive(Debug, Default)]
pub(super) struct Maxima {
    pairs: Vec<[Entry; 2]>,
    known: HashMap<[Bits; 2], usize>,
    /// The variables whose sum a maximum is.
    settled: HashMap<usize, Vec<usize>>,
}

/// What tells entries apart.
type Bits = (u8, u64, usize);

impl Maxima {
    /// A maximum and those that it is made of, each after those that it is made of itself.
    fn below(&self, k: usize) -> BTreeSet<usize> {
        let (mut found, mut open) = (BTreeSet::new(), vec![k]);
        while let Some(k) = open.pop() {
            if found.insert(k) {
                open.extend(self.pairs[k].iter().filter_map(|entry| match entry {
                    Entry::Max(k) => Some(*k),
                    _ => None,
                }));
            }
        }
        found
    }
}

impl Build {
    /// The larger of two.
    pub(super) fn larger(&mut self, x: Entry, y: Entry) -> Result<Entry> {
        match (x, y) {
            _ if x == y => return Ok(x),
            (Entry::Known(x), Entry::Known(y)) => return Ok(Entry::Known(x.max(y))),
            // Nothing is lower.
            (Entry::Known(f64::NEG_INFINITY), x) | (x, Entry::Known(f64::NEG_INFINITY)) => {
                return Ok(x);
            }
            (Entry::Known(_), Entry::Max(_)) | (Entry::Max(_), Entry::Known(_)) => {
                return Err(Refused::Joint);
            }
            _ => {}
        }
        let bits = |entry| match entry {
            Entry::Known(x) => (0, x.to_bits(), 0),
            Entry::Of { form, curve } => (1, form as u64, curve),
            Entry::Max(k) => (2, 0, k),
        };
        let mut pair = [(bits(x), x), (bits(y), y)];
        pair.sort_by_key(|&(bits, _)| bits);
        let maxima = &mut self.maxima;
        let next = maxima.pairs.len();
        let key = pair.map(|(bits, _)| bits);
        let k = *maxima.known.entry(key).or_insert(next);
        if k == next {
            maxima.pairs.push(pair.map(|(_, entry)| entry));
        }
        Ok(Entry::Max(k))
    }

    /// f(max(x, y)) = max(f(x), f(y)) for a function that never falls: so what is compared has few values.
    pub(super) fn before_maximum(&mut self, f: &Function, port: usize, k: usize) -> Result<Entry> {
        let mut became: HashMap<usize, Entry> = HashMap::new();
        for k in self.maxima.below(k) {
            let mut pair = self.maxima.pairs[k];
            for entry in &mut pair {
                *entry = match *entry {
                    Entry::Max(k) => became[&k],
                    other => self.map(f, port, &[other])?,
                };
            }
            let larger = self.larger(pair[0], pair[1])?;
            became.insert(k, larger);
        }
        Ok(became[&k])
    }

    /// A maximum as a sum of variables of one scale: max(x, y) = y + max(x - y, 0).
    pub(super) fn maximum(&mut self, k: usize) -> Result<Vec<usize>> {
        for k in self.maxima.below(k) {
            if self.maxima.settled.contains_key(&k) {
                continue;
            }
            let pair = self.maxima.pairs[k];
            let mut parts = [Vec::new(), Vec::new()];
            for (entry, parts) in pair.into_iter().zip(&mut parts) {
                *parts = match entry {
                    Entry::Max(k) => self.maxima.settled[&k].clone(),
                    Entry::Of { form, curve } => vec![self.variable(form, curve)],
                    Entry::Known(_) => return Err(Refused::Joint),
                };
            }
            let [x, y] = parts;
            let first = self.scale(x[0]);
            for &variable in x.iter().chain(&y) {
                let (first, scale) = (self.scale(x[0]), self.scale(variable));
                self.join(first, scale);
            }
            let line = self.network.curves.affine(1.0, 0.0);
            let relu = self.network.curves.relu(line);
            let difference = x
                .iter()
                .map(|&v| (v, 1.0))
                .chain(y.iter().map(|&v| (v, -1.0)));
            let group = self.network.forms.len();
            let mut sum = y.clone();
            // Nothing is left of the difference where both are the same variables.
            if let Entry::Of { form, .. } = self.form(difference.collect(), 0.0, group)? {
                sum.push(self.variable_of(form, relu, first, Kind::Difference));
            }
            if sum.len() > WIDEST {
                let same = sum.iter().map(|&v| (v, 1.0)).collect();
                if let Entry::Of { form, .. } = self.form(same, 0.0, group)? {
                    sum = vec![self.variable_of(form, line, first, Kind::Again)];
                }
            }
            self.maxima.settled.insert(k, sum);
        }
        Ok(self.maxima.settled[&k].clone())
    }
}
