//! Sums and variables as integers.

use super::level::Levels;

/// A sum as integers.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Variables and their weights, none of them zero.
    pub terms: Vec<(usize, i32)>,
    /// Added to the sum.
    pub bias: i64,
    /// The lowest value, from the worst inputs,
    pub low: i64,
    /// the highest,
    pub high: i64,
    /// and how many low bits no table sees.
    pub shift: u8,
    /// The number that a sum stands for: slope · sum + intercept.
    pub line: (f64, f64),
}

/// A variable as integers.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// What its integers stand for.
    pub levels: Levels,
    /// What its table says, by entries of its sum's domain; none for an input.
    pub table: Vec<i32>,
    /// The lowest integer,
    pub low: i64,
    /// the highest.
    pub high: i64,
    /// On the rows of the sample,
    pub on: Vec<u16>,
    /// and whether that is the same on all of them.
    pub constant: bool,
}

impl Column {
    /// Of integers on the rows of a sample, from `low` to `high`.
    pub(super) fn new(levels: Levels, (low, high): (i64, i64)) -> Self {
        Self {
            levels,
            table: Vec::new(),
            low,
            high,
            on: Vec::new(),
            constant: false,
        }
    }

    pub(super) fn set(&mut self, on: Vec<u16>) {
        self.constant = on.windows(2).all(|w| w[0] == w[1]);
        self.on = on;
    }
}

impl Row {
    /// Takes summands that have one value alone into the bias, and proves the range from the worst inputs.
    pub(super) fn bound(&mut self, columns: &[Column]) {
        let (fixed, terms): (Vec<_>, Vec<_>) = self
            .terms
            .iter()
            .partition(|&&(v, _)| columns[v].low == columns[v].high);
        self.terms = terms;
        let fixed = fixed.iter();
        self.bias += fixed
            .map(|&(v, w)| i64::from(w) * columns[v].low)
            .sum::<i64>();
        (self.low, self.high) = (self.bias, self.bias);
        for &(variable, weight) in &self.terms {
            let column = &columns[variable];
            let ends = [column.low, column.high].map(|end| i64::from(weight) * end);
            self.low += ends[0].min(ends[1]);
            self.high += ends[0].max(ends[1]);
        }
    }

    /// What it is on the rows of the sample.
    pub(super) fn sums(&self, columns: &[Column]) -> Vec<i64> {
        let rows = columns.first().map_or(0, |column| column.on.len());
        let mut sums = vec![self.bias; rows];
        for &(variable, weight) in &self.terms {
            for (sum, &q) in sums.iter_mut().zip(&columns[variable].on) {
                *sum += i64::from(weight) * i64::from(q);
            }
        }
        sums
    }
}
