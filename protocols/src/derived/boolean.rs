//! Boolean circuits on the bits of a protocol: "exclusive or" and "not" are local, and all conjunctions of a depth are one call of
//! [`Primitives::and`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use tacit_circuits::{Bits as Local, Plan, Run};
use tacit_mpc::{Chunk, PartyId, Strand};
use tacit_nn::{Error, Result};

use super::circuit::Circuit;
use super::engine::{DerivedEngine, failed};
use super::primitives::Primitives;
use super::share::Bits;
use crate::circuits::{BooleanEngine, Planes, advance};
use crate::trees::BitShares;

/// Layers of conjunctions in one pass: a protocol may take up to eight gates for each of them, and a pass has 4096. Deeper circuits
/// run in pieces, each with addresses of its own.
const LAYERS: usize = 512;

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
        let begun: RefCell<BTreeMap<usize, (Chunk, Run<'_, Bits>)>> = RefCell::default();
        // The last piece is shorter than the others: it ends with what is local behind the last conjunction.
        for _ in 0..=plan.depth() / LAYERS {
            self.session.begin_run().map_err(failed)?;
            let gate = async |strand: Strand<'_>| {
                let chunk = strand.chunk();
                let c = self.circuit(strand);
                let started = begun.borrow_mut().remove(&chunk.index);
                let start = || plan.start(inputs.iter().map(|x| x.of(chunk)).collect());
                let mut run = started.map_or_else(start, |(_, run)| run);
                let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
                advance(&OfChunk(&c), chunk, &mut run, LAYERS, and).await?;
                Ok(run)
            };
            let runs = self.session.fan_out(n, gate).map_err(failed)?;
            let runs = runs
                .into_iter()
                .map(|(chunk, run)| (chunk.index, (chunk, run)));
            begun.borrow_mut().extend(runs);
        }
        let done = begun.into_inner().into_values();
        let chunks = done.map(|(chunk, run)| (chunk, run.outputs())).collect();
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
