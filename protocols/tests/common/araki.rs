//! A protocol of primitives: three parties, replicated shares, honest majority, semi-honest (Araki, Furukawa, Lindell, Nof, Ohara,
//! CCS 2016), over Z_2^64 and over GF(2) by the same formulas.
//!
//! x = x_0 + x_1 + x_2, and P_i holds x_i and x_{i+1}. F(k_j) is a draw of the key that P_j and P_{j-1} share.

use std::num::Wrapping;

use tacit_mpc::ring::row_major;
use tacit_mpc::wire::{append, append_planes, packed_len, unpack_planes, unpacked};
use tacit_mpc::{Label, PartyId, Purpose, R64, Result, Session, Strand, Tensor};
use tacit_protocols::derived::{Bits, Primitives, Shared, Term, Words, share_chunks};

/// The protocol; it keeps nothing.
pub struct Araki;

/// The party `k` places after this one.
fn after(strand: &Strand<'_>, k: usize) -> PartyId {
    (strand.session().me() + k) % 3
}

/// `n` words of F(k_j).
fn draw(strand: &Strand<'_>, j: PartyId, label: Label, purpose: Purpose, n: usize) -> Vec<u64> {
    let words = strand.draw(j % 3, label, purpose, n).unwrap();
    words.into_iter().map(|w| w.0).collect()
}

/// Sends words to a party.
fn send(strand: &Strand<'_>, to: PartyId, label: Label, x: &[R64]) -> Result<()> {
    strand.send(to, label, packed_len(x.len(), 64), |out| append(x, 64, out))
}

/// `n` words from a party.
async fn recv(strand: &Strand<'_>, from: PartyId, label: Label, n: usize) -> Result<Vec<R64>> {
    let bytes = strand.recv(from, label, packed_len(n, 64)).await?;
    Ok(unpacked(&bytes, 64, n))
}

/// Sends planes of bits to a party.
fn send_bits(
    strand: &Strand<'_>,
    to: PartyId,
    label: Label,
    planes: usize,
    x: &[u64],
) -> Result<()> {
    let n = strand.chunk().len();
    strand.send(to, label, packed_len(planes, n), |out| {
        append_planes(x, planes, n, out)
    })
}

/// Planes of bits from a party.
async fn recv_bits(
    strand: &Strand<'_>,
    from: PartyId,
    label: Label,
    planes: usize,
) -> Result<Vec<u64>> {
    let n = strand.chunk().len();
    let bytes = strand.recv(from, label, packed_len(planes, n)).await?;
    let mut x = vec![0; planes * n.div_ceil(64)];
    unpack_planes(&bytes, n, &mut x);
    Ok(x)
}

/// From summands z_i of a product, one at each party, to shares: z_i + F(k_i) - F(k_{i+1}) goes from P_i to P_{i-1}. 24 bytes a
/// word, 1 round.
async fn reshare(strand: &Strand<'_>, mut z: Vec<R64>) -> Result<Words> {
    let label = strand.next_gate()?;
    let zero = |k| draw(strand, after(strand, k), label, Purpose::Zero, z.len());
    let masks: Vec<u64> = zero(0)
        .iter()
        .zip(zero(1))
        .map(|(a, b)| a.wrapping_sub(b))
        .collect();
    z.iter_mut().zip(masks).for_each(|(z, mask)| *z += mask);
    send(strand, after(strand, 2), label, &z)?;
    let next = recv(strand, after(strand, 1), label, z.len()).await?;
    Ok(Shared::new(vec![z, next]))
}

impl Primitives for Araki {
    fn name(&self) -> &'static str {
        "araki"
    }

    /// A public value is share 0: the first that P_0 holds, the second that P_2 holds.
    fn one(&self, session: &Session) -> Vec<bool> {
        vec![session.me() == 0, session.me() == 2]
    }

    /// x_{d+1} = F(k_{d+1}), x_d = x - x_{d+1} goes from P_d to P_{d-1}, x_{d+2} = 0. 8 bytes a word, 1 round.
    async fn input_words(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        n: usize,
        mine: Option<&[R64]>,
    ) -> Result<Vec<Words>> {
        let label = strand.next_gate()?;
        let mask = |owner: PartyId| -> Vec<R64> {
            let words = draw(strand, owner + 1, label, Purpose::Input, n);
            words.into_iter().map(Wrapping).collect()
        };
        let me = strand.session().me();
        let mut own = Vec::new();
        if let Some(x) = mine {
            own = x.iter().zip(mask(me)).map(|(x, mask)| x - mask).collect();
            send(strand, after(strand, 2), label, &own)?;
        }
        let zeros = || vec![Wrapping(0); n];
        let mut shares = Vec::new();
        for &owner in owners {
            shares.push(Shared::new(match (me + 3 - owner) % 3 {
                0 => vec![own.clone(), mask(owner)],
                1 => vec![mask(owner), zeros()],
                _ => vec![zeros(), recv(strand, owner, label, n).await?],
            }));
        }
        Ok(shares)
    }

    /// The same over GF(2). 1 bit a bit, 1 round.
    async fn input_bits(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        planes: usize,
        mine: Option<&[u64]>,
    ) -> Result<Vec<Bits>> {
        let label = strand.next_gate()?;
        let words = planes * strand.chunk().len().div_ceil(64);
        let mask = |owner| draw(strand, owner + 1, label, Purpose::Input, words);
        let me = strand.session().me();
        let mut own = Vec::new();
        if let Some(x) = mine {
            own = x.iter().zip(mask(me)).map(|(x, mask)| x ^ mask).collect();
            send_bits(strand, after(strand, 2), label, planes, &own)?;
        }
        let zeros = || vec![0; words];
        let mut shares = Vec::new();
        for &owner in owners {
            shares.push(Shared::new(match (me + 3 - owner) % 3 {
                0 => vec![own.clone(), mask(owner)],
                1 => vec![mask(owner), zeros()],
                _ => vec![zeros(), recv_bits(strand, owner, label, planes).await?],
            }));
        }
        Ok(shares)
    }

    /// P_i sends x_{i+1} to P_{i-1}, who lacks it. 24 bytes a word, 1 round.
    async fn open_words(&self, strand: &Strand<'_>, x: &Words) -> Result<Vec<R64>> {
        let label = strand.next_gate()?;
        let [own, next] = x.parts() else {
            unreachable!("two components")
        };
        send(strand, after(strand, 2), label, next)?;
        let missing = recv(strand, after(strand, 1), label, own.len()).await?;
        let shares = own.iter().zip(next).zip(missing);
        Ok(shares.map(|((a, b), c)| a + b + c).collect())
    }

    /// The same over GF(2). 3 bits a bit, 1 round.
    async fn open_bits(&self, strand: &Strand<'_>, planes: usize, x: &Bits) -> Result<Vec<u64>> {
        let label = strand.next_gate()?;
        let [own, next] = x.parts() else {
            unreachable!("two components")
        };
        send_bits(strand, after(strand, 2), label, planes, next)?;
        let missing = recv_bits(strand, after(strand, 1), label, planes).await?;
        let shares = own.iter().zip(next).zip(missing);
        Ok(shares.map(|((a, b), c)| a ^ b ^ c).collect())
    }

    /// z_i = x_i·(y_i + y_{i+1}) + x_{i+1}·y_i. 24 bytes a word, 1 round.
    async fn product(&self, strand: &Strand<'_>, terms: &[(Words, Words)]) -> Result<Words> {
        let mut z = vec![Wrapping(0); terms[0].0.len()];
        for (x, y) in terms {
            let (x, y) = (x.parts(), y.parts());
            for (k, z) in z.iter_mut().enumerate() {
                *z += x[0][k] * (y[0][k] + y[1][k]) + x[1][k] * y[0][k];
            }
        }
        reshare(strand, z).await
    }

    /// The same over GF(2): z_i ⊕ F(k_i) ⊕ F(k_{i+1}) goes from P_i to P_{i-1}. 3 bits a bit, 1 round.
    async fn and(&self, strand: &Strand<'_>, planes: usize, x: &Bits, y: &Bits) -> Result<Bits> {
        let label = strand.next_gate()?;
        let (x, y) = (x.parts(), y.parts());
        let zero = |k| draw(strand, after(strand, k), label, Purpose::Zero, x[0].len());
        let (a, b) = (zero(0), zero(1));
        let summand = |k| x[0][k] & (y[0][k] ^ y[1][k]) ^ x[1][k] & y[0][k] ^ a[k] ^ b[k];
        let z: Vec<u64> = (0..x[0].len()).map(summand).collect();
        send_bits(strand, after(strand, 2), label, planes, &z)?;
        let next = recv_bits(strand, after(strand, 1), label, planes).await?;
        Ok(Shared::new(vec![z, next]))
    }

    /// z_i = Σ f(x_i, y_i + y_{i+1}) + f(x_{i+1}, y_i). 24 bytes a word of the result, 1 round.
    fn bilinear(
        &self,
        session: &Session,
        shape: &[usize],
        terms: &[Term<'_>],
    ) -> Result<Shared<Tensor>> {
        let mut z = Tensor::from_elem(shape, Wrapping(0));
        for t in terms {
            let (x, y) = (t.x.parts(), t.y.parts());
            let both = &y[0] + &y[1];
            let summand = session.bilinear(t.f, &[(&x[0], &both), (&x[1], &y[0])])?;
            z += &summand.mapv(|w| t.coefficient * w);
        }
        let z = row_major(&z);
        share_chunks(session, shape, 2, async |strand| {
            let chunk = strand.chunk();
            reshare(&strand, z[chunk.start..chunk.end].to_vec()).await
        })
    }
}
