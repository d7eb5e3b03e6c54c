//! The reference: a program on integers in the clear.

use super::{Input, Linear, Lookup, Node, Program, Source};

impl Input {
    /// The quantised row. What is not a number becomes 0.
    ///
    /// # Panics
    /// If the row has another length than the input.
    #[must_use]
    pub fn quantize(&self, row: &[f32]) -> Vec<u16> {
        assert_eq!(row.len(), self.len, "a row has one number per feature");
        let of = |all: &[f32], k: usize| all[if all.len() == 1 { 0 } else { k }];
        let quantize = |(k, &x): (usize, &f32)| {
            let q = ((x - of(&self.offset, k)) * of(&self.gain, k)).round();
            q.clamp(0.0, f32::from(self.max)) as u16
        };
        row.iter().enumerate().map(quantize).collect()
    }
}

impl Program {
    /// The result for one quantised input.
    ///
    /// # Panics
    /// If the input has another length, or values beyond the maximum: then nothing is proved of it.
    #[must_use]
    pub fn run(&self, input: &[u16]) -> Vec<i64> {
        self.trace(input).pop().unwrap_or_default()
    }

    /// The values of all nodes for one quantised input, as [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[must_use]
    pub fn trace(&self, input: &[u16]) -> Vec<Vec<i64>> {
        let most = self.parts.input.max;
        assert_eq!(input.len(), self.parts.input.len, "one value per feature");
        assert!(
            input.iter().all(|&x| x <= most),
            "values are at most {most}"
        );
        let mut values: Vec<Vec<i64>> = Vec::new();
        for node in &self.parts.nodes {
            let next = match node {
                Node::Linear(linear) => linear.run(input, &values),
                Node::Lookup(lookup) => lookup.run(&values[lookup.node]),
            };
            values.push(next);
        }
        values
    }
}

impl Linear {
    fn run(&self, input: &[u16], before: &[Vec<i64>]) -> Vec<i64> {
        let value = |source: Source, index: usize| match source {
            Source::Input => i64::from(input[index]),
            Source::Node(k) => before[k][index],
        };
        let row = |row: &super::Row| {
            let terms = row.terms.iter();
            let terms = terms.map(|t| i64::from(t.weight) * value(t.source, t.index));
            row.bias + terms.sum::<i64>()
        };
        self.rows.iter().map(row).collect()
    }
}

impl Lookup {
    fn run(&self, values: &[i64]) -> Vec<i64> {
        let mut sums = self.bias.clone();
        for edge in &self.edges {
            let said = self.domains[edge.from].look_up(&self.tables[edge.table], values[edge.from]);
            let said =
                said.unwrap_or_else(|| unreachable!("an interval holds what it was proved to"));
            sums[edge.to] += i64::from(edge.weight) * said;
        }
        sums
    }
}
