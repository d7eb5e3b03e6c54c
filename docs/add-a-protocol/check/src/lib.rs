//! The protocol of docs/add-a-protocol.md after each of its steps, as its blocks make it of the skeleton.

#![allow(
    unused_variables,
    unused_imports,
    dead_code,
    clippy::todo,
    reason = "what is not written yet leaves things unused"
)]

/// The protocol of the last step: three parties on replicated shares, of which one may be curious (Araki, Furukawa, Lindell, Nof,
/// Ohara, CCS 2016).
pub use step_6::MyProtocol as Finished;

include!(concat!(env!("OUT_DIR"), "/steps.rs"));
