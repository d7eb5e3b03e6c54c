//! What every engine on replicated shares of three parties can do besides running graphs: take shares in, open, and let
//! results out. Whoever uses it is written once for all security levels.

use std::collections::BTreeSet;

use ndarray::ArrayD;
use tacit_mpc::kernels::Resident;
use tacit_mpc::keys::Binding;
use tacit_mpc::{Bilinear, Kernels, Session, Tensor};
use tacit_nn::{Engine, Error, Result};

use crate::malicious::MaliciousEngine;
use crate::release::Release;
use crate::rep3::contribute::Received;
use crate::rep3::{Rep3, Rep3Engine};

/// An engine on shares x = x_0 + x_1 + x_2, of which P_i holds x_i and x_{i+1}.
///
/// A value comes out by [`Self::open`] and [`Self::release`] alone. Where a party may cheat, both first prove everything that
/// was computed: no code that is generic over the engine can forget it.
pub trait Replicated: Engine {
    /// What the keys of a session are bound to besides the job: the protocol and its version.
    const PROGRAM: &'static str;

    /// The session it runs in.
    fn session(&self) -> &Session;

    /// P_owner shares a tensor of reals, given there and `None` elsewhere. Each share reaches one other party, so there is
    /// nothing that could be inconsistent. 8 bytes and 1 round a value.
    ///
    /// # Errors
    /// A number that has no encoding, a missing tensor at the owner, or a failed link or peer.
    fn input(
        &mut self,
        owner: usize,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Self::Value>;

    /// The sharings of tensors that somebody who does not compute sent: each two parties first compare hashes of what both
    /// must hold of them. 64 bytes a link and tensor, 1 round.
    ///
    /// # Errors
    /// Two parties hold different copies: one of them lies, or the sender does. Or a link or peer failed.
    fn adopt(&mut self, received: &[Received]) -> Result<Vec<Self::Value>>;

    /// f(x, y) without rounding, as words mod 2^64: 24 bytes and 1 round a value of the result.
    ///
    /// # Errors
    /// The shapes do not fit, or a link or peer failed.
    fn product(&mut self, f: Bilinear, x: &Self::Value, y: &Self::Value) -> Result<Self::Value>;

    /// From now on truncations in these nodes of a graph give the floor, without a coin (requirement R9).
    fn round_exactly(&mut self, nodes: BTreeSet<usize>);

    /// Opens values to all three parties, in this order. Where a party may cheat, after the proof of everything computed, and
    /// with a hash from the other holder of each share.
    ///
    /// # Errors
    /// A value holds bits, a proof or a copy does not hold, or a link or peer failed. Nothing may be given out then.
    fn open(&mut self, values: &[&Self::Value]) -> Result<Vec<ArrayD<f64>>>;

    /// This party's shares of all values, flattened in order, for a recipient. Re-randomised, because a recipient sees all
    /// three and the shares of a truncation say more than its result (requirement R15). Where a party may cheat, after the
    /// proof of everything computed, and with the copies that the recipient compares.
    ///
    /// # Errors
    /// As for [`Self::open`].
    fn release(&mut self, values: &[&Self::Value]) -> Result<Release>;

    /// The same for several recipients, each of whom gets values of its own. Where a party may cheat, one proof is for all.
    ///
    /// # Errors
    /// As for [`Self::open`]: nobody gets anything then.
    fn release_each(&mut self, recipients: &[Vec<&Self::Value>]) -> Result<Vec<Release>> {
        recipients
            .iter()
            .map(|values| self.release(values))
            .collect()
    }

    /// The sharing that somebody who does not compute sent, of which each two parties have compared what both must hold.
    fn held(&self, shares: Rep3) -> Self::Value;

    /// Has kernels keep this party's shares of a value where they compute, until the guards are dropped
    /// ([`Kernels::hold`]): for weights that stay the same from run to run.
    ///
    /// # Errors
    /// As for [`Kernels::hold`].
    fn hold<'a>(&self, kernels: &'a dyn Kernels, x: &'a Self::Value) -> Result<Vec<Resident<'a>>>;

    /// Renews the keys of the session, between two runs; shares stay as they are. Where a party may cheat, everything is
    /// proved before.
    ///
    /// # Errors
    /// A failed link, peer or proof.
    fn renew_keys(&mut self, binding: &Binding) -> Result<()>;
}

impl Replicated for Rep3Engine {
    const PROGRAM: &'static str = "rep3 v3";

    fn session(&self) -> &Session {
        Self::session(self)
    }

    fn input(
        &mut self,
        owner: usize,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Self::Value> {
        Self::input(self, owner, shape, x)
    }

    fn adopt(&mut self, received: &[Received]) -> Result<Vec<Self::Value>> {
        Self::adopt(self, received)
    }

    fn product(&mut self, f: Bilinear, x: &Self::Value, y: &Self::Value) -> Result<Self::Value> {
        Self::product(self, f, x, y)
    }

    fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        Self::round_exactly(self, nodes);
    }

    fn open(&mut self, values: &[&Self::Value]) -> Result<Vec<ArrayD<f64>>> {
        values.iter().map(|x| self.reveal(x)).collect()
    }

    fn release(&mut self, values: &[&Self::Value]) -> Result<Release> {
        Self::release(self, values)
    }

    fn held(&self, shares: Rep3) -> Self::Value {
        Self::Value::Numbers(shares)
    }

    fn hold<'a>(&self, kernels: &'a dyn Kernels, x: &'a Self::Value) -> Result<Vec<Resident<'a>>> {
        hold(kernels, &x.tensors())
    }

    fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        Self::renew_keys(self, binding)
    }
}

impl Replicated for MaliciousEngine {
    const PROGRAM: &'static str = "rep3-malicious v1";

    fn session(&self) -> &Session {
        Self::session(self)
    }

    fn input(
        &mut self,
        owner: usize,
        shape: &[usize],
        x: Option<&ArrayD<f64>>,
    ) -> Result<Self::Value> {
        Self::input(self, owner, shape, x)
    }

    fn adopt(&mut self, received: &[Received]) -> Result<Vec<Self::Value>> {
        Self::adopt(self, received)
    }

    fn product(&mut self, f: Bilinear, x: &Self::Value, y: &Self::Value) -> Result<Self::Value> {
        Self::product(self, f, x, y)
    }

    fn round_exactly(&mut self, nodes: BTreeSet<usize>) {
        Self::round_exactly(self, nodes);
    }

    fn open(&mut self, values: &[&Self::Value]) -> Result<Vec<ArrayD<f64>>> {
        let proved = self.prove()?;
        values.iter().map(|x| proved.reveal(x)).collect()
    }

    fn release(&mut self, values: &[&Self::Value]) -> Result<Release> {
        Self::release(self, values)
    }

    fn release_each(&mut self, recipients: &[Vec<&Self::Value>]) -> Result<Vec<Release>> {
        Self::release_each(self, recipients)
    }

    fn held(&self, shares: Rep3) -> Self::Value {
        Self::held(self, shares)
    }

    fn hold<'a>(&self, kernels: &'a dyn Kernels, x: &'a Self::Value) -> Result<Vec<Resident<'a>>> {
        hold(kernels, &self.tensors(x)?)
    }

    fn renew_keys(&mut self, binding: &Binding) -> Result<()> {
        Self::renew_keys(self, binding)
    }
}

/// Has kernels keep all of these tensors.
fn hold<'a>(kernels: &'a dyn Kernels, tensors: &[&'a Tensor]) -> Result<Vec<Resident<'a>>> {
    let held = tensors.iter().map(|x| kernels.hold(x));
    held.collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::Protocol(Box::new(e)))
}
