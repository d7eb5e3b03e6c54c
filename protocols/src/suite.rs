//! What every engine on shares must pass, whatever its protocol and its number of parties.
//!
//! A protocol says in a [`World`] how its parties are started; [`crate::engine_suite`] makes a `#[test]` of every check here, in
//! the order in which one would make them pass: an input that opens, sums, products, bits, functions, whole graphs, and at last
//! an observer and a careless or malicious network. Expected values are those of [`tacit_nn::Ring`], the integer specification,
//! or of double precision.
//!
//! `docs/add-a-protocol.md` builds a protocol along this list.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod additive;
mod bits;
mod circuits;
mod functions;
mod graphs;
mod network;
mod numbers;
mod primitives;
pub mod random;
mod replicated;

use std::collections::BTreeSet;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::{MemNet, Transport};
use tacit_mpc::{Cost, PartyId};
use tacit_nn::{Engine, Result};

pub use additive::AdditiveParties;
pub use bits::*;
pub use circuits::*;
pub use functions::*;
pub use graphs::*;
pub use network::*;
pub use numbers::*;
pub use primitives::*;
pub use replicated::{MALICIOUS, REP3, ThreeParties};

/// Fractional bits of the suite.
pub const F: u32 = 18;

/// An engine between inputs and openings.
pub trait Shares: Engine {
    /// The index of this party among those that compute.
    fn me(&self) -> PartyId;

    /// How many parties compute.
    fn parties(&self) -> usize;

    /// P_owner shares a tensor, given there and `None` elsewhere.
    ///
    /// # Errors
    /// A missing tensor at the owner, or a failed link or peer.
    fn input(
        &mut self,
        owner: PartyId,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Self::Value>;

    /// Opens a value to all parties.
    ///
    /// # Errors
    /// A value that holds bits, or a failed link or peer.
    fn reveal(&mut self, x: &Self::Value) -> Result<ArrayD<f64>>;

    /// From now on truncations in these nodes of a graph give the floor.
    fn round_exactly(&mut self, nodes: BTreeSet<usize>);

    /// What the session has cost this party so far.
    fn cost(&self) -> Cost;
}

/// How the parties of a protocol are started.
pub trait World: Sync {
    /// What a computing party runs graphs on.
    type Engine: Shares;

    /// How many parties have links: those that compute and those that only help them.
    fn links(&self) -> usize;

    /// Whether one message may go to several parties, as a share does that is opened.
    fn broadcasts(&self) -> bool {
        false
    }

    /// How many of so many points a check of functions tries: fewer where each takes long for what is the same for all.
    fn points(&self, of: usize) -> usize {
        of
    }

    /// Runs `program` at every party that computes, on an engine with [`F`] fractional bits, and whatever helpers do at the
    /// others; what the computing parties returned, in their order.
    fn run<T: Send>(
        &self,
        nets: Vec<Arc<dyn Transport>>,
        program: impl Fn(&mut Self::Engine) -> Result<T> + Sync,
    ) -> Vec<Result<T>>;
}

/// Makes tests of all checks: `engine_suite!(MyWorld);`, with `boolean` behind it for an engine that runs circuits as well.
#[macro_export]
macro_rules! engine_suite {
    ($world:expr) => {
        $crate::engine_suite! {
            @tests $world;
            step_01_public_numbers_open_as_they_are
            step_02_inputs_open_to_what_their_owners_put_in
            step_03_sums_and_layouts_are_exact_and_send_nothing
            step_04_products_are_those_of_the_ring
            step_05_matrix_products_and_convolutions_are_those_of_the_ring
            step_06_a_rounding_is_never_off_by_more_than_a_unit
            step_07_signs_are_exact_at_every_edge
            step_08_bits_follow_their_truth_tables
            step_09_selections_and_relu_are_exact
            step_10_floors_and_exact_roundings_have_no_coin
            step_11_functions_are_right_over_their_ranges
            step_12_random_graphs_are_what_they_are_in_the_ring
            step_13_a_training_step_is_that_of_plaintext
            step_14_what_is_sent_looks_uniform_and_is_never_sent_twice
            step_15_a_lost_frame_ends_the_run_and_garbage_names_its_sender
        }
    };
    ($world:expr, boolean) => {
        $crate::engine_suite!($world);
        $crate::engine_suite! {
            @tests $world;
            step_16_circuits_are_those_in_the_clear
        }
    };
    (@tests $world:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::suite::$name(&$world);
            }
        )*
    };
}

/// Pseudo-random reals in [-1, 1).
#[must_use]
pub fn reals(shape: &[usize], seed: u64) -> ArrayD<f64> {
    let mut x = seed.wrapping_mul(2) | 1;
    ArrayD::from_shape_fn(IxDyn(shape), |_| {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f64 / f64::from(1u32 << 23) - 1.0
    })
}

/// A vector.
fn column(values: impl IntoIterator<Item = f64>) -> ArrayD<f64> {
    let values: Vec<f64> = values.into_iter().collect();
    ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).unwrap()
}

/// n numbers from lo to hi, rounded to units.
fn grid(lo: f64, hi: f64, n: usize) -> ArrayD<f64> {
    let step = (hi - lo) / (n - 1) as f64;
    column((0..n).map(|i| rounded(lo + step * i as f64)))
}

/// The nearest number with an encoding.
fn rounded(x: f64) -> f64 {
    (x / UNIT).round() * UNIT
}

/// The last place.
const UNIT: f64 = 1.0 / (1u64 << F) as f64;

/// Links in memory between all parties of a world.
fn in_memory(world: &impl World) -> Vec<Arc<dyn Transport>> {
    let nets = MemNet::mesh(world.links()).into_iter();
    nets.map(|net| Arc::new(net) as _).collect()
}

/// What all parties of a world open, the same at each: inputs in turn of all parties, and the program's values.
#[track_caller]
fn opened<W: World>(
    world: &W,
    inputs: &[ArrayD<f64>],
    program: impl Fn(
        &mut W::Engine,
        &[<W::Engine as Engine>::Value],
    ) -> Result<Vec<<W::Engine as Engine>::Value>>
    + Sync,
) -> Vec<ArrayD<f64>> {
    let results = world.run(in_memory(world), |e| {
        let shared = share(e, inputs)?;
        e.begin_run()?;
        let outputs = program(e, &shared)?;
        outputs
            .iter()
            .map(|y| e.reveal(y))
            .collect::<Result<Vec<_>>>()
    });
    let mut results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert!(!results.is_empty(), "nobody computed");
    let first = results.swap_remove(0);
    assert!(
        results.iter().all(|other| *other == first),
        "all parties open the same"
    );
    first
}

/// Inputs in turn of all parties.
fn share<E: Shares>(e: &mut E, inputs: &[ArrayD<f64>]) -> Result<Vec<E::Value>> {
    let (me, parties) = (e.me(), e.parties());
    let shares = inputs.iter().enumerate().map(|(k, x)| {
        let owner = k % parties;
        e.input(owner, x.shape(), (me == owner).then_some(x))
    });
    shares.collect()
}

/// Both tensors are alike up to so many units.
#[track_caller]
fn assert_close(got: &ArrayD<f64>, want: &ArrayD<f64>, units: f64) {
    assert_eq!(got.shape(), want.shape());
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        let off = (g - w).abs() / UNIT;
        assert!(
            off <= units,
            "entry {k}: {g} instead of {w}, {off} units off"
        );
    }
}
