//! Boolean circuits where a party may cheat: the conjunctions of [`crate::circuits`], logged, and proved before anything is opened.

use tacit_circuits::Plan;
use tacit_mpc::{Chunk, PartyId, R64, Strand};
use tacit_nn::{Error, Result};

use super::MaliciousEngine;
use super::circuit::Circuit;
use super::log::Log;
use super::pair::Bits;
use super::product::and;
use super::value::{EngineId, ForeignValue, failed};
use crate::circuits::{BooleanEngine, Planes, evaluate, joined, share};

/// Shared bits of one engine, and of no other. They come out by [`BooleanEngine::open_bits`] alone, after the proof.
#[derive(Clone)]
pub struct SharedBits {
    planes: Planes,
    engine: EngineId,
}

impl std::fmt::Debug for SharedBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBits").finish_non_exhaustive()
    }
}

impl SharedBits {
    fn of(&self, engine: EngineId) -> Result<&Planes> {
        if self.engine == engine {
            Ok(&self.planes)
        } else {
            Err(Error::Protocol(Box::new(ForeignValue)))
        }
    }
}

impl BooleanEngine for MaliciousEngine {
    type Bits = SharedBits;

    fn share_bits(
        &mut self,
        owner: PartyId,
        instances: usize,
        width: usize,
        planes: Option<&[Vec<u64>]>,
    ) -> Result<SharedBits> {
        self.session.begin_run().map_err(failed)?;
        self.ready()?;
        let (session, engine) = (&self.session, self.id);
        let mine = session.me() == owner % 3;
        let planes = Planes::share(instances, width, planes, mine, |part| {
            let gate = async |strand: Strand<'_>| {
                let mine = part(strand.chunk());
                share(&strand, owner, width, mine).await
            };
            session.fan_out(instances, gate)
        })?;
        Ok(SharedBits { planes, engine })
    }

    /// As everywhere, what is logged is proved whenever it is more than the limit; a circuit counts as one node.
    fn run_circuit(&mut self, plan: &Plan, inputs: &[&SharedBits]) -> Result<Vec<SharedBits>> {
        let engine = self.id;
        let inputs: Vec<&Planes> = inputs.iter().map(|x| x.of(engine)).collect::<Result<_>>()?;
        let n = Planes::instances(plan, &inputs)?;
        self.session.begin_run().map_err(failed)?;
        self.ready()?;
        let (session, log) = (&self.session, &self.log);
        let gate = async |strand: Strand<'_>| {
            let chunk = strand.chunk();
            let c = Circuit { strand, log };
            let inputs = inputs.iter().map(|x| x.of(chunk)).collect();
            let and = async |x: &Bits, y: &Bits| and(&c, x, y).await;
            evaluate(session, chunk, plan, inputs, and).await
        };
        let chunks = session.fan_out(n, gate).map_err(failed)?;
        self.bound()?;
        let outputs = Planes::outputs(plan, n, chunks).into_iter();
        Ok(outputs
            .map(|planes| SharedBits { planes, engine })
            .collect())
    }

    fn open_bits(&mut self, bits: &SharedBits) -> Result<Vec<Vec<u64>>> {
        let planes = bits.of(self.id)?;
        let proved = self.prove()?;
        let (session, log) = (proved.session, Log::default());
        session.begin_run().map_err(failed)?;
        let gate = async |strand: Strand<'_>| {
            let chunk = strand.chunk();
            let c = Circuit { strand, log: &log };
            let x = joined(&planes.of(chunk), chunk.len());
            let words = x.each(|x| x.iter().map(|&w| std::num::Wrapping(w)).collect());
            let missing: Option<Vec<R64>> = proved.checked.missing(&c, &words, &[0, 1, 2]).await?;
            let shares = x.own.iter().zip(&*x.next).zip(missing.unwrap_or_default());
            Ok(shares.map(|((x, y), z)| x ^ y ^ z.0).collect())
        };
        let opening = || session.fan_out(planes.instances, gate);
        let chunks: Vec<(Chunk, Vec<u64>)> =
            proved.checked.attempt(session, opening).map_err(failed)?;
        Ok(planes.opened(chunks))
    }
}
