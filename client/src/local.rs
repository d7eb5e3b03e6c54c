//! Runs a graph on this machine: in plaintext, in the ring, or by parties as threads of this process.

pub(crate) mod additive;
mod comparison;
mod feeds;
pub(crate) mod meeting;
mod model;
mod parties;

use anyhow::{Result, bail};
use clap::ValueEnum;
use ndarray::ArrayD;
use tacit_nn::program::Instr;
use tacit_nn::{Error, Graph, graph::Op};

pub use comparison::{Comparison, Settings};
#[cfg(feature = "tfhe")]
pub(crate) use model::parsed;
pub(crate) use model::prepare_shapes;
pub use model::{Known, Prepared, Work, finished};
pub use parties::{Given, Run, Watch, run};

/// How a graph is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Single precision in plaintext, without any protection
    Plain,
    /// The fixed-point arithmetic of the protocols in plaintext, refusing what overflows
    Ring,
    /// Shares of three parties, of which at most one is curious
    Rep3,
    /// The same, of which at most one may cheat: nothing is opened before it is proved
    Rep3Malicious,
    /// Additive shares of two parties or more, of which all but one may be curious; correlations by oblivious transfer
    Additive,
    /// The same with a dealer of correlations besides, who computes nothing and colludes with nobody
    AdditiveDealer,
    /// Ciphertexts on one server, which sees neither inputs nor outputs
    Tfhe,
}

impl Protocol {
    /// Refuses what is a word of the command line already, but not there yet.
    ///
    /// # Errors
    /// Says what to choose instead.
    pub fn available(self) -> Result<()> {
        match self {
            Self::Plain
            | Self::Ring
            | Self::Rep3
            | Self::Rep3Malicious
            | Self::Additive
            | Self::AdditiveDealer => Ok(()),
            Self::Tfhe if cfg!(feature = "tfhe") => bail!(
                "protocol tfhe computes on ciphertexts, by `tacit infer` and `tacit check`; choose --protocol rep3 here, which runs \
                 ONNX models on three parties"
            ),
            Self::Tfhe => bail!("protocol tfhe: this program was built without the feature `tfhe`"),
        }
    }
}

impl Protocol {
    /// Whether it computes on additive shares of any number of parties.
    #[must_use]
    pub fn is_additive(self) -> bool {
        matches!(self, Self::Additive | Self::AdditiveDealer)
    }

    /// How many parties compute: what was asked for, or as many as are usual.
    ///
    /// # Errors
    /// The protocol is not for so many.
    pub fn parties(self, asked: Option<usize>) -> Result<usize> {
        match (self, asked) {
            (Self::Additive | Self::AdditiveDealer, None) => Ok(2),
            (Self::Additive | Self::AdditiveDealer, Some(n)) if (2..=MOST).contains(&n) => Ok(n),
            (Self::Additive | Self::AdditiveDealer, Some(n)) => {
                bail!("{n} parties: --protocol {self} takes --parties from 2 to {MOST}")
            }
            (_, None | Some(3)) => Ok(3),
            (_, Some(n)) => bail!(
                "{n} parties: --protocol {self} is not for them; leave --parties out, or choose --protocol additive or additive-dealer"
            ),
        }
    }
}

/// Parties as threads of one process at most.
const MOST: usize = 16;

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |v| v.get_name()))
    }
}

/// What a node of a graph was made for, or its number and operation where nobody said.
#[must_use]
pub fn place(graph: &Graph, node: usize) -> String {
    match graph.origin(node) {
        "" => {
            let op = graph.op(node).map(ToString::to_string).unwrap_or_default();
            format!("node {node} ({op})")
        }
        origin => origin.to_owned(),
    }
}

/// Whether a port holds bits, which engines represent differently.
#[must_use]
pub fn holds_bits(graph: &Graph, node: usize, port: usize) -> bool {
    let Some(Op::Map(f)) = graph.op(node) else {
        return false;
    };
    let program = f.program();
    let register = program.outputs.get(port).and_then(|&r| program.code.get(r));
    matches!(
        register,
        Some(
            Instr::Negative(..)
                | Instr::Zero(_)
                | Instr::And(..)
                | Instr::Xor(..)
                | Instr::Not(_)
                | Instr::InputBit(_)
        )
    )
}

/// Why a graph did not run to its end.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {error}{}", advice(error))]
pub struct Failed {
    /// What it was about: a node of the model, an input.
    pub place: String,
    /// The node of the graph, where it is about one.
    pub node: Option<usize>,
    /// The engine's error.
    pub error: Error,
}

/// What a user can do about an error.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Range { .. } => "; scale the inputs or the weights, or choose other --fraction-bits",
        _ => "",
    }
}

/// The largest distance between entries of two arrays of one shape; infinite where either is not a number.
#[must_use]
pub fn distance(x: &ArrayD<f64>, y: &ArrayD<f64>) -> f64 {
    let each = x.iter().zip(y).map(|(x, y)| match (x - y).abs() {
        _ if x == y => 0.0, // equal infinities
        d if d.is_nan() => f64::INFINITY,
        d => d,
    });
    each.fold(0.0, f64::max)
}
