//! Keys: the client's, which decrypts; the evaluation key as it travels; the server's, expanded for computing.

mod client;
mod evaluation;
mod server;

pub use client::ClientKey;
pub use evaluation::EvaluationKey;
pub use server::ServerKey;
