//! What can go wrong, in words that name the culprit.

use crate::noise::NoiseError;
use crate::scale::ScaleError;

/// Why a key, a request or a response was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes of something else, or of another version.
    #[error("this is not {wanted} of this version (it begins otherwise than \"{header}\")")]
    Header {
        /// What was expected,
        wanted: &'static str,
        /// and how such bytes begin.
        header: &'static str,
    },
    /// Fewer or more bytes than the message is long.
    #[error("{what} is cut off or too long: {found} bytes where {wanted} are right")]
    Length {
        /// Of what,
        what: &'static str,
        /// how many bytes there are,
        found: usize,
        /// and how many there should be.
        wanted: usize,
    },
    /// Its checksum is wrong.
    #[error("{what} is damaged: its checksum is wrong; send it again")]
    Damaged {
        /// What.
        what: &'static str,
    },
    /// It is whole, and nonsense.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What,
        what: &'static str,
        /// and in which way.
        why: &'static str,
    },
    /// It was made for another parameter set.
    #[error(
        "{what} is for the parameter set `{found}`; `{wanted}` is in use here: make a new key for that set"
    )]
    Params {
        /// What,
        what: &'static str,
        /// for which set,
        found: String,
        /// and which one is wanted.
        wanted: &'static str,
    },
    /// There is no such parameter set.
    #[error("{what} is for the parameter set `{found}`, which this version does not have")]
    UnknownParams {
        /// What,
        what: &'static str,
        /// and for which set.
        found: String,
    },
    /// It was made with another key.
    #[error("{what} belongs to key {found}, and this is key {wanted}")]
    Key {
        /// What,
        what: &'static str,
        /// to which key,
        found: String,
        /// and which one is at hand.
        wanted: String,
    },
    /// Lookups are computed with an evaluation key.
    #[error("the program looks values up, which takes an evaluation key: make a key that has one")]
    NoKey,
    /// An input of the wrong shape.
    #[error("the input has {found} values where the model takes {wanted}")]
    Inputs {
        /// How many values there are,
        found: usize,
        /// and how many the model takes.
        wanted: usize,
    },
    /// An input beyond the largest that a model takes.
    #[error("value {index} of the input is {value}, and the model takes 0 to {max}")]
    TooLarge {
        /// Which value,
        index: usize,
        /// what it is,
        value: u16,
        /// and the largest.
        max: u16,
    },
    /// The server was told to stop.
    #[error("cancelled after {done} of {all} lookups")]
    Cancelled {
        /// Lookups done,
        done: usize,
        /// and in all.
        all: usize,
    },
    /// Nobody wants the key any longer that was being expanded.
    #[error("the expansion of an evaluation key was stopped")]
    Interrupted,
    /// The device that multiplies polynomials failed.
    #[error("multiplying polynomials: {0}")]
    Device(String),
    /// The operating system gives no threads.
    #[error("the operating system gives no threads: {0}")]
    Threads(String),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(String),
}

/// Why a program cannot be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It would fail too often.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// Its values cannot all stand on the torus as they are needed.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// No parameter set looks a value up that takes so many values, in such tables.
    #[error(
        "node {node}: value {value} takes {width} values, and its tables tell more of them apart than lookups of the \
         parameter set `{params}` do: let tables change at fewer places (leave out more low bits, or let them be constant \
         outside a narrower window)"
    )]
    Wide {
        /// The node that looks it up,
        node: usize,
        /// the value,
        value: usize,
        /// how many values it takes,
        width: u64,
        /// and the parameter set.
        params: &'static str,
    },
    /// No rotation tells so many values apart.
    #[error(
        "node {node}: value {value} is looked up modulo {modulus}, and rotations of the parameter set `{params}` have \
         {positions} positions: take a smaller modulus, or larger polynomials"
    )]
    Modulus {
        /// The node that looks it up,
        node: usize,
        /// the value,
        value: usize,
        /// the modulus,
        modulus: u32,
        /// 2N,
        positions: u64,
        /// and the parameter set.
        params: &'static str,
    },
    /// Planning it would take too much memory.
    #[error(
        "node {node}: with it, {what}: split the program, or let fewer values go to fewer results"
    )]
    Large {
        /// The node with which it is too much,
        node: usize,
        /// and of what.
        what: &'static str,
    },
    /// Computing it would take too much memory.
    #[error(
        "it would take {} MiB of memory, and a program is given {}: let it compute fewer values at a time, or split it",
        needed.div_ceil(1 << 20), most >> 20
    )]
    Memory {
        /// How many bytes,
        needed: u64,
        /// and how many a program may take ([`Memory`](crate::Memory)).
        most: u64,
    },
    /// The device that is to multiply its polynomials failed.
    #[error("multiplying polynomials: {0}")]
    Device(String),
    /// Tables that change, and for which there is no plan: an error of the planning, told instead of computing wrongly.
    #[error(
        "node {node}: table {table}, which value {value} goes through, changes where no lookup of it was planned"
    )]
    Unplanned {
        /// The node,
        node: usize,
        /// the value,
        value: usize,
        /// and the table.
        table: usize,
    },
}

impl From<tacit_mpc::Error> for Error {
    fn from(error: tacit_mpc::Error) -> Self {
        Self::Device(error.to_string())
    }
}

impl From<tacit_mpc::Error> for LoadError {
    fn from(error: tacit_mpc::Error) -> Self {
        Self::Device(error.to_string())
    }
}
