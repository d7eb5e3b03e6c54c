//! Boolean circuits on shares of bits; here on replicated ones, x = x_0 ⊕ x_1 ⊕ x_2 with P_i holding x_i and x_{i+1}, and for
//! any protocol of primitives in [`crate::derived`].
//!
//! "Exclusive or" and "not" are local. A conjunction is the multiplication of Araki et al. (CCS 2016) over GF(2), by either
//! engine: z_i = x_i y_i ⊕ x_i y_{i+1} ⊕ x_{i+1} y_i ⊕ a_i ⊕ a_{i+1} goes to P_{i-1}, one bit a party. All conjunctions of a depth
//! travel together, so a circuit takes as many rounds as its depth ([`Plan::depth`]). Instances are cut into chunks as the
//! elements of a tensor are, and every chunk runs the whole circuit.

use std::rc::Rc;

use tacit_circuits::{Bits as Local, Plan, Run};
use tacit_mpc::wire::{append_planes, packed_len, unpack_planes};
use tacit_mpc::{Chunk, PartyId, Purpose, Session, Strand};
use tacit_nn::{Error, Result};

use crate::malicious::pair::{Bits, Pair, joint};
use crate::trees::BitShares;

/// An engine that runs Boolean circuits.
///
/// Planes are bits of all instances: instance i is bit i mod 64 of word i / 64.
pub trait BooleanEngine {
    /// Shared bits: some planes.
    type Bits: Clone;

    /// P_owner shares `width` planes of `instances` bits, given there and `None` elsewhere. 1 bit and 1 round a bit: each share
    /// reaches one other party, so there is nothing that could be inconsistent.
    ///
    /// # Errors
    /// The planes have not that width or length, or a link or peer failed.
    fn share_bits(
        &mut self,
        owner: PartyId,
        instances: usize,
        width: usize,
        planes: Option<&[Vec<u64>]>,
    ) -> Result<Self::Bits>;

    /// Runs a circuit on as many instances as its inputs have. 3 bits a conjunction and instance, all parties together, and a
    /// round a depth.
    ///
    /// # Errors
    /// The inputs do not fit the circuit or each other, the circuit is deeper than 4096 conjunctions, or a link or peer failed.
    fn run_circuit(&mut self, plan: &Plan, inputs: &[&Self::Bits]) -> Result<Vec<Self::Bits>>;

    /// Opens planes to all three parties. Where a party may cheat, after the proof of everything computed.
    ///
    /// # Errors
    /// A proof or a copy does not hold, or a link or peer failed.
    fn open_bits(&mut self, bits: &Self::Bits) -> Result<Vec<Vec<u64>>>;
}

/// Shared planes, cut into chunks of instances.
#[derive(Clone)]
pub(crate) struct Planes<B = Bits> {
    pub(crate) instances: usize,
    pub(crate) width: usize,
    chunks: Vec<(Chunk, Vec<B>)>,
}

/// The planes of a chunk one after the other, at their owner.
pub(crate) type PartOf<'a> = dyn Fn(Chunk) -> Option<Vec<u64>> + 'a;

/// What is local on the planes of a chunk.
struct OfChunk {
    me: PartyId,
    instances: usize,
}

impl Local for OfChunk {
    type Plane = Bits;

    fn xor(&self, x: &Bits, y: &Bits) -> Bits {
        x.xor(y)
    }

    fn not(&self, x: &Bits) -> Bits {
        x.not(self.me)
    }

    fn constant(&self, bit: bool) -> Bits {
        let n = self.instances.div_ceil(64);
        let plane = bit.then(|| Rc::new(vec![u64::MAX; n]));
        joint(self.me, 0, n, plane)
    }
}

impl<B: Clone> Planes<B> {
    /// Shares planes, given at their owner, as `chunks` does it with the bits of each chunk.
    pub(crate) fn share(
        instances: usize,
        width: usize,
        planes: Option<&[Vec<u64>]>,
        mine: bool,
        chunks: impl FnOnce(&PartOf<'_>) -> tacit_mpc::Result<Vec<(Chunk, Vec<B>)>>,
    ) -> Result<Self> {
        if mine != planes.is_some() {
            return Err(Error::Invalid(
                "the owner of bits, and nobody else, gives their planes".into(),
            ));
        }
        if let Some(planes) = planes {
            let words = instances.div_ceil(64);
            if planes.len() != width || planes.iter().any(|p| p.len() != words) {
                return Err(Error::Invalid(format!(
                    "{width} planes of {instances} bits are {width} times {words} words"
                )));
            }
        }
        let part = |chunk: Chunk| {
            let cut = planes?.iter().flat_map(|p| cut(p, chunk.start, chunk.end));
            Some(cut.collect())
        };
        Ok(Self {
            instances,
            width,
            chunks: chunks(&part).map_err(failed)?,
        })
    }

    /// What a circuit needs of its inputs: instances, and the planes of each input chunk by chunk.
    pub(crate) fn instances(plan: &Plan, inputs: &[&Self]) -> Result<usize> {
        let widths: Vec<usize> = inputs.iter().map(|x| x.width).collect();
        if widths != plan.inputs() {
            let takes = plan.inputs();
            return Err(Error::Invalid(format!(
                "inputs of {widths:?} bits to a circuit that takes {takes:?}"
            )));
        }
        let Some(first) = inputs.first().map(|x| x.instances) else {
            return Err(Error::Invalid(
                "a circuit without inputs gives what everybody knows: run it in the clear".into(),
            ));
        };
        if inputs.iter().any(|x| x.instances != first) {
            return Err(Error::Invalid(
                "the inputs of a circuit have different numbers of instances".into(),
            ));
        }
        Ok(first)
    }

    /// The outputs of a circuit from what its chunks gave.
    pub(crate) fn outputs(
        plan: &Plan,
        instances: usize,
        chunks: Vec<(Chunk, Vec<Vec<B>>)>,
    ) -> Vec<Self> {
        let widths = plan.outputs().iter();
        let mut all: Vec<Self> = widths
            .map(|&width| Self {
                instances,
                width,
                chunks: Vec::new(),
            })
            .collect();
        for (chunk, outputs) in chunks {
            for (all, planes) in all.iter_mut().zip(outputs) {
                all.chunks.push((chunk, planes));
            }
        }
        all
    }

    /// The planes of a chunk.
    pub(crate) fn of(&self, chunk: Chunk) -> Vec<B> {
        // Empty chunks are left out.
        let at = self
            .chunks
            .binary_search_by_key(&chunk.index, |(c, _)| c.index);
        at.map_or_else(|_| Vec::new(), |at| self.chunks[at].1.clone())
    }

    /// Opened planes from those of the chunks, which lie one after the other.
    pub(crate) fn opened(
        &self,
        chunks: impl IntoIterator<Item = (Chunk, Vec<u64>)>,
    ) -> Vec<Vec<u64>> {
        let mut planes = vec![vec![0u64; self.instances.div_ceil(64)]; self.width];
        for (chunk, bits) in chunks {
            let words = chunk.len().div_ceil(64);
            for (plane, bits) in planes.iter_mut().zip(bits.chunks(words)) {
                put(plane, chunk.start, chunk.len(), bits);
            }
        }
        planes
    }
}

/// P_owner shares `count` planes of a chunk, given there one after the other: x_{d+1} = F(k_{d+1}), x_d = x ⊕ x_{d+1} goes from P_d
/// to P_{d-1}, x_{d+2} = 0.
pub(crate) async fn share(
    strand: &Strand<'_>,
    owner: PartyId,
    count: usize,
    x: Option<Vec<u64>>,
) -> tacit_mpc::Result<Vec<Bits>> {
    let label = strand.next_gate()?;
    let (me, n) = (strand.session().me(), strand.chunk().len());
    let words = n.div_ceil(64);
    let zero = || vec![0u64; count * words];
    let mask = || -> tacit_mpc::Result<Vec<u64>> {
        let drawn = strand.draw(owner + 1, label, Purpose::Input, count * words)?;
        Ok(without_tail(drawn.into_iter().map(|w| w.0).collect(), n))
    };
    let bits = match (me + 3 - owner % 3) % 3 {
        0 => {
            let next = mask()?;
            let x = x.unwrap_or_default();
            let own: Vec<u64> = x.iter().zip(&next).map(|(x, m)| x ^ m).collect();
            let len = packed_len(count, n);
            strand.send((owner + 2) % 3, label, len, |out| {
                append_planes(&own, count, n, out);
            })?;
            Pair::new(own, next)
        }
        1 => Pair::new(mask()?, zero()),
        _ => {
            let len = packed_len(count, n);
            let bytes = strand.recv(owner % 3, label, len).await?;
            let mut next = zero();
            unpack_planes(&bytes, n, &mut next);
            Pair::new(zero(), next)
        }
    };
    Ok(bits.split(words))
}

/// Runs a circuit on a chunk, with the conjunctions of a depth as `and` computes them: planes one after the other.
pub(crate) async fn evaluate(
    session: &Session,
    chunk: Chunk,
    plan: &Plan,
    inputs: Vec<Vec<Bits>>,
    and: impl AsyncFn(&Bits, &Bits) -> tacit_mpc::Result<Bits>,
) -> tacit_mpc::Result<Vec<Vec<Bits>>> {
    let local = OfChunk {
        me: session.me(),
        instances: chunk.len(),
    };
    evaluate_by(&local, chunk, plan, inputs, and).await
}

/// The same on any shares, with what is local by `local`.
pub(crate) async fn evaluate_by<B: BitShares>(
    local: &impl Local<Plane = B>,
    chunk: Chunk,
    plan: &Plan,
    inputs: Vec<Vec<B>>,
    and: impl AsyncFn(&B, &B) -> tacit_mpc::Result<B>,
) -> tacit_mpc::Result<Vec<Vec<B>>> {
    let mut run = plan.start(inputs);
    advance(local, chunk, &mut run, usize::MAX, and).await?;
    Ok(run.outputs())
}

/// Goes on with a run by so many layers of conjunctions, or to its end.
pub(crate) async fn advance<B: BitShares>(
    local: &impl Local<Plane = B>,
    chunk: Chunk,
    run: &mut Run<'_, B>,
    layers: usize,
    and: impl AsyncFn(&B, &B) -> tacit_mpc::Result<B>,
) -> tacit_mpc::Result<()> {
    for _ in 0..layers {
        let Some(pairs) = run.conjunctions(local) else {
            break;
        };
        let side = |k: usize| B::joined(pairs.iter().map(|p| &p[k]));
        let (x, y) = (side(0), side(1));
        drop(pairs);
        let z = and(&x, &y).await?;
        run.resume(z.split(chunk.len().div_ceil(64)));
    }
    Ok(())
}

/// Planes one after the other, with zeros past the end of the chunk.
pub(crate) fn joined(planes: &[Bits], instances: usize) -> Bits {
    let share = |of: fn(&Bits) -> &Vec<u64>| {
        let planes: Vec<&[u64]> = planes.iter().map(|p| &of(p)[..]).collect();
        without_tail(planes.concat(), instances)
    };
    Pair::new(share(|x| &x.own), share(|x| &x.next))
}

/// Planes of n bits, with zeros past the end of each.
fn without_tail(mut planes: Vec<u64>, n: usize) -> Vec<u64> {
    let used = n % 64;
    if used != 0 {
        let last = planes.iter_mut().skip(n / 64).step_by(n.div_ceil(64));
        last.for_each(|word| *word &= (1 << used) - 1);
    }
    planes
}

/// Bits `start` to `end` of a plane, with zeros past the end.
fn cut(plane: &[u64], start: usize, end: usize) -> Vec<u64> {
    let shift = start % 64;
    let word = |at: usize| plane.get(at).copied().unwrap_or(0);
    let words = (0..(end - start).div_ceil(64)).map(|k| {
        let at = start / 64 + k;
        let low = word(at) >> shift;
        if shift == 0 {
            low
        } else {
            low | word(at + 1) << (64 - shift)
        }
    });
    without_tail(words.collect(), end - start)
}

/// Puts `n` bits into a plane of zeros, from bit `start`.
fn put(plane: &mut [u64], start: usize, n: usize, bits: &[u64]) {
    let shift = start % 64;
    for (k, word) in without_tail(bits.to_vec(), n).into_iter().enumerate() {
        let at = start / 64 + k;
        plane[at] |= word << shift;
        if shift != 0 && word >> (64 - shift) != 0 {
            plane[at + 1] |= word >> (64 - shift);
        }
    }
}

pub(crate) fn failed(e: tacit_mpc::Error) -> Error {
    Error::Protocol(Box::new(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_cut_and_put_together_at_any_bit() {
        let plane: Vec<u64> = (1..=5u64)
            .map(|k| k.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect();
        let mut whole = vec![0; 5];
        for (start, end) in [
            (0, 3),
            (3, 64),
            (64, 130),
            (130, 131),
            (131, 319),
            (319, 320),
        ] {
            let part = cut(&plane, start, end);
            for bit in start..end {
                let got = part[(bit - start) / 64] >> ((bit - start) % 64) & 1;
                assert_eq!(got, plane[bit / 64] >> (bit % 64) & 1);
            }
            put(&mut whole, start, end - start, &part);
        }
        assert_eq!(whole, plane);
    }
}
