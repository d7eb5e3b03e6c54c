//! Encrypted inference by TFHE: a client holds the key, a server the model; the server computes on ciphertexts and
//! learns neither input nor result. Results are those of an integer program, bit for bit.
//!
//! | module | what it is for |
//! |---|---|
//! | [`program`] | what is computed, as integers: the reference that ciphertexts are held to |
//! | [`Params`], [`noise`] | parameter sets, and how likely a program goes wrong on one |
//! | [`ClientKey`], [`EvaluationKey`], [`ServerKey`] | the keys: what decrypts, what travels, what computes |
//! | [`Client`], [`Request`], [`Response`] | a client's side: inputs encrypted, results decrypted |
//! | [`Model`], [`Run`], [`Memory`] | the server's side: a program run on ciphertexts, and what that takes |
//! | [`quantize`] | makes programs of ONNX models |
//! | [`train`] | makes programs that take few bootstraps, from rows in the clear |

mod bits;
mod bootstrap;
mod client;
mod error;
mod external;
mod forest;
mod keys;
mod keyswitch;
mod lookup;
mod lower;
mod memory;
pub mod noise;
mod packing;
mod params;
pub mod program;
pub mod quantize;
mod random;
mod request;
mod result;
mod ring;
mod rotation;
mod run;
mod scale;
mod server;
pub mod train;
mod weights;
mod wire;

pub use client::{Client, Interface};
pub use error::{Error, LoadError};
pub use keys::{ClientKey, EvaluationKey, ServerKey};
pub use memory::Memory;
pub use params::{Gadget, Params};
pub use request::Request;
pub use result::Response;
pub use run::{Part, Progress, Run};
pub use scale::ScaleError;
pub use server::Model;
pub use wire::KeyId;
