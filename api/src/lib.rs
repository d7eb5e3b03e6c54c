//! The words that party, coordinator and client exchange, and the rules they check by themselves.
//!
//! | module | what it is for |
//! |---|---|
//! | [`proto`] | the gRPC messages and services of the control plane |
//! | [`job`] | the job file: what is trained, on whose rows, for whom |
//! | [`sign`] | who submitted a job, and its identifier |
//! | [`policy`] | what a party agrees to take part in |
//! | [`identity`] | a member's private keys and its request to be admitted |
//! | [`authority`] | the consortium's certificate authority |
//! | [`consortium`] | founding a consortium and admitting members |
//! | [`member`] | one member of the consortium |
//! | [`roster`] | who belongs to the consortium, and how they are recognised |
//! | [`refusal`] | what a client can do about a refusal of a service |
//! | [`seal`] | shares that the recipient alone can read |
//! | [`secret_file`] | files that hold private keys |
//! | [`statement`] | what a party says once in a session, signed |
//! | [`misbehaviour`] | certificates that convict a party towards everybody |
//! | [`tls`], [`listen`] | mutually authenticated connections between members, and accepting them |

pub mod authority;
pub mod certificate;
pub mod chain;
pub mod consortium;
pub mod identity;
pub mod job;
pub mod listen;
pub mod member;
pub mod misbehaviour;
pub mod policy;
pub mod refusal;
pub mod roster;
pub mod seal;
pub mod secret_file;
pub mod sign;
pub mod statement;
pub mod stop;
pub mod tls;

mod job_check;
mod name;
mod transcript;

/// The generated messages and services of the files of `proto`, where each is explained.
#[allow(missing_docs, clippy::use_self)]
pub mod proto {
    tonic::include_proto!("tacit.v1");
}

/// The version of the control plane that [`proto::Hello`] announces; both ends must speak the same.
pub const PROTOCOL_VERSION: u32 = 1;

/// The largest message of the control plane in bytes, for both directions of every connection: servers and
/// clients raise tonic's own limit to it. A release
/// holds three sealed shares of 8 bytes a parameter, so this bounds a model to about 2.7 million parameters.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
