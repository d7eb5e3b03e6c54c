//! The engine that runs a graph on replicated shares.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::keys::Binding;
use tacit_mpc::{Bilinear, Purpose, R64, Session, Strand};
use tacit_nn::{Error, Result, fixed};

use crate::release::Release;

use super::bilinear::product;
use super::choice::Choice;
use super::contribute::{Received, agreed};
use super::plan::Depth;
use super::program::Compiler;
use super::share::{Rep3, input, open};
use super::value::Value;

/// Runs graphs on shares of three parties: semi-honest, honest majority.
pub struct Rep3Engine {
    pub(super) session: Session,
    pub(super) fraction_bits: u32,
    pub(super) compiler: Compiler,
    /// Nodes whose roundings are to be exact, and whether the present one is.
    pub(super) exact_nodes: BTreeSet<usize>,
    pub(super) exact: bool,
}

impl std::fmt::Debug for Rep3Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rep3Engine")
            .field("session", &self.session)
            .field("fraction_bits", &self.fraction_bits)
            .finish_non_exhaustive()
    }
}

pub(super) fn failed(e: tacit_mpc::Error) -> Error {
    Error::Protocol(Box::new(e))
}

impl Rep3Engine {
    /// An engine over a session, with numbers of `fraction_bits` fractional bits (8 to 22), comparing in five rounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn new(session: Session, fraction_bits: u32) -> Result<Self> {
        Self::with_depth(session, fraction_bits, Depth::Three)
    }

    /// The same with a choice between fewer bytes and fewer rounds in comparisons: a [`Depth`] for all of them, or the
    /// profile of the links, on which all parties agree, from which each takes the fastest for its bits and its tensor.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn with_depth(
        session: Session,
        fraction_bits: u32,
        depth: impl Into<Choice>,
    ) -> Result<Self> {
        if !(8..=22).contains(&fraction_bits) {
            return Err(Error::Invalid(format!(
                "{fraction_bits} fractional bits: choose 8 to 22"
            )));
        }
        Ok(Self {
            session,
            fraction_bits,
            compiler: Compiler::new(fraction_bits, depth.into()),
            exact_nodes: BTreeSet::new(),
            exact: false,
        })
    }

    /// From now on every truncation in these nodes gives the floor, without a coin (protocol T3): what is opened repeatedly
    /// from the same secrets, as where the same query is served again, would tell the bits that were dropped, opening by
    /// opening (requirement R9). [`tacit_nn::Graph::last_roundings`] gives the nodes of a graph that this is about. A product
    /// takes 30 bytes and 3 rounds more (f = 18). Tables and exponentials round their products exactly then; what these
    /// products are still depends on the sharing by a small part of a unit.
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
    }

    /// Renews the keys of the session ([`Session::renew_keys`]), between two runs. Shares stay as they are.
    ///
    /// # Errors
    /// A failed link or peer.
    pub fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        self.session.renew_keys(binding).map_err(failed)
    }

    /// The session it runs in.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// P_owner shares a tensor of reals, given there and `None` elsewhere. 8 bytes and 1 round a value.
    ///
    /// # Errors
    /// A number that has no encoding, a missing tensor at the owner, or a failed link or peer.
    pub fn input(
        &mut self,
        owner: usize,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Value> {
        let words = x
            .map(|x| fixed::encode_tensor(x, self.fraction_bits))
            .transpose()?;
        self.session.begin_run().map_err(failed)?;
        Ok(Value::Numbers(
            input(&self.session, owner, shape, words.as_ref()).map_err(failed)?,
        ))
    }

    /// The sharings of tensors that contributors sent ([`contribute`](super::contribute)), after the parties have compared what
    /// each two of them hold.
    ///
    /// # Errors
    /// Two parties hold different copies, or a link or peer failed.
    pub fn adopt(&mut self, received: &[Received]) -> Result<Vec<Value>> {
        let shares = agreed(&self.session, received).map_err(failed)?;
        Ok(shares.into_iter().map(Value::Numbers).collect())
    }

    /// A public tensor as a sharing that is treated like any other. No communication.
    ///
    /// # Errors
    /// A number that has no encoding.
    pub fn trivial(&self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(Value::Numbers(Rep3::public(self.session.me(), &words)))
    }

    /// Opens a value to all three parties. 24 bytes and 1 round a value.
    ///
    /// # Errors
    /// The value holds bits, or a link or peer failed.
    pub fn reveal(&mut self, x: &Value) -> Result<ArrayD<f64>> {
        if let Value::Public(words) = x {
            return Ok(fixed::decode_tensor(words, self.fraction_bits));
        }
        self.session.begin_run().map_err(failed)?;
        let words = open(&self.session, x.numbers()?).map_err(failed)?;
        Ok(fixed::decode_tensor(&words, self.fraction_bits))
    }

    /// f(x, y) without rounding, as words: 24 bytes and 1 round a value of the result.
    ///
    /// # Errors
    /// The shapes do not fit, or a link or peer failed.
    pub fn product(&mut self, f: Bilinear, x: &Value, y: &Value) -> Result<Value> {
        Ok(Value::Numbers(
            product(&self.session, f, x.numbers()?, y.numbers()?).map_err(failed)?,
        ))
    }

    /// This party's words x_i + F(k_i) - F(k_{i+1}) of all values, flattened in order: what leaves for a recipient. The three
    /// parties' words add up to the values in two's complement fixed point. Re-randomised, because a recipient sees all three
    /// words and truncation on an existing sharing is not fresh (requirement R15). Sends nothing.
    ///
    /// # Errors
    /// A value holds bits, or the addresses are used up.
    pub fn release(&mut self, values: &[&Value]) -> Result<Release> {
        let me = self.session.me();
        self.session.begin_run().map_err(failed)?;
        let mut words: Vec<R64> = Vec::new();
        for v in values {
            words.extend(v.shared(me)?.a.iter());
        }
        let masks = self
            .session
            .fan_out(words.len(), async |strand: Strand<'_>| {
                release_masks(&strand)
            });
        let masks = masks.map_err(failed)?.into_iter().flat_map(|(_, m)| m);
        let own = words.into_iter().zip(masks).map(|(w, m)| (w + m).0);
        Ok(Release {
            own: own.collect(),
            copies: None,
        })
    }
}

/// F(k_i) - F(k_{i+1}) for each element of a chunk.
pub(crate) fn release_masks(strand: &Strand<'_>) -> tacit_mpc::Result<Vec<R64>> {
    let (label, n, me) = (
        strand.next_gate()?,
        strand.chunk().len(),
        strand.session().me(),
    );
    let own = strand.draw(me, label, Purpose::Release, n)?;
    let next = strand.draw(me + 1, label, Purpose::Release, n)?;
    Ok(own.into_iter().zip(next).map(|(f, g)| f - g).collect())
}
