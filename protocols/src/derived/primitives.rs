//! What a protocol brings.

use tacit_mpc::{Bilinear, PartyId, R64, Result, Session, Strand, Tensor};

use super::circuit::Circuit;
use super::correlation::{Correlated, Correlation};
use super::generate::generate;
use super::share::{Bits, Shared, Words};

/// coefficient·f(x, y): a term of a sum of products of shared tensors.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// The map.
    pub f: Bilinear,
    /// A factor that everybody knows.
    pub coefficient: R64,
    /// The first operand.
    pub x: &'a Shared<Tensor>,
    /// The second operand.
    pub y: &'a Shared<Tensor>,
}

/// A secret sharing over Z_2^64 and over GF(2) that is linear, with products on both: what a semi-honest engine is made of.
///
/// One party runs each function for one chunk of a tensor, as straight-line code that all parties run alike ([`Strand`]); the
/// chunk has n = `strand.chunk().len()` elements. A function takes words of any number that is the same at all parties, and
/// bits as whole planes of n bits. What is sent must be independent of what is shared, given what the adversary holds: each
/// function states its message as a formula, and the paper. It awaits messages in the order of their gates, and sends nothing
/// under a gate when it has awaited something of a later one ([`Strand::next_gate`]).
#[expect(
    async_fn_in_trait,
    reason = "a party runs all strands on one thread, so that its futures need not be Send"
)]
pub trait Primitives: Sized {
    /// A short name, for reports and errors.
    fn name(&self) -> &'static str;

    /// How many parties compute: the first of the session. Others may help, by dealing for instance.
    fn parties(&self, session: &Session) -> usize {
        session.parties()
    }

    /// Of each component that this party holds of any sharing, whether a number that everybody knows stands in it: the
    /// sharing of a public 1. Its length is the number of components; over GF(2) it is the same.
    fn one(&self, session: &Session) -> Vec<bool>;

    /// Each of `owners` shares `n` words of its own, all at once, given as `mine` at an owner; one sharing for each owner, in
    /// their order. Whoever waits sends first what it has to send.
    ///
    /// # Errors
    /// A link or peer failed.
    async fn input_words(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        n: usize,
        mine: Option<&[R64]>,
    ) -> Result<Vec<Words>>;

    /// The same for `planes` planes of bits.
    ///
    /// # Errors
    /// A link or peer failed.
    async fn input_bits(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        planes: usize,
        mine: Option<&[u64]>,
    ) -> Result<Vec<Bits>>;

    /// Opens words to all parties.
    ///
    /// # Errors
    /// A link or peer failed.
    async fn open_words(&self, strand: &Strand<'_>, x: &Words) -> Result<Vec<R64>>;

    /// Opens `planes` planes to all parties.
    ///
    /// # Errors
    /// A link or peer failed.
    async fn open_bits(&self, strand: &Strand<'_>, planes: usize, x: &Bits) -> Result<Vec<u64>>;

    /// Σ x·y, elementwise, over at least one term, all of one length.
    ///
    /// # Errors
    /// A link or peer failed.
    async fn product(&self, strand: &Strand<'_>, terms: &[(Words, Words)]) -> Result<Words>;

    /// x ∧ y on `planes` planes.
    ///
    /// # Errors
    /// A link or peer failed.
    async fn and(&self, strand: &Strand<'_>, planes: usize, x: &Bits, y: &Bits) -> Result<Bits>;

    /// Σ coefficient·f(x, y) over at least one term, all of whose results have the given shape, in passes of its own.
    /// [`share_chunks`](super::share_chunks) runs one and puts the chunks together.
    ///
    /// # Errors
    /// The operands do not fit, or a link or peer failed.
    fn bilinear(
        &self,
        session: &Session,
        shape: &[usize],
        terms: &[Term<'_>],
    ) -> Result<Shared<Tensor>>;

    /// Correlated random values of a kind, for the elements of a chunk, used once. As they stand here all parties make them
    /// from the other functions ([`generate`]); a protocol that has them cheaper deals [`Correlation::deal`].
    ///
    /// # Errors
    /// No randomness, or a link or peer failed.
    async fn correlated(&self, c: &Circuit<'_, Self>, what: &Correlation) -> Result<Correlated> {
        generate(c, what).await
    }
}
