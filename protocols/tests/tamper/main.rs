//! The tamper sweep: one party does to one of its messages, or to one of its draws, what it should not, at every place of a run;
//! no honest party ever gives out a wrong value, none hangs, and whoever is suspected includes the cheater.
//!
//! A sample runs by default. All of it, with its counts:
//! `cargo test --release -p tacit-protocols --test tamper -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod attack;
mod graphs;
mod sweep;

use attack::Attack;
use graphs::{Case, lenet, training_step, transformer};
use sweep::{Sweep, draws, messages};

/// So many places of each kind are tried unless all are.
const SAMPLE: usize = 12;

fn sampled(case: &Case) {
    for attack in Attack::ALL {
        messages(case, attack, Sweep::Sample(SAMPLE));
    }
    draws(case, Sweep::Sample(SAMPLE));
}

#[test]
fn a_lenet_gives_no_wrong_value() {
    sampled(&lenet());
}

#[test]
fn a_transformer_gives_no_wrong_value() {
    sampled(&transformer());
}

#[test]
fn a_training_step_gives_no_wrong_value() {
    sampled(&training_step());
}

/// What is withheld takes a deadline in each run, so it has tests of its own.
fn every_message(case: &Case, withheld: bool) {
    for attack in Attack::ALL {
        if attack.withholds() == withheld {
            messages(case, attack, Sweep::All);
        }
    }
}

#[test]
#[ignore = "some minutes"]
fn every_message_of_a_lenet_altered() {
    every_message(&lenet(), false);
}

#[test]
#[ignore = "some minutes"]
fn every_message_of_a_transformer_altered() {
    every_message(&transformer(), false);
}

#[test]
#[ignore = "some minutes"]
fn every_message_of_a_training_step_altered() {
    every_message(&training_step(), false);
}

#[test]
#[ignore = "half an hour"]
fn every_message_of_a_lenet_withheld() {
    every_message(&lenet(), true);
}

#[test]
#[ignore = "half an hour"]
fn every_message_of_a_transformer_withheld() {
    every_message(&transformer(), true);
}

#[test]
#[ignore = "half an hour"]
fn every_message_of_a_training_step_withheld() {
    every_message(&training_step(), true);
}

#[test]
#[ignore = "some minutes"]
fn every_draw_of_three_graphs() {
    for case in [lenet(), transformer(), training_step()] {
        draws(&case, Sweep::All);
    }
}
