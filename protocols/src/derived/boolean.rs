//! Boolean circuits on the bits of a protocol: "exclusive or" and "not" are local, and all conjunctions of a depth are one call of
//! [`Primitives::and`].

use tacit_circuits::{Bits as Local, Plan};
use tacit_mpc::{PartyId, Strand};
use tacit_nn::{Error, Result};

use super::circuit::Circuit;
use super::engine::{DerivedEngine, failed};
use super::primitives::Primitives;
use super::share::Bits;
use crate::circuits::{BooleanEngine, Planes, evaluate_by};
use crate::trees::BitShares;

/// Shared bits on a derived engine.
#[derive(Clone)]
pub struct SharedBits(Planes<Bits>);

impl std::fmt::Debug for SharedBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBits").finish_non_exhaustive()
    }
}

/// What is local on the planes of a chunk.
struct OfChunk<'a, 's, P>(&'a Circuit<'s, P>);

impl<P: Primitives> Local for OfChunk<'_, '_, P> {
    type Plane = Bits;

    fn xor(&self, x: &Bits, y: &Bits) -> Bits {
        x.xor(y)
    }

    fn not(&self, x: &Bits) -> Bits {
        self.0.not(x)
    }

    fn constant(&self, bit: bool) -> Bits {
        let plane = vec![if bit { u64::MAX } else { 0 }; self.0.plane()];
        let zero = Bits::new(vec![vec![0; plane.len()]; self.0.one.len()]);
        self.0.xor_public(&zero, &plane)
    }
}

impl<P: Primitives> BooleanEngine for DerivedEngine<P> {
    type Bits = SharedBits;

    fn share_bits(
        &mut self,
        owner: PartyId,
        instances: usize,
        width: usize,
        planes: Option<&[Vec<u64>]>,
    ) -> Result<SharedBits> {
        self.check_owner(owner)?;
        self.session.begin_run().map_err(failed)?;
        let (session, protocol) = (&self.session, &self.protocol);
        let mine = session.me() == owner;
        let planes = Planes::share(instances, width, planes, mine, |part| {
            let gate = async |strand: Strand<'_>| {
                let (mine, owners) = (part(strand.chunk()), [owner]);
                let shares = protocol.input_bits(&strand, &owners, width, mine.as_deref());
                let bits = shares.await?.swap_remove(0);
                Ok(bits.split(strand.chunk().len().div_ceil(64)))
            };
            session.fan_out(instances, gate)
        })?;
        Ok(SharedBits(planes))
    }

    fn run_circuit(&mut self, plan: &Plan, inputs: &[&SharedBits]) -> Result<Vec<SharedBits>> {
        let inputs: Vec<&Planes<Bits>> = inputs.iter().map(|x| &x.0).collect();
        let n = Planes::instances(plan, &inputs)?;
        self.session.begin_run().map_err(failed)?;
        let gate = async |strand: Strand<'_>| {
            let chunk = strand.chunk();
            let c = self.circuit(strand);
            let inputs = inputs.iter().map(|x| x.of(chunk)).collect();
            let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
            evaluate_by(&OfChunk(&c), chunk, plan, inputs, and).await
        };
        let chunks = self.session.fan_out(n, gate).map_err(failed)?;
        let outputs = Planes::outputs(plan, n, chunks).into_iter();
        Ok(outputs.map(SharedBits).collect())
    }

    fn open_bits(&mut self, bits: &SharedBits) -> Result<Vec<Vec<u64>>> {
        let planes = &bits.0;
        self.session.begin_run().map_err(failed)?;
        let gate = async |strand: Strand<'_>| {
            let all = planes.of(strand.chunk());
            let joined = Bits::joined(all.iter());
            self.protocol.open_bits(&strand, all.len(), &joined).await
        };
        let opened = self.session.fan_out(planes.instances, gate);
        Ok(planes.opened(opened.map_err(failed)?))
    }
}

impl<P: Primitives> DerivedEngine<P> {
    /// # Errors
    /// [`Error::Invalid`] where the owner of an input is none of the parties that compute.
    pub(super) fn check_owner(&self, owner: PartyId) -> Result<()> {
        let parties = self.protocol.parties(&self.session);
        if owner < parties {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "party {owner} is to give an input, of {parties} parties that compute"
        )))
    }
}
