//! A lowered program on integers in the clear: what bootstraps compute, without any encryption.

use super::{Kind, Looked, Lowered, Row, Wire};
use crate::program::{Node, Program};

impl Lowered {
    /// The result for one quantised input. Where a value may be read off its place, `error` says by how much, in units
    /// less than what it is given.
    pub(crate) fn run(
        &self,
        program: &Program,
        input: &[u16],
        error: impl FnMut(i64) -> i64,
    ) -> Vec<i64> {
        let last = self.trace(program, input, error).pop().unwrap_or_default();
        let torus = 2 * i128::from(self.result());
        let whole = |(value, range): (i128, &crate::program::Interval)| {
            let above = (value - 2 * i128::from(range.low)).rem_euclid(torus);
            assert_eq!(above % 2, 0, "a whole result");
            range.low + (above / 2) as i64
        };
        last.into_iter()
            .zip(program.result_ranges())
            .map(whole)
            .collect()
    }

    /// The values of all steps, in halves of units modulo their tori.
    pub(crate) fn trace(
        &self,
        program: &Program,
        input: &[u16],
        mut error: impl FnMut(i64) -> i64,
    ) -> Vec<Vec<i128>> {
        let mut values: Vec<Vec<i128>> = Vec::new();
        for step in &self.steps {
            let next: Vec<i128> = match &step.kind {
                Kind::Input => {
                    let Node::Linear(linear) = &program.parts().nodes[step.node] else {
                        unreachable!("a sum")
                    };
                    let row = |row: &crate::program::Row| {
                        let terms = row.terms.iter();
                        let terms =
                            terms.map(|t| i128::from(t.weight) * i128::from(input[t.index]));
                        2 * (i128::from(row.bias) + terms.sum::<i128>())
                    };
                    linear.rows.iter().map(row).collect()
                }
                Kind::Sums(rows) => {
                    let rows = rows.iter().zip(&step.tori);
                    rows.map(|(row, &torus)| self.sum(row, torus, &values))
                        .collect()
                }
                Kind::Lookups(all, bias) => {
                    let mut sums: Vec<i128> = bias.iter().map(|&b| i128::from(b)).collect();
                    for looked in all {
                        let value = self.sum(&looked.input, looked.torus, &values);
                        for (to, said) in read(looked, value, &mut error) {
                            let scaled = i128::from(said) * i128::from(step.tori[to]);
                            assert_eq!(scaled % i128::from(looked.out), 0, "whole halves");
                            sums[to] += scaled / i128::from(looked.out);
                        }
                    }
                    sums
                }
            };
            let modulo = |(value, &torus): (i128, &u64)| value.rem_euclid(2 * i128::from(torus));
            values.push(next.into_iter().zip(&step.tori).map(modulo).collect());
        }
        values
    }

    /// In halves of units of `torus`.
    pub(crate) fn sum(&self, row: &Row, torus: u64, values: &[Vec<i128>]) -> i128 {
        let term = |&(Wire { step, at }, weight): &(Wire, i64)| {
            let its = self.steps[step].tori[at];
            assert_eq!(torus % its, 0, "as fine as what it adds up");
            i128::from(weight) * values[step][at] * i128::from(torus / its)
        };
        2 * i128::from(row.bias) + row.terms.iter().map(term).sum::<i128>()
    }
}

/// What every table says of a value in halves.
fn read(looked: &Looked, value: i128, error: &mut impl FnMut(i64) -> i64) -> Vec<(usize, i64)> {
    let (torus, boxes) = (2 * i128::from(looked.torus), i128::from(looked.boxes));
    assert_eq!(torus % boxes, 0, "boxes of whole units");
    let unit = torus / boxes;
    let value = value.rem_euclid(torus);
    let at = if let Some(tolerance) = looked.tolerance {
        // Noise stays below the tolerance less half a box; then it is read as the nearest box.
        let error = i128::from(error(tolerance as i64 - (unit / 4) as i64));
        (value + 2 * error + unit / 2).div_euclid(unit)
    } else {
        assert_eq!(value % unit, 0, "in the middle of a box");
        value / unit
    };
    let at = at.rem_euclid(boxes) as usize;
    let half = boxes as usize / 2;
    let say = |(to, table): &(usize, Vec<i64>)| {
        assert_eq!(table.len(), half);
        (
            *to,
            if at < half {
                table[at]
            } else {
                -table[at - half]
            },
        )
    };
    looked.tables.iter().map(say).collect()
}
