//! The engine that runs a graph on whatever shares its protocol makes.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::keys::Binding;
use tacit_mpc::ring::row_major;
use tacit_mpc::{Chunk, R64, Session, Strand, Tensor};
use tacit_nn::{Error, Result, fixed};

use super::circuit::Circuit;
use super::parts::{part, share_chunks, standard};
use super::primitives::Primitives;
use super::private::Private;
use super::share::Shared;
use super::truncate::Rounding;
use super::value::{Kind, Value, shape};
use crate::compiled::Compiler;
use crate::local::input_words;

/// Runs graphs on the shares of a protocol, semi-honest: against whomever its [`Primitives`] are secure.
///
/// There is no release to a recipient who does not compute: results are opened to all parties ([`Self::reveal`]).
pub struct DerivedEngine<P> {
    pub(super) protocol: P,
    pub(super) session: Session,
    pub(super) fraction_bits: u32,
    pub(super) compiler: Compiler,
    pub(super) private: Private,
    /// [`Primitives::one`].
    pub(super) one: Vec<bool>,
    /// Nodes whose roundings are to be exact, and what the present one's are.
    exact_nodes: BTreeSet<usize>,
    pub(super) rounding: Rounding,
}

impl<P> std::fmt::Debug for DerivedEngine<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DerivedEngine")
            .field("session", &self.session)
            .field("fraction_bits", &self.fraction_bits)
            .finish_non_exhaustive()
    }
}

pub(super) fn failed(e: tacit_mpc::Error) -> Error {
    Error::Protocol(Box::new(e))
}

impl<P: Primitives> DerivedEngine<P> {
    /// An engine over a session, with numbers of `fraction_bits` fractional bits (8 to 22).
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn new(protocol: P, session: Session, fraction_bits: u32) -> Result<Self> {
        if !(8..=22).contains(&fraction_bits) {
            return Err(Error::Invalid(format!(
                "{fraction_bits} fractional bits: choose 8 to 22"
            )));
        }
        Ok(Self {
            one: protocol.one(&session),
            protocol,
            session,
            fraction_bits,
            compiler: Compiler::new(fraction_bits),
            private: Private::new(),
            exact_nodes: BTreeSet::new(),
            rounding: Rounding::Masked,
        })
    }

    /// From now on every truncation in these nodes gives the floor, without a coin: what is opened repeatedly from the same
    /// secrets would tell the bits that were dropped, opening by opening. [`tacit_nn::Graph::last_roundings`] gives the nodes of
    /// a graph that this is about. A comparison of as many bits as are dropped more for each rounding, and a conversion.
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
    }

    /// The session it runs in.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The protocol whose primitives it runs on.
    #[must_use]
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Renews the keys of the session ([`Session::renew_keys`]), between two runs. Shares stay as they are.
    ///
    /// # Errors
    /// A failed link or peer.
    pub fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        self.session.renew_keys(binding).map_err(failed)
    }

    /// P_owner shares a tensor of reals, given there and `None` elsewhere, by [`Primitives::input_words`].
    ///
    /// # Errors
    /// A number that has no encoding, a missing tensor at the owner, an owner that is no party, or a failed link or peer.
    pub fn input(
        &mut self,
        owner: usize,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Value> {
        self.check_owner(owner)?;
        let mine = self.session.me() == owner;
        let words = input_words(mine, shape, x, self.fraction_bits)?;
        self.session.begin_run().map_err(failed)?;
        let words = words.as_ref().map(row_major);
        let (protocol, session) = (&self.protocol, &self.session);
        let gate = async |strand: Strand<'_>| {
            let Chunk { start, end, .. } = strand.chunk();
            let mine = words.as_ref().map(|w| &w[start..end]);
            let n = end - start;
            let mut shares = protocol.input_words(&strand, &[owner], n, mine).await?;
            Ok(shares.swap_remove(0))
        };
        let x = share_chunks(session, shape, self.one.len(), gate).map_err(failed)?;
        Ok(Value::numbers(x))
    }

    /// A public tensor as a sharing that is treated like any other. No communication.
    ///
    /// # Errors
    /// A number that has no encoding.
    pub fn trivial(&self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        Ok(Value::numbers(super::value::public(&self.one, &words)))
    }

    /// Opens a value to all parties, by [`Primitives::open_words`].
    ///
    /// # Errors
    /// The value holds bits, or a link or peer failed.
    pub fn reveal(&mut self, x: &Value) -> Result<ArrayD<f64>> {
        if let Kind::Public(words) = &x.0 {
            return Ok(fixed::decode_tensor(words, self.fraction_bits));
        }
        let x = standard(&x.shared(&self.one)?);
        self.session.begin_run().map_err(failed)?;
        let mut opened = vec![R64::default(); shape(&x).iter().product()];
        let open = async |strand: Strand<'_>| {
            let words = part(&x, strand.chunk());
            self.protocol.open_words(&strand, &words).await
        };
        self.session
            .for_each_chunk(opened.len(), open, |chunk, words| {
                opened[chunk.start..chunk.end].copy_from_slice(&words);
                Ok(())
            })
            .map_err(failed)?;
        let words = ArrayD::from_shape_vec(shape(&x), opened);
        let words = words.map_err(|e| Error::Invalid(e.to_string()))?;
        Ok(fixed::decode_tensor(&words, self.fraction_bits))
    }

    /// Begins a node: its roundings and its place in the session.
    pub(super) fn enter(&mut self, node: usize) {
        self.rounding = Rounding::of(self.exact_nodes.contains(&node));
        self.session
            .begin_node(u32::try_from(node).unwrap_or(u32::MAX));
    }

    /// Runs `gate` for every chunk of `n` elements and gives each result to `sink`, in any order.
    pub(super) fn for_each_chunk<'s, T>(
        &'s self,
        n: usize,
        gate: impl AsyncFn(&Circuit<'s, P>) -> tacit_mpc::Result<T>,
        sink: impl FnMut(Chunk, T) -> tacit_mpc::Result<()>,
    ) -> Result<()> {
        let gate = async |strand: Strand<'s>| gate(&self.circuit(strand)).await;
        self.session.for_each_chunk(n, gate, sink).map_err(failed)
    }

    pub(super) fn circuit<'s>(&'s self, strand: Strand<'s>) -> Circuit<'s, P> {
        Circuit {
            strand,
            protocol: &self.protocol,
            private: &self.private,
            one: &self.one,
        }
    }

    /// Runs `gate` for every chunk of a tensor of this shape and puts together the words that it gives.
    pub(super) fn share_chunks<'s>(
        &'s self,
        shape: &[usize],
        gate: impl AsyncFn(&Circuit<'s, P>) -> tacit_mpc::Result<super::Words>,
    ) -> Result<Shared<Tensor>> {
        let gate = async |strand: Strand<'s>| gate(&self.circuit(strand)).await;
        share_chunks(&self.session, shape, self.one.len(), gate).map_err(failed)
    }
}
