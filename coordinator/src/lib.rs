//! The coordinator: takes jobs, asks parties, says when to start, and keeps what they sealed for the recipient.
//!
//! It is trusted with nothing but availability: it never sees a share in clear, and parties check every job by
//! themselves. A call travels through the modules like this:
//!
//! ```text
//! listen ─ TLS ─→ service ─┬─ attend ─→ handle ─→ scheduler ─┬─→ board ─→ open_job ─→ blame
//!                          └─ watch ←── events ──────────────┴─→ store (sqlite)
//! ```
//!
//! `board` and below are plain state machines without clock, network or store; `scheduler` is the only task that changes
//! anything, and it records each change before acting on it.

pub mod cli;
pub mod config;
pub mod setup;

mod attend;
mod blame;
mod board;
mod change;
mod handle;
mod open_job;
mod scheduler;
mod server;
mod service;
mod sqlite;
mod store;
mod text;
mod watch;

pub use config::{Config, Deadlines};
pub use server::{ServeError, Server, serve};
pub use store::StoreError;
