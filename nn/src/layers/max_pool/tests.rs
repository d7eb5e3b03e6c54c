use super::*;
use crate::layers::pool::tests::{seen, windows};
use crate::layers::testing::{assert_close, eval, numbers};

#[test]
fn the_maximum_is_that_of_what_each_window_sees() {
    // All negative: a zero of the padding would win.
    let x = numbers(&[2, 3, 8, 7], 1).mapv(|v| v - 2.0);
    for window in windows() {
        let y = eval(std::slice::from_ref(&x), |g, e| {
            Ok(vec![max_pool(g, e[0], &window)?])
        });
        let want = seen(&window, &x, |v| v.iter().fold(f64::MIN, |m, v| m.max(v.0)));
        assert_close(&y[0], &want, 0.0);
    }
}

#[test]
fn of_equal_maxima_the_first_is_pointed_at() {
    // Few values, so that many are equal.
    let x = numbers(&[2, 2, 8, 7], 3).mapv(|v| (v * 2.0).floor());
    let plane = |at: usize| (at / 7, at % 7);
    for window in windows() {
        let y = eval(std::slice::from_ref(&x), |g, e| {
            let (value, row) = max_pool_with_indices(g, e[0], &window, false)?;
            let (_, column) = max_pool_with_indices(g, e[0], &window, true)?;
            Ok(vec![value, row, column])
        });
        let first = |v: &[(f64, usize)]| {
            let max = v.iter().fold(f64::MIN, |m, v| m.max(v.0));
            v.iter().find(|v| v.0 == max).unwrap().1
        };
        let starts = |y: &ArrayD<f64>| {
            ArrayD::from_shape_fn(y.raw_dim(), |at| ((at[0] * 2 + at[1]) * 56) as f64)
        };
        let want = seen(&window, &x, |v| v.iter().fold(f64::MIN, |m, v| m.max(v.0)));
        assert_close(&y[0], &want, 0.0);
        let want = seen(&window, &x, |v| first(v) as f64);
        assert_close(&(&y[1] - &starts(&y[1])), &want, 0.0);
        let want = seen(&window, &x, |v| {
            let (i, j) = plane(first(v));
            (j * 8 + i) as f64
        });
        assert_close(&(&y[2] - &starts(&y[2])), &want, 0.0);
    }
}

#[test]
fn overlapping_windows_share_comparisons() {
    // Windows of four at stride one: two comparisons each instead of three, and one at the border.
    let starts: Vec<usize> = (0..29).collect();
    assert_eq!(shared_cost(&starts, 4, 1), 29 + 31);
    // Windows apart from one another share nothing.
    let starts: Vec<usize> = (0..8).map(|o| 4 * o).collect();
    assert_eq!(shared_cost(&starts, 4, 1), 3 * 8);
}
