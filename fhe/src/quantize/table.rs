//! What a table says of a sum: the function at the number that the sum stands for, or what the function was on the sample.

use tacit_nn::Error;

use super::column::Row;
use super::level::Levels;

/// How many rows of a sample the function itself counts for.
const PRIOR: f64 = 4.0;

/// A table over a row's domain. `seen` are sums of the sample, with the numbers that they stand for in the float model.
///
/// # Errors
/// What the function reports.
pub(super) fn of(
    row: &Row,
    levels: Levels,
    seen: impl Iterator<Item = (i64, f64)>,
    curve: impl Fn(&[f64]) -> Result<Vec<f64>, Error>,
) -> Result<Vec<i32>, Error> {
    let entries = ((row.high - row.low) >> row.shift) as usize + 1;
    let (slope, intercept) = row.line;
    let centre = |k: usize| {
        let first = row.low + ((k as i64) << row.shift);
        let last = (first + (1 << row.shift) - 1).min(row.high);
        slope * 0.5 * (first + last) as f64 + intercept
    };
    let centres: Vec<f64> = (0..entries).map(centre).collect();
    let (at, numbers): (Vec<usize>, Vec<f64>) = seen
        .map(|(sum, number)| (((sum - row.low) >> row.shift) as usize, number))
        .unzip();
    let mut sums: Vec<f64> = curve(&centres)?.iter().map(|y| PRIOR * y).collect();
    let mut counts = vec![PRIOR; entries];
    for (k, y) in at.into_iter().zip(curve(&numbers)?) {
        sums[k] += y;
        counts[k] += 1.0;
    }
    let says = sums.iter().zip(&counts).map(|(sum, count)| {
        // Far from the sample a function can be anything; rounding takes what is not a number as 0.
        i32::from(levels.round(sum / count))
    });
    Ok(says.collect())
}
