//! Softmax over any axis.

use crate::{Edge, Function, Graph, Result, Table, graph::Rule, program::Scaled};

/// Errors of the tables stay below this.
const TABLE_ERROR: f64 = 1.0 / (1 << 18) as f64;

/// A sum of exponentials of which one is e^0 is at least 1, up to the rounding of its terms.
const BELOW_ONE: f64 = 1.0 - 1.0 / 64.0;

/// A softmax, with what its cross-entropy needs.
pub(crate) struct Softmax {
    pub(crate) shifted: Edge,
    exponentials: Edge,
    sum: Edge,
    entries: usize,
}

impl Graph {
    /// e^xᵢ / Σ e^xⱼ over an axis. An entry of -2^30 counts as masked: it becomes 0, and a row of nothing else has equal
    /// weights. Differences of entries below 2^44.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] where the axis is empty.
    pub fn softmax(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        let parts = self.softmax_parts(x, axis)?;
        let y = self.softmax_of(&parts)?;
        self.rules.insert(y.node, Rule::Softmax { input: x, axis });
        Ok(y)
    }

    /// ln(softmax(x)), for the same entries.
    ///
    /// # Errors
    /// As for [`Graph::softmax`].
    pub fn log_softmax(&mut self, x: Edge, axis: usize) -> Result<Edge> {
        let parts = self.softmax_parts(x, axis)?;
        let p = self.softmax_of(&parts)?;
        let ln = self.ln_of(&parts)?;
        let y = self.sub(parts.shifted, ln)?;
        let rule = Rule::LogSoftmax { input: x, p, axis };
        self.rules.insert(y.node, rule);
        Ok(y)
    }

    pub(crate) fn softmax_parts(&mut self, x: Edge, axis: usize) -> Result<Softmax> {
        let entries = self.length(x, axis)?;
        let max = self.max_over(x, &[axis])?;
        let shifted = self.sub(x, max)?;
        let exponentials = self.exp_negative(shifted)?;
        let sum = self.sum(exponentials, axis)?;
        Ok(Softmax {
            shifted,
            exponentials,
            sum,
            entries,
        })
    }

    pub(crate) fn softmax_of(&mut self, parts: &Softmax) -> Result<Edge> {
        let reciprocal = self.of_sum(Scaled::Reciprocal, "1/sum", parts)?;
        self.mul(parts.exponentials, reciprocal)
    }

    pub(crate) fn ln_of(&mut self, parts: &Softmax) -> Result<Edge> {
        self.of_sum(Scaled::Ln, "ln of a sum", parts)
    }

    /// A function of a sum of `entries` exponentials, which lies in [1, entries] up to rounding.
    fn of_sum(&mut self, f: Scaled, name: &'static str, parts: &Softmax) -> Result<Edge> {
        let n = parts.entries as f64;
        let (real, max): (fn(f64) -> f64, f64) = match f {
            Scaled::Ln => (libm::log, libm::log(n + 1.0) + 1.0),
            _ => (f64::recip, 2.0),
        };
        let range = (BELOW_ONE, n + 1.0 - BELOW_ONE);
        // A range too long for one table is brought into it by powers of two.
        let function = match Table::within(name, real, range, max, TABLE_ERROR) {
            Ok(table) => Function::Table(table),
            Err(_) => Function::Scaled(
                f,
                -1,
                (parts.entries + 1).next_power_of_two().ilog2() as i32,
            ),
        };
        self.map(function, &[parts.sum])
    }
}
