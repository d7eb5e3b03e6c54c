//! The command line of a consortium: submit a job, watch it, fetch what it gave; measure; try everything out.
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | the commands and their arguments |
//! | [`home`] | a client's keys, its roster, the jobs it submitted |
//! | [`connection`] | the calls to the coordinator |
//! | [`jobs`] | `submit` and `jobs` |
//! | [`watch`] | `watch`: from events to bars |
//! | [`release`], [`fetch`] | from sealed shares to numbers, and to files |
//! | [`infer`](mod@infer), [`check`](mod@check) | `infer` and `check`: a model on private inputs, and where it departs from plaintext |
//! | `encrypted` | inference on ciphertexts, and the keys for it (feature `tfhe`) |
//! | [`local`], [`npy`] | all parties on this machine; arrays in files |
//! | [`train`](mod@train) | `train --local`: a job on this machine |
//! | [`demo`] | `demo`: a whole consortium on one machine |
//! | [`bench`](mod@bench) | `bench`: what gates cost |
//! | [`circuit`](mod@circuit) | `circuit`: a Boolean circuit on shares |
//! | [`process`] | children that end with this process |

pub mod ask;
pub mod bench;
pub mod check;
pub mod circuit;
pub mod cli;
pub mod connection;
pub mod demo;
#[cfg(feature = "tfhe")]
pub mod encrypted;
pub mod evidence;
pub mod fetch;
pub mod forecast;
pub mod home;
pub mod infer;
pub mod jobs;
pub mod local;
pub mod npy;
pub mod process;
pub mod protocols;
pub mod release;
pub mod text;
mod threads;
pub mod train;
mod usage;
pub mod watch;

#[cfg(test)]
mod fixture;
