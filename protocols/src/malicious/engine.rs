//! The engine that runs a graph on replicated shares of which one holder may cheat.

use std::collections::BTreeSet;
use std::num::Wrapping;
use std::rc::Rc;

use ndarray::ArrayD;
use tacit_mpc::keys::Binding;
use tacit_mpc::{Purpose, R64, Session, Tensor};
use tacit_nn::{Error, Result, fixed};

use super::bilinear::Rounding;
use super::circuit::{Circuit, for_each_chunk};
use super::failure::Failures;
use super::input::input;
use super::log::Log;
use super::open::check;
use super::pair::{Pair, Words};
use super::product::{Support, product};
use super::proof::verify;
use super::proved::Proved;
use super::settings::Settings;
use super::shared::{Shared, share_chunks};
use super::value::{EngineId, Kind, Value, failed};
use crate::compiled::Compiler;
use crate::local::input_words;
use crate::release::{Copies, Release, SALT};
use crate::rep3::Rep3;
use crate::rep3::contribute::{Received, agreed};

/// Runs graphs on shares of three parties: one of them may be malicious, and no honest one gives out a wrong value.
///
/// Whatever is sent is logged, and [`Self::prove`] is the one way from a [`Value`] to what it holds.
pub struct MaliciousEngine {
    pub(super) session: Session,
    pub(super) log: Log,
    pub(super) fraction_bits: u32,
    pub(super) compiler: Compiler,
    /// What its values belong to.
    pub(super) id: EngineId,
    verify_every: usize,
    /// Whether all parties were found to have these settings.
    pub(super) agreed: bool,
    /// Nodes whose roundings are to be exact, and whether the present one is.
    pub(super) exact_nodes: BTreeSet<usize>,
    pub(super) rounding: Rounding,
    watch: Option<Box<ProofWatch>>,
}

/// Who is told when a proof begins and when it has ended well.
pub type ProofWatch = dyn FnMut(&Session, Proving);

/// Where a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proving {
    /// Nothing of it was sent yet.
    Begins,
    /// Everybody was convinced.
    Ended,
}

impl std::fmt::Debug for MaliciousEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaliciousEngine")
            .field("session", &self.session)
            .field("fraction_bits", &self.fraction_bits)
            .finish_non_exhaustive()
    }
}

/// [`MaliciousEngine::verify_every`] unless it is set.
pub(super) const VERIFY_EVERY: usize = 512 << 20;

/// The precisions there are.
///
/// # Errors
/// [`Error::Invalid`] for the others.
pub(super) fn precision(fraction_bits: u32) -> Result<u32> {
    if (8..=22).contains(&fraction_bits) {
        return Ok(fraction_bits);
    }
    Err(Error::Invalid(format!(
        "{fraction_bits} fractional bits: choose 8 to 22"
    )))
}

/// A fresh sharing of the same, by a product with a public one.
pub(super) async fn reshare(c: &Circuit<'_>, x: Words) -> tacit_mpc::Result<Words> {
    let one = Some(Rc::new(vec![Wrapping(1); c.len()]));
    let one = c.joint(0, c.len(), one);
    product(c, &[(x, one)], Support::Full).await
}

/// The salts of this party's two indices, F(k_j, label): nobody else knows both keys.
pub(super) async fn salts_of(c: &Circuit<'_>) -> tacit_mpc::Result<[Vec<R64>; 2]> {
    let label = c.strand.next_gate()?;
    let salt = |j| c.strand.draw(j, label, Purpose::Salt, c.len());
    Ok([salt(c.me())?, salt(c.me() + 1)?])
}

impl MaliciousEngine {
    /// An engine over a session, with numbers of `fraction_bits` fractional bits (8 to 22).
    ///
    /// # Errors
    /// [`Error::Invalid`] where `fraction_bits` is out of range.
    pub fn new(session: Session, fraction_bits: u32) -> Result<Self> {
        Ok(Self {
            session,
            log: Log::default(),
            fraction_bits: precision(fraction_bits)?,
            compiler: Compiler::new(fraction_bits),
            id: EngineId::fresh(),
            verify_every: VERIFY_EVERY,
            agreed: false,
            exact_nodes: BTreeSet::new(),
            rounding: Rounding::Masked,
            watch: None,
        })
    }

    /// From now on what is logged is proved whenever a node leaves it above this many bytes of memory, 512 MiB at first: what is
    /// held between proofs is this much and what one node logs. All parties must set the same.
    pub fn verify_every(&mut self, bytes: usize) {
        self.verify_every = bytes;
        self.agreed = false;
    }

    /// Bytes that are held for the next proof at most, the same at all parties.
    #[must_use]
    pub fn logged_bytes(&self) -> usize {
        self.log.size()
    }

    /// Tells `watch` of every proof from now on, those between nodes among them.
    pub fn watch_proofs(&mut self, watch: Box<ProofWatch>) {
        self.watch = Some(watch);
    }

    /// Counts failed proofs in `failures` from now on: a party's engines share one.
    pub fn count_failures(&mut self, failures: &Failures) {
        self.log.count_failures(failures);
    }

    /// Where failed proofs of this engine are counted.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.log.failures()
    }

    /// From now on every truncation in these nodes gives the floor: what is opened repeatedly from the same secrets would tell,
    /// opening by opening, the bits that were dropped (requirement R9 of rep3). [`tacit_nn::Graph::last_roundings`] gives the
    /// nodes of a graph that this is about. 39.375 bytes and 7 rounds more (f = 18) a product.
    pub fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        self.exact_nodes = nodes;
        self.agreed = false;
    }

    /// Before a step that sends something: all parties have the same settings.
    ///
    /// # Errors
    /// [`tacit_mpc::Error::Settings`] where they differ; the session is over, or a link or peer failed.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.log.alive().map_err(failed)?;
        if !self.agreed {
            Settings::new(self.fraction_bits, self.verify_every, &self.exact_nodes)
                .agree(&self.session)
                .map_err(failed)?;
            self.agreed = true;
        }
        Ok(())
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
        let mine = self.session.me() == owner;
        let words = input_words(mine, shape, x, self.fraction_bits)?;
        self.session.begin_run().map_err(failed)?;
        self.ready()?;
        let words = words.as_ref().map(tacit_mpc::ring::row_major);
        let gate = async |c: &Circuit<'_>| {
            let chunk = c.strand.chunk();
            let x = words.as_ref().map(|w| &w[chunk.start..chunk.end]);
            input(c, owner, chunk.len(), x).await
        };
        let x = share_chunks(&self.session, &self.log, shape, gate).map_err(failed)?;
        Ok(self.id.value(Kind::Numbers(x)))
    }

    /// The sharings of tensors that somebody who does not compute sent, after the parties have compared what each two of them
    /// hold: then every share is the same at its two holders, as in an input.
    ///
    /// # Errors
    /// Two parties hold different copies, or a link or peer failed.
    pub fn adopt(&mut self, received: &[Received]) -> Result<Vec<Value>> {
        self.ready()?;
        // A difference is no failed proof: it is found by a hash, always, and may be the sender's.
        let shares = agreed(&self.session, received).map_err(failed)?;
        Ok(shares.into_iter().map(|x| self.held(x)).collect())
    }

    /// A public tensor as a sharing that is treated like any other. No communication.
    ///
    /// # Errors
    /// A number that has no encoding.
    pub fn trivial(&self, x: &ArrayD<f64>) -> Result<Value> {
        let words = fixed::encode_tensor(x, self.fraction_bits)?;
        let x = Shared::public(self.session.me(), &words);
        Ok(self.id.value(Kind::Numbers(x)))
    }

    /// Proves everything that was computed: the way out. While the evidence lives nothing can be computed.
    ///
    /// # Errors
    /// A proof does not hold, and then nothing may be given out and the session is over; or a link or peer failed.
    pub fn prove(&mut self) -> Result<Proved<'_>> {
        self.session.begin_run().map_err(failed)?;
        self.ready()?;
        let Self {
            session,
            log,
            fraction_bits,
            id,
            watch,
            ..
        } = self;
        let mut tell = |proving| watch.iter_mut().for_each(|watch| watch(session, proving));
        tell(Proving::Begins);
        let checked = check(session, log).map_err(failed)?;
        tell(Proving::Ended);
        Ok(Proved {
            session,
            fraction_bits: *fraction_bits,
            engine: *id,
            checked,
        })
    }

    /// Proves everything and opens a value to all three parties: [`Proved::reveal`].
    ///
    /// # Errors
    /// As for [`Self::prove`] and [`Proved::reveal`].
    pub fn reveal(&mut self, x: &Value) -> Result<ArrayD<f64>> {
        self.prove()?.reveal(x)
    }

    /// This party's shares of all values, flattened in order, for a recipient: fresh ones, because a recipient sees all three
    /// and the shares of a truncation say more than its result (requirement R15 of rep3). They are made by a product with a
    /// public one, 24 bytes a value, and everything is proved before they are given out.
    ///
    /// # Errors
    /// A value holds bits, or as for [`Self::prove`].
    pub fn release(&mut self, values: &[&Value]) -> Result<Release> {
        let released = self.release_each(&[values.to_vec()])?.pop();
        released.ok_or_else(|| Error::Invalid("a release gave nothing".into()))
    }

    /// The same for several recipients, each of whom gets values of its own: one proof for all, a salt for each.
    ///
    /// # Errors
    /// As for [`Self::release`]: nobody gets anything then.
    pub fn release_each(&mut self, recipients: &[Vec<&Value>]) -> Result<Vec<Release>> {
        let me = self.session.me();
        let (mut own, mut next) = (Vec::new(), Vec::new());
        for v in recipients.iter().flatten() {
            let x = v.shared(self.id, me)?;
            own.extend(x.own.iter());
            next.extend(x.next.iter());
        }
        let (n, x) = (own.len(), Pair::new(own, next));
        self.session.begin_run().map_err(failed)?;
        self.ready()?;
        let fresh = async |c: &Circuit<'_>| {
            let chunk = c.strand.chunk();
            let x = x.each(|w| w[chunk.start..chunk.end].to_vec());
            reshare(c, x).await
        };
        let fresh = share_chunks(&self.session, &self.log, &[n], fresh).map_err(failed)?;
        let n = SALT * recipients.len();
        let mut salts = [vec![0; n], vec![0; n]];
        let draw = async |c: &Circuit<'_>| salts_of(c).await;
        for_each_chunk(&self.session, &self.log, n, draw, |chunk, drawn| {
            for (salts, words) in salts.iter_mut().zip(drawn) {
                let part = salts[chunk.start..chunk.end].iter_mut();
                part.zip(words).for_each(|(salt, word)| *salt = word.0);
            }
            Ok(())
        })
        .map_err(failed)?;
        self.prove()?;
        let mut salts = salts.each_ref().map(|salts| salts.iter());
        let mut words = [&fresh.own, &fresh.next].map(|x| x.iter());
        let released = recipients.iter().map(|values| {
            let n = values.iter().map(|x| x.shape().iter().product::<usize>());
            let n = n.sum();
            let [own, next] = words.each_mut().map(|x| x.take(n).map(|w| w.0).collect());
            let salts = salts
                .each_mut()
                .map(|words| [(); SALT].map(|()| words.next().copied().unwrap_or(0)));
            let copies = Some(Copies { next, salts });
            Release { own, copies }
        });
        Ok(released.collect())
    }

    /// Renews the keys of the session ([`Session::renew_keys`]), between two runs, with everything proved before. Shares stay
    /// as they are.
    ///
    /// # Errors
    /// As for [`Self::prove`], or a failed link or peer.
    pub fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        self.prove()?;
        self.agreed = false;
        self.session.renew_keys(binding).map_err(failed)
    }

    /// The sharing of which each two parties hold the same, as they have compared.
    #[must_use]
    pub fn held(&self, x: Rep3) -> Value {
        self.id.value(Kind::Numbers(Shared::new(x.a, x.b)))
    }

    /// The tensors of numbers that a product takes of a value.
    pub(crate) fn tensors<'a>(&self, x: &'a Value) -> Result<Vec<&'a Tensor>> {
        x.tensors(self.id)
    }

    /// After a node: proves what is logged if it is too much to keep.
    pub(super) fn bound(&mut self) -> Result<()> {
        if self.log.size() > self.verify_every {
            let Self {
                session,
                log,
                watch,
                ..
            } = self;
            let mut tell = |proving| watch.iter_mut().for_each(|watch| watch(session, proving));
            tell(Proving::Begins);
            verify(session, log).map_err(failed)?;
            tell(Proving::Ended);
        }
        Ok(())
    }
}
