//! Inference on ciphertexts: keys, questions to a server that sees nothing, and the same on this machine.
//!
//! | module | what it is for |
//! |---|---|
//! | [`keys`] | `keygen`: what decrypts, and what a server computes with |
//! | [`rows`] | from arrays in files to the integers of a program, and back |
//! | [`quantize`](mod@quantize) | `quantize` and `check --protocol tfhe`: from ONNX models to integer programs |
//! | [`infer`](mod@infer) | `infer --protocol tfhe` |
//! | [`bench`](mod@bench) | `bench --protocol tfhe` |
//! | [`local`] | client and server in this process |
//! | [`remote`] | a question over the network |

pub mod bench;
pub mod infer;
pub mod keys;
pub mod local;
pub mod parts;
pub mod quantize;
pub mod remote;
pub mod rows;
