//! The bilinear gate: products, matrix products, convolutions.

use std::num::Wrapping;

use tacit_mpc::ring::row_major;
use tacit_mpc::wire::{Packer, Unpacker, packed_len};
use tacit_mpc::{Bilinear, Error, Purpose, R64, Result, Role, Session, Strand, Tensor};

use super::exchange::swap_words;
use super::held::{Held, Words};
use super::rounding::Rounding;
use super::share::{Rep3, assemble};

/// p_i = f(x_i, y_i + y_{i+1}) + f(x_{i+1}, y_i): what P_i can compute of f(x, y) = p_0 + p_1 + p_2.
fn summand(s: &Session, f: Bilinear, x: &Rep3, y: &Rep3) -> Result<Tensor> {
    s.kernels()
        .bilinear(f, &[(&x.a, &(&y.a + &y.b)), (&x.b, &y.a)])
}

/// f(x, y) = Σ_i p_i, each summand masked by a share of zero before it leaves its party: z_i = p_i + F(k_i) - F(k_{i+1}),
/// P_i sends z_i to P_{i-1} (Araki et al., CCS 2016, protocol 1). Semi-honest. 24 bytes and 1 round a value of the result.
///
/// # Errors
/// The shapes do not fit, or a link or peer failed.
pub fn product(s: &Session, f: Bilinear, x: &Rep3, y: &Rep3) -> Result<Rep3> {
    let p = summand(s, f, x, y)?;
    let words = row_major(&p);
    let parts = s.fan_out(words.len(), async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        let (me, chunk) = (s.me(), strand.chunk());
        let own = strand.draw(me, label, Purpose::Zero, chunk.len())?;
        let next = strand.draw(me + 1, label, Purpose::Zero, chunk.len())?;
        let z: Words = words[chunk.start..chunk.end]
            .iter()
            .zip(own.iter().zip(next))
            .map(|(&p, (&f, g))| p + f - g)
            .collect();
        let mut packer = Packer::with_capacity(64 * z.len());
        packer.push(&z, 64);
        strand.send(s.prev(), label, &packer.finish())?;
        let theirs = strand
            .recv(s.next(), label, packed_len(chunk.len(), 64))
            .await?;
        Ok((z, Unpacker::new(&theirs).words(chunk.len(), 64)))
    })?;
    assemble(p.shape(), parts)
}

/// An operand of a bilinear map.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    /// Everybody knows it.
    Public(&'a Tensor),
    /// Nobody knows it.
    Shared(&'a Rep3),
}

/// coefficient·f(x, y).
pub(crate) struct Term<'a> {
    pub(crate) f: Bilinear,
    pub(crate) coefficient: R64,
    pub(crate) x: Operand<'a>,
    pub(crate) y: Operand<'a>,
}

/// A sum of products before it is rounded.
pub(crate) enum Sum {
    /// Everybody knows it.
    Public(Tensor),
    /// Every product had a public factor: a sharing, at no cost.
    Shared(Rep3),
    /// What this party's summand is: they add up to the value.
    Summands(Tensor),
}

/// Σ coefficient·f(x, y), as far as it goes without communication.
///
/// # Errors
/// The shapes do not fit, or there is no term.
pub(crate) fn sum_of_products(s: &Session, terms: &[Term<'_>]) -> Result<Sum> {
    let mut public: Option<Tensor> = None;
    let mut shared: Option<Rep3> = None;
    let mut summands: Option<Tensor> = None;
    for t in terms {
        let map = |x: &Tensor, y: &Tensor| -> Result<Tensor> {
            Ok(scaled(s.kernels().bilinear(t.f, &[(x, y)])?, t))
        };
        match (t.x, t.y) {
            (Operand::Public(x), Operand::Public(y)) => add(&mut public, map(x, y)?)?,
            (Operand::Public(x), Operand::Shared(y)) => {
                add_shared(&mut shared, y.each(|y| map(x, y))?)?;
            }
            (Operand::Shared(x), Operand::Public(y)) => {
                add_shared(&mut shared, x.each(|x| map(x, y))?)?;
            }
            (Operand::Shared(x), Operand::Shared(y)) => {
                add(&mut summands, scaled(summand(s, t.f, x, y)?, t))?;
            }
        }
    }
    if let (Some(x), true) = (&public, shared.is_some() || summands.is_some()) {
        add_shared(&mut shared, Rep3::public(s.me(), x))?;
        public = None;
    }
    match (public, shared, summands) {
        (_, Some(x), Some(mut p)) => {
            p += &x.a;
            Ok(Sum::Summands(p))
        }
        (_, None, Some(p)) => Ok(Sum::Summands(p)),
        (_, Some(x), None) => Ok(Sum::Shared(x)),
        (Some(x), None, None) => Ok(Sum::Public(x)),
        (None, None, None) => Err(Error::Shape {
            op: "a sum of no products",
            left: vec![],
            right: vec![],
        }),
    }
}

fn scaled(mut x: Tensor, t: &Term<'_>) -> Tensor {
    if t.coefficient != Wrapping(1) {
        x.iter_mut().for_each(|w| *w *= t.coefficient);
    }
    x
}

fn add(sum: &mut Option<Tensor>, x: Tensor) -> Result<()> {
    match sum {
        None => *sum = Some(x),
        Some(sum) if sum.shape() == x.shape() => *sum += &x,
        Some(sum) => {
            return Err(Error::Shape {
                op: "sum of products",
                left: sum.shape().to_vec(),
                right: x.shape().to_vec(),
            });
        }
    }
    Ok(())
}

fn add_shared(sum: &mut Option<Rep3>, x: Rep3) -> Result<()> {
    let (mut a, mut b) = sum.take().map_or((None, None), |s| (Some(s.a), Some(s.b)));
    add(&mut a, x.a)?;
    add(&mut b, x.b)?;
    *sum = a.zip(b).map(|(a, b)| Rep3 { a, b });
    Ok(())
}

/// c·Σ p_i rounded by `shift` bits, from each party's summand: [`product`] in two-sided form fused with T1. A and B swap their
/// summands, D keeps its own: (l_A, l_B + p_D, m) with one element less on the wire, and a fresh c. 16 bytes for the product
/// and 8 + 3·shift/8 for the truncation a value, 2 rounds. Needs |c·Σ p_i| < 2^62.
///
/// # Errors
/// A link or peer failed.
pub(crate) fn round_summands(
    s: &Session,
    p: &Tensor,
    c: R64,
    shift: u32,
    rounding: &Rounding,
) -> Result<Rep3> {
    let words = row_major(p);
    let parts = s.fan_out(words.len(), async |strand: Strand<'_>| {
        let chunk = strand.chunk();
        let p = words[chunk.start..chunk.end]
            .iter()
            .map(|&p| c * p)
            .collect();
        Ok(rounded(&strand, p, shift, rounding)
            .await?
            .into_party_order(strand.role()))
    })?;
    assemble(p.shape(), parts)
}

/// c·x rounded by `shift` bits: T1 on an existing sharing, [`scale`] for a tensor.
///
/// # Errors
/// A link or peer failed.
pub(crate) fn round_shared(
    s: &Session,
    x: &Rep3,
    c: i64,
    shift: u32,
    rounding: &Rounding,
) -> Result<Rep3> {
    let (a, b) = (row_major(&x.a), row_major(&x.b));
    let parts = s.fan_out(a.len(), async |strand: Strand<'_>| {
        let chunk = strand.chunk();
        let cut = |t: &[R64]| t[chunk.start..chunk.end].to_vec();
        let held = Held::from_party_order(strand.role(), cut(&a), cut(&b));
        Ok(scale(&strand, &held, c, shift, rounding)
            .await?
            .into_party_order(strand.role()))
    })?;
    assemble(x.shape(), parts)
}

/// The product of two vectors inside a strand, rounded by `shift` bits. Costs as [`round_summands`].
pub(crate) async fn multiply(
    strand: &Strand<'_>,
    x: &Held<Words>,
    y: &Held<Words>,
    shift: u32,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let role = strand.role();
    let ((x0, x1), (y0, y1)) = (
        x.clone().into_party_order(role),
        y.clone().into_party_order(role),
    );
    let p = x0
        .iter()
        .zip(&x1)
        .zip(y0.iter().zip(&y1))
        .map(|((&x0, &x1), (&y0, &y1))| x0 * (y0 + y1) + x1 * y0)
        .collect();
    rounded(strand, p, shift, rounding).await
}

/// From the summands p_i of a value to the value rounded by `shift` bits.
async fn rounded(
    strand: &Strand<'_>,
    p: Words,
    shift: u32,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let n = p.len();
    let (ours, swapped) = if strand.role() == Role::Dealer {
        (p, None)
    } else {
        (Vec::new(), Some(p))
    };
    let side = match swap_words(strand, n, 64, swapped).await? {
        Held::Dealer { a, b } => ours
            .iter()
            .zip(a.iter().zip(b))
            .map(|(&p, (&a, b))| p + a + b)
            .collect(),
        Held::Pair { common, .. } => common,
    };
    rounding.apply(strand, &side, 64, shift).await
}

/// c·x rounded by `shift` bits: T1 on an existing sharing. 8 + 3·shift/8 bytes a value, 2 rounds.
pub(crate) async fn scale(
    strand: &Strand<'_>,
    x: &Held<Words>,
    c: i64,
    shift: u32,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    let factor = Wrapping(c as u64);
    if shift == 0 {
        return Ok(x.each(|v| v.iter().map(|&w| w * factor).collect()));
    }
    let side: Words = x.side().iter().map(|&w| w * factor).collect();
    rounding.apply(strand, &side, 64, shift).await
}
