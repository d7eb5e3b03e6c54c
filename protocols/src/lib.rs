//! Secure computation protocols, one folder each. A file is named after its functionality.

mod local;
pub mod malicious;
pub mod rep3;
