//! The nonlinear functions of rep3 on dense grids.

use tacit_protocols::suite::{self, REP3};

/// Points of a grid.
const POINTS: usize = 1 << 15;

#[test]
fn functions_of_one_variable() {
    suite::functions_of_one_variable(&REP3, POINTS);
}

#[test]
fn quotients() {
    suite::quotients(&REP3, POINTS);
}

#[test]
fn softmax_of_few_and_many_entries() {
    suite::softmax_of_few_and_many_entries(&REP3, POINTS);
}
