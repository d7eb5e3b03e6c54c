//! Deals a table's rows to three institutions, unevenly and not at random: each sees another kind of case.

use anyhow::{Context, Result};
use tacit_examples::Dataset;
use tacit_nn::random::Stream;

/// Shares of the rows, in percent.
const PERCENT: [usize; 3] = [50, 30, 20];

/// By what the institutions differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skew {
    /// The column by whose rank rows are dealt out.
    pub(super) column: &'static str,
    /// How much the rank counts against chance: 0 deals at random, 1 in the order of the column.
    pub(super) weight: f64,
}

/// The lines of each institution, in the order of its file. The same at every call.
pub(super) fn split(data: &Dataset, skew: Skew) -> Result<[Vec<&'static str>; 3]> {
    let position = data
        .header()
        .split(',')
        .position(|name| name == skew.column);
    let position = position.with_context(|| format!("there is no column {}", skew.column))?;
    let mut rows = Vec::new();
    for line in data.rows() {
        let cell = line.split(',').nth(position).unwrap_or_default();
        let value: f64 = cell
            .parse()
            .with_context(|| format!("{cell:?} is no number"))?;
        rows.push((value, line));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut chance = Stream::new(&[0; 32], "demo split");
    let last = rows.len().saturating_sub(1).max(1) as f64;
    let mut keyed: Vec<(f64, &str)> = (rows.iter().enumerate())
        .map(|(rank, &(_, line))| {
            let chance = (chance.symmetric() + 1.0) / 2.0;
            (
                skew.weight * rank as f64 / last + (1.0 - skew.weight) * chance,
                line,
            )
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lines = keyed.into_iter().map(|(_, line)| line);
    let count = |percent| rows.len() * percent / 100;
    let first = lines.by_ref().take(count(PERCENT[0])).collect();
    let second = lines.by_ref().take(count(PERCENT[1])).collect();
    Ok([first, second, lines.collect()])
}

#[cfg(test)]
mod tests {
    use tacit_examples::{BREAST_CANCER, DIGITS};

    use super::*;

    const RADIUS: Skew = Skew {
        column: "mean_radius",
        weight: 0.6,
    };

    fn mean_of_first_column(lines: &[&str]) -> f64 {
        let value = |line: &&str| line.split(',').next().unwrap().parse::<f64>().unwrap();
        lines.iter().map(value).sum::<f64>() / lines.len() as f64
    }

    #[test]
    fn every_row_goes_to_one_institution_and_always_the_same() {
        let parts = split(&BREAST_CANCER, RADIUS).unwrap();
        assert_eq!(parts.each_ref().map(Vec::len), [284, 170, 115]);
        let mut all = parts.concat();
        let mut rows: Vec<_> = BREAST_CANCER.rows().collect();
        all.sort_unstable();
        rows.sort_unstable();
        assert_eq!(all, rows);
        assert_eq!(split(&BREAST_CANCER, RADIUS).unwrap(), parts);
    }

    #[test]
    fn institutions_see_different_cases_but_not_disjoint_ones() {
        let parts = split(&BREAST_CANCER, RADIUS).unwrap();
        let [small, middle, large] = parts.each_ref().map(|lines| mean_of_first_column(lines));
        assert!(
            small < middle && middle < large && large - small > 4.0,
            "{small} {middle} {large}"
        );
        let random = split(
            &BREAST_CANCER,
            Skew {
                weight: 0.0,
                ..RADIUS
            },
        )
        .unwrap();
        let [a, b, c] = random.each_ref().map(|lines| mean_of_first_column(lines));
        assert!((a - b).abs() < 1.0 && (b - c).abs() < 1.0, "{a} {b} {c}");
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error() {
        assert!(split(&DIGITS, RADIUS).is_err());
    }
}
