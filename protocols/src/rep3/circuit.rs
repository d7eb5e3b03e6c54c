//! Boolean circuits where all parties do what the protocol says ([`crate::circuits`]).

use tacit_circuits::Plan;
use tacit_mpc::kernels::vectorised;
use tacit_mpc::wire::{append_planes, packed_len, unpack_planes};
use tacit_mpc::{Chunk, PartyId, Purpose, Strand};
use tacit_nn::{Engine, Result};

use super::Rep3Engine;
use crate::circuits::{BooleanEngine, Planes, evaluate, failed, joined, share};
use crate::malicious::pair::{Bits, Pair};

/// Shared bits of [`Rep3Engine`].
#[derive(Clone)]
pub struct SharedBits(Planes);

impl std::fmt::Debug for SharedBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBits").finish_non_exhaustive()
    }
}

impl BooleanEngine for Rep3Engine {
    type Bits = SharedBits;

    fn share_bits(
        &mut self,
        owner: PartyId,
        instances: usize,
        width: usize,
        planes: Option<&[Vec<u64>]>,
    ) -> Result<SharedBits> {
        self.begin_run()?;
        let session = self.session();
        let mine = session.me() == owner % 3;
        let planes = Planes::share(instances, width, planes, mine, |part| {
            let gate = async |strand: Strand<'_>| {
                let mine = part(strand.chunk());
                share(&strand, owner, width, mine).await
            };
            session.fan_out(instances, gate)
        });
        planes.map(SharedBits)
    }

    fn run_circuit(&mut self, plan: &Plan, inputs: &[&SharedBits]) -> Result<Vec<SharedBits>> {
        let inputs: Vec<&Planes> = inputs.iter().map(|x| &x.0).collect();
        let n = Planes::instances(plan, &inputs)?;
        self.begin_run()?;
        let session = self.session();
        let gate = async |strand: Strand<'_>| {
            let chunk = strand.chunk();
            let inputs = inputs.iter().map(|x| x.of(chunk)).collect();
            let and = async |x: &Bits, y: &Bits| and(&strand, x, y).await;
            evaluate(session, chunk, plan, inputs, and).await
        };
        let chunks = session.fan_out(n, gate).map_err(failed)?;
        let outputs = Planes::outputs(plan, n, chunks);
        Ok(outputs.into_iter().map(SharedBits).collect())
    }

    fn open_bits(&mut self, SharedBits(bits): &SharedBits) -> Result<Vec<Vec<u64>>> {
        self.begin_run()?;
        let session = self.session();
        let gate = async |strand: Strand<'_>| {
            let (label, n) = (strand.next_gate()?, strand.chunk().len());
            let x = joined(&bits.of(strand.chunk()), n);
            let len = packed_len(bits.width, n);
            // P_{i-1} lacks index i + 1.
            strand.send(session.prev(), label, len, |out| {
                append_planes(&x.next, bits.width, n, out);
            })?;
            let bytes = strand.recv(session.next(), label, len).await?;
            let mut missing = vec![0u64; x.own.len()];
            unpack_planes(&bytes, n, &mut missing);
            let shares = x.own.iter().zip(&*x.next).zip(missing);
            Ok(shares.map(|((x, y), z)| x ^ y ^ z).collect())
        };
        let chunks: Vec<(Chunk, Vec<u64>)> =
            session.fan_out(bits.instances, gate).map_err(failed)?;
        Ok(bits.opened(chunks))
    }
}

/// x ∧ y, planes of the chunk's length one after the other: z_i = x_i (y_i ⊕ y_{i+1}) ⊕ x_{i+1} y_i ⊕ a_i ⊕ a_{i+1} to P_{i-1}, with
/// a_j = F(k_j, label). 3 bits a bit, 1 round.
async fn and(strand: &Strand<'_>, x: &Bits, y: &Bits) -> tacit_mpc::Result<Bits> {
    let label = strand.next_gate()?;
    let (session, n) = (strand.session(), strand.chunk().len());
    let (me, words) = (session.me(), x.own.len());
    let planes = words / n.div_ceil(64).max(1);
    let mask = |j| strand.draw(j, label, Purpose::Zero, words);
    let (a, b) = (mask(me)?, mask(me + 1)?);
    let factors = (x.own.iter().zip(&*x.next)).zip(y.own.iter().zip(&*y.next));
    let z: Vec<u64> = vectorised(|| {
        factors
            .zip(a.iter().zip(&b))
            .map(|(((x0, x1), (y0, y1)), (a, b))| (x0 & (y0 ^ y1)) ^ (x1 & y0) ^ a.0 ^ b.0)
            .collect()
    });
    let len = packed_len(planes, n);
    strand.send(session.prev(), label, len, |out| {
        append_planes(&z, planes, n, out);
    })?;
    let bytes = strand.recv(session.next(), label, len).await?;
    let mut next = vec![0u64; words];
    unpack_planes(&bytes, n, &mut next);
    Ok(Pair::new(z, next))
}
