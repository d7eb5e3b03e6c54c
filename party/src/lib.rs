//! An institution's party: its identity, its data, its policy, and the sessions it takes part in.

pub mod data;
pub mod net;
