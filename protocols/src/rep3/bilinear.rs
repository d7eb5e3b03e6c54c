//! The bilinear gate: products, matrix products, convolutions.

use std::borrow::Cow;
use std::num::Wrapping;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::ring::{into_row_major, row_major};
use tacit_mpc::{Bilinear, Error, Purpose, R64, Result, Role, Session, Strand, Tensor};

use super::exchange::swap_words;
use super::held::{Held, Words};
use super::rounding::Rounding;
use super::share::{Rep3, recv_words, send_words, share_chunks};

/// p_i of f(x, y) = p_0 + p_1 + p_2, from the shares (i, i + 1) of each: what P_i can compute.
///
/// p_i = f(x_i, y_i + y_{i+1}) + f(x_{i+1}, y_i) = f(x_i + x_{i+1}, y_i) + f(x_i, y_{i+1}), for f is bilinear: the same ring
/// element, bit for bit. The first form takes the shares of x as they are, the second those of y: a sum of shares is a tensor
/// of its own, which no kernels hold, so the second is computed where y is held.
pub(crate) fn summand(
    s: &Session,
    f: Bilinear,
    [x0, x1]: [&Tensor; 2],
    [y0, y1]: [&Tensor; 2],
) -> Result<Tensor> {
    let holds = |x| s.kernels().holds(x);
    if holds(y0) && holds(y1) {
        return s.bilinear(f, &[(&(x0 + x1), y0), (x0, y1)]);
    }
    s.bilinear(f, &[(x0, &(y0 + y1)), (x1, y0)])
}

/// This party's summands p_i of a value. Elementwise products are computed chunk by chunk, so that they need no memory of their
/// own.
pub(crate) struct Summands<'a> {
    shape: Vec<usize>,
    /// What is computed already.
    ready: Option<Words>,
    products: Vec<Elementwise<'a>>,
}

/// coefficient·x·y.
struct Elementwise<'a> {
    coefficient: R64,
    x: [Cow<'a, [R64]>; 2],
    y: [Cow<'a, [R64]>; 2],
}

impl Elementwise<'_> {
    /// p += coefficient·(x_i·(y_i + y_{i+1}) + x_{i+1}·y_i).
    fn add(&self, p: &mut [R64], range: std::ops::Range<usize>) {
        let x = self.x.each_ref().map(|x| &x[range.clone()]);
        let y = self.y.each_ref().map(|y| &y[range.clone()]);
        let product = local_product(x, y);
        vectorised(|| {
            p.iter_mut()
                .zip(product)
                .for_each(|(p, xy)| *p += self.coefficient * xy);
        });
    }

    /// The same where nothing is there yet.
    fn first(&self, range: std::ops::Range<usize>) -> Words {
        let x = self.x.each_ref().map(|x| &x[range.clone()]);
        let y = self.y.each_ref().map(|y| &y[range.clone()]);
        let mut p = collect(local_product(x, y));
        if self.coefficient != Wrapping(1) {
            vectorised(|| p.iter_mut().for_each(|p| *p *= self.coefficient));
        }
        p
    }
}

/// x_i·(y_i + y_{i+1}) + x_{i+1}·y_i, element by element, from the shares (i, i + 1).
fn local_product<'w>(
    [x0, x1]: [&'w [R64]; 2],
    [y0, y1]: [&'w [R64]; 2],
) -> impl ExactSizeIterator<Item = R64> + 'w {
    x0.iter()
        .zip(x1)
        .zip(y0.iter().zip(y1))
        .map(|((&x0, &x1), (&y0, &y1))| x0 * (y0 + y1) + x1 * y0)
}

fn collect(words: impl ExactSizeIterator<Item = R64>) -> Words {
    vectorised(|| words.collect())
}

impl<'a> Summands<'a> {
    fn of(&self, range: std::ops::Range<usize>) -> Words {
        let mut products = self.products.iter();
        let mut p = match (&self.ready, products.as_slice()) {
            (None, [first, ..]) => {
                products.next();
                first.first(range.clone())
            }
            (None, []) => vec![R64::default(); range.len()],
            (Some(ready), _) => ready[range.clone()].to_vec(),
        };
        products.for_each(|t| t.add(&mut p, range.clone()));
        p
    }

    /// The summands of one map.
    fn new(s: &Session, f: Bilinear, x: &'a Rep3, y: &'a Rep3) -> Result<Self> {
        let one = Wrapping(1);
        if f == Bilinear::Mul && x.shape() == y.shape() {
            return Ok(Self {
                shape: x.shape().to_vec(),
                ready: None,
                products: vec![elementwise(one, x, y)],
            });
        }
        Ok(Self::ready(summand(s, f, x.both(), y.both())?))
    }

    /// Of a chunk in rehearsal: so many elementwise products, and what is computed already where `ready`. `words` gives a
    /// chunk's words of a tensor.
    pub(crate) fn rehearsed(
        products: usize,
        ready: bool,
        mut words: impl FnMut() -> &'a [R64],
    ) -> Self {
        let mut tensor = || [words(), words()].map(Cow::Borrowed);
        let products = (0..products).map(|_| Elementwise {
            coefficient: Wrapping(1),
            x: tensor(),
            y: tensor(),
        });
        Self {
            shape: Vec::new(),
            products: products.collect(),
            ready: ready.then(|| words().to_vec()),
        }
    }

    /// Summands that are computed already.
    fn ready(p: Tensor) -> Self {
        Self {
            shape: p.shape().to_vec(),
            ready: Some(into_row_major(p)),
            products: vec![],
        }
    }
}

fn elementwise<'a>(coefficient: R64, x: &'a Rep3, y: &'a Rep3) -> Elementwise<'a> {
    Elementwise {
        coefficient,
        x: [row_major(&x.a), row_major(&x.b)],
        y: [row_major(&y.a), row_major(&y.b)],
    }
}

/// f(x, y) = Σ_i p_i, each summand masked by a share of zero before it leaves its party: z_i = p_i + F(k_i) - F(k_{i+1}),
/// P_i sends z_i to P_{i-1} (Araki et al., CCS 2016, protocol 1). Semi-honest. 24 bytes and 1 round a value of the result.
///
/// # Errors
/// The shapes do not fit, or a link or peer failed.
pub fn product(s: &Session, f: Bilinear, x: &Rep3, y: &Rep3) -> Result<Rep3> {
    share_summands(s, &Summands::new(s, f, x, y)?)
}

/// [`product`] from each party's summand.
///
/// # Errors
/// A link or peer failed.
pub(crate) fn share_summands(s: &Session, p: &Summands<'_>) -> Result<Rep3> {
    share_chunks(s, &p.shape, async |strand: Strand<'_>| {
        share_summands_of_chunk(&strand, p).await
    })
}

/// [`share_summands`] of one chunk.
pub(crate) async fn share_summands_of_chunk(
    strand: &Strand<'_>,
    p: &Summands<'_>,
) -> Result<(Words, Words)> {
    let label = strand.next_gate()?;
    let (s, chunk) = (strand.session(), strand.chunk());
    let own = strand.draw(s.me(), label, Purpose::Zero, chunk.len())?;
    let next = strand.draw(s.me() + 1, label, Purpose::Zero, chunk.len())?;
    let mut z = p.of(chunk.start..chunk.end);
    z.iter_mut()
        .zip(own.iter().zip(&next))
        .for_each(|(z, (&f, &g))| *z += f - g);
    drop((own, next));
    send_words(strand, s.prev(), label, &z)?;
    let theirs = recv_words(strand, s.next(), label).await?;
    Ok((z, theirs))
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
pub(crate) enum Sum<'a> {
    /// Everybody knows it.
    Public(Tensor),
    /// Every product had a public factor: a sharing, at no cost.
    Shared(Rep3),
    /// What this party's summand is: they add up to the value.
    Summands(Summands<'a>),
}

/// Σ coefficient·f(x, y), as far as it goes without communication.
///
/// # Errors
/// The shapes do not fit, or there is no term.
pub(crate) fn sum_of_products<'a>(s: &Session, terms: &[Term<'a>]) -> Result<Sum<'a>> {
    let mut public: Option<Tensor> = None;
    let mut shared: Option<Rep3> = None;
    let mut summands: Option<Tensor> = None;
    let mut products: Vec<Elementwise<'a>> = Vec::new();
    let mut shape: Option<&[usize]> = None;
    for t in terms {
        let map = |x: &Tensor, y: &Tensor| -> Result<Tensor> {
            Ok(scaled(s.bilinear(t.f, &[(x, y)])?, t))
        };
        match (t.x, t.y) {
            (Operand::Public(x), Operand::Public(y)) => add(&mut public, map(x, y)?)?,
            (Operand::Public(x), Operand::Shared(y)) => {
                add_shared(&mut shared, y.each(|y| map(x, y))?)?;
            }
            (Operand::Shared(x), Operand::Public(y)) => {
                add_shared(&mut shared, x.each(|x| map(x, y))?)?;
            }
            (Operand::Shared(x), Operand::Shared(y))
                if t.f == Bilinear::Mul && x.shape() == y.shape() =>
            {
                products.push(elementwise(t.coefficient, x, y));
                fits(shape.get_or_insert_with(|| x.shape()), x.shape())?;
            }
            (Operand::Shared(x), Operand::Shared(y)) => {
                let summand = summand(s, t.f, x.both(), y.both())?;
                add(&mut summands, scaled(summand, t))?;
            }
        }
    }
    let interactive = summands.is_some() || !products.is_empty();
    if let (Some(x), true) = (&public, shared.is_some() || interactive) {
        add_shared(&mut shared, Rep3::public(s.me(), x))?;
        public = None;
    }
    if !interactive {
        return match (public, shared) {
            (_, Some(x)) => Ok(Sum::Shared(x)),
            (Some(x), None) => Ok(Sum::Public(x)),
            (None, None) => Err(Error::Shape {
                op: "a sum of no products",
                left: vec![],
                right: vec![],
            }),
        };
    }
    if let Some(x) = shared {
        add(&mut summands, x.a)?;
    }
    let mut sum = match summands {
        Some(p) => {
            fits(shape.unwrap_or_else(|| p.shape()), p.shape())?;
            Summands::ready(p)
        }
        None => Summands {
            shape: shape.unwrap_or_default().to_vec(),
            ready: None,
            products: vec![],
        },
    };
    sum.products = products;
    Ok(Sum::Summands(sum))
}

/// Refuses terms of different shapes.
fn fits(left: &[usize], right: &[usize]) -> Result<()> {
    if left == right {
        return Ok(());
    }
    Err(Error::Shape {
        op: "sum of products",
        left: left.to_vec(),
        right: right.to_vec(),
    })
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
        Some(sum) => {
            fits(sum.shape(), x.shape())?;
            *sum += &x;
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
    p: &Summands<'_>,
    c: R64,
    shift: u32,
    rounding: &Rounding,
) -> Result<Rep3> {
    share_chunks(s, &p.shape, async |strand: Strand<'_>| {
        round_summands_of_chunk(&strand, p, c, shift, rounding).await
    })
}

/// [`round_summands`] of one chunk.
pub(crate) async fn round_summands_of_chunk(
    strand: &Strand<'_>,
    p: &Summands<'_>,
    c: R64,
    shift: u32,
    rounding: &Rounding,
) -> Result<(Words, Words)> {
    let mut words = p.of(strand.chunk().start..strand.chunk().end);
    if c != Wrapping(1) {
        vectorised(|| words.iter_mut().for_each(|w| *w *= c));
    }
    Ok(rounded(strand, words, shift, rounding)
        .await?
        .into_party_order(strand.role()))
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
    share_chunks(s, x.shape(), async |strand: Strand<'_>| {
        round_shared_chunk(&strand, [&a, &b], c, shift, rounding).await
    })
}

/// [`round_shared`] of one chunk, from both shares of the tensor.
pub(crate) async fn round_shared_chunk(
    strand: &Strand<'_>,
    [a, b]: [&[R64]; 2],
    c: i64,
    shift: u32,
    rounding: &Rounding,
) -> Result<(Words, Words)> {
    let chunk = strand.chunk();
    let cut = |t: &[R64]| t[chunk.start..chunk.end].to_vec();
    let held = Held::from_party_order(strand.role(), cut(a), cut(b));
    Ok(scale(strand, &held, c, shift, rounding)
        .await?
        .into_party_order(strand.role()))
}

/// The product of two vectors inside a strand, rounded by `shift` bits. Costs as [`round_summands`].
pub(crate) async fn multiply(
    strand: &Strand<'_>,
    x: &Held<Words>,
    y: &Held<Words>,
    shift: u32,
    rounding: &Rounding,
) -> Result<Held<Words>> {
    // The shares (i, i + 1) of each.
    let ((x0, x1), (y0, y1)) = (x.party_order(strand.role()), y.party_order(strand.role()));
    let p = collect(local_product([x0, x1], [y0, y1]));
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
    let mut side = swap_words(strand, n, 64, swapped).await?.into_side();
    vectorised(|| side.iter_mut().zip(ours).for_each(|(s, p)| *s += p));
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
    let mut side = x.side();
    vectorised(|| side.iter_mut().for_each(|w| *w *= factor));
    rounding.apply(strand, &side, 64, shift).await
}
