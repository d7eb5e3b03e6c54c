//! Secure computation protocols, one folder each. A file is named after its functionality.

pub mod additive;
pub mod circuits;
mod compiled;
pub mod copies;
pub mod cost;
pub mod derived;
mod live;
mod local;
pub mod malicious;
pub mod release;
pub mod rep3;
mod replicated;
#[cfg(feature = "suite")]
pub mod suite;
pub mod timeline;
mod trees;

pub use circuits::BooleanEngine;
pub use release::Release;
pub use replicated::Replicated;
