//! Sums of products of tensors, rounded once.
//!
//! Elementwise products are the gate of `product.rs`, all terms of a sum in one; each matrix product or convolution is a gate of
//! its own (`tensor_gate.rs`). 24 bytes an output for each gate, then one truncation in the same chunk: 46.75 bytes at 18 bits,
//! 3 rounds. A product with a public factor is local.

use std::num::Wrapping;

use ndarray::ArrayD;
use tacit_mpc::{Bilinear, Error, R64, Result, Session, Tensor};

use super::circuit::{Circuit, for_each_chunk};
use super::exact::truncate_exact;
use super::log::Log;
use super::pair::Words;
use super::product::{Support, product};
use super::shared::{Shared, put, share_chunks, shared};
use super::tensor_gate::{Gate, Kept, Sent, send};
use super::truncate::truncate;
use crate::rep3::bilinear::summand;
use crate::rep3::share::Parts;

/// How a number loses its low bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// The floor or one unit more, by a mask that each party knows.
    Masked,
    /// The floor.
    Exact,
}

impl Rounding {
    /// That of a node.
    pub(crate) fn of(exact: bool) -> Self {
        if exact { Self::Exact } else { Self::Masked }
    }

    /// x/2^p for -2^62 <= x < 2^62; nothing for p = 0.
    pub(crate) async fn apply(self, c: &Circuit<'_>, x: &Words, p: u32) -> Result<Words> {
        match self {
            _ if p == 0 => Ok(x.clone()),
            Self::Masked => truncate(c, x, p).await,
            Self::Exact => truncate_exact(c, x, p).await,
        }
    }
}

/// An operand of a bilinear map.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    /// Everybody knows it.
    Public(&'a Tensor),
    /// Nobody knows it.
    Shared(&'a Shared),
}

/// coefficient·f(x, y).
pub(crate) struct Term<'a> {
    pub(crate) f: Bilinear,
    pub(crate) coefficient: R64,
    pub(crate) x: Operand<'a>,
    pub(crate) y: Operand<'a>,
}

/// A result that everybody knows, or nobody.
pub(crate) enum Product {
    Public(Tensor),
    Shared(Shared),
}

/// What a sum of products consists of.
#[derive(Default)]
pub(super) struct Sum<'a> {
    public: Option<Tensor>,
    local: Option<Shared>,
    elementwise: Vec<(R64, &'a Shared, &'a Shared)>,
    gates: Vec<Gate<'a>>,
}

impl<'a> Sum<'a> {
    fn new(s: &Session, terms: &[Term<'a>]) -> Result<Self> {
        let mut sum = Self::default();
        for t in terms {
            let map = |x: &Tensor, y: &Tensor| -> Result<Tensor> {
                Ok(scaled(s.bilinear(t.f, &[(x, y)])?, t.coefficient))
            };
            match (t.x, t.y) {
                (Operand::Public(x), Operand::Public(y)) => add(&mut sum.public, map(x, y)?)?,
                (Operand::Public(x), Operand::Shared(y)) => {
                    add_shared(&mut sum.local, &y.try_each(|y| map(x, y))?)?;
                }
                (Operand::Shared(x), Operand::Public(y)) => {
                    add_shared(&mut sum.local, &x.try_each(|x| map(x, y))?)?;
                }
                (Operand::Shared(x), Operand::Shared(y))
                    if t.f == Bilinear::Mul && x.shape() == y.shape() =>
                {
                    sum.elementwise.push((t.coefficient, x, y));
                }
                (Operand::Shared(x), Operand::Shared(y)) => {
                    sum.gates.push(Gate {
                        f: t.f,
                        coefficient: t.coefficient,
                        x,
                        y,
                        summand: summand(s, t.f, [&x.own, &x.next], [&y.own, &y.next])?,
                    });
                }
            }
        }
        if (sum.interactive() || sum.local.is_some())
            && let Some(public) = sum.public.take()
        {
            add_shared(&mut sum.local, &Shared::public(s.me(), &public))?;
        }
        Ok(sum)
    }

    fn interactive(&self) -> bool {
        !self.elementwise.is_empty() || !self.gates.is_empty()
    }

    /// The shape of all terms.
    fn shape(&self) -> Result<Vec<usize>> {
        let local = self.local.iter().map(|x| x.shape());
        let elementwise = self.elementwise.iter().map(|(_, x, _)| x.shape());
        let gates = self.gates.iter().map(|g| g.summand.shape());
        let mut shapes = local.chain(elementwise).chain(gates);
        let first = shapes.next().unwrap_or_default();
        match shapes.find(|&shape| shape != first) {
            None => Ok(first.to_vec()),
            Some(other) => Err(misfit(first, other)),
        }
    }
}

/// c·Σ coefficient·f(x, y) without `shift` of its bits, for c·Σ below 2^62 and `shift` <= 62.
///
/// # Errors
/// The shapes do not fit, there is no term, or a link or peer failed.
pub(crate) fn products(
    s: &Session,
    log: &Log,
    terms: &[Term<'_>],
    c: R64,
    shift: u32,
    rounding: Rounding,
) -> Result<Product> {
    let sum = Sum::new(s, terms)?;
    if let Some(x) = sum.public {
        let word = |w: R64| Wrapping(((w * c).0 as i64 >> shift) as u64);
        return Ok(Product::Public(x.mapv(word)));
    }
    let shape = sum.shape()?;
    if !sum.interactive() {
        let x = sum.local.ok_or_else(|| misfit(&[], &[]))?;
        let round = async |circuit: &Circuit<'_>| {
            let x = x.cut(circuit.strand.chunk()).times(c);
            rounding.apply(circuit, &x, shift).await
        };
        return Ok(Product::Shared(share_chunks(s, log, &shape, round)?));
    }
    let mut result = Parts::new(&shape);
    let mut kept: Vec<Kept> = sum.gates.iter().map(|_| Kept::new(&shape)).collect();
    let n = shape.iter().product();
    let gate = async |circuit: &Circuit<'_>| sum_of_chunk(circuit, &sum, c, shift, rounding).await;
    for_each_chunk(s, log, n, gate, |chunk, (words, sent)| {
        put(&mut result, chunk, words);
        let gates = kept.iter_mut().zip(&sent);
        gates.for_each(|(kept, sent)| kept.put(chunk, sent));
        Ok(())
    })?;
    for (gate, kept) in sum.gates.into_iter().zip(kept) {
        kept.log(log, gate)?;
    }
    Ok(Product::Shared(shared(result)?))
}

/// A sum of products of zeros, elementwise ones and gates, and of what is local.
pub(super) fn zero_sum(zero: &Shared, (elementwise, gates): (usize, usize)) -> Sum<'_> {
    let gate = |_| Gate {
        f: Bilinear::Mul,
        coefficient: Wrapping(1),
        x: zero,
        y: zero,
        summand: (*zero.own).clone(),
    };
    Sum {
        public: None,
        local: Some(zero.clone()),
        elementwise: vec![(Wrapping(1), zero, zero); elementwise],
        gates: (0..gates).map(gate).collect(),
    }
}

/// One chunk: all gates, then the truncation of their sum.
pub(super) async fn sum_of_chunk(
    c: &Circuit<'_>,
    sum: &Sum<'_>,
    factor: R64,
    shift: u32,
    rounding: Rounding,
) -> Result<(Words, Vec<Sent>)> {
    let chunk = c.strand.chunk();
    let mut total = sum.local.as_ref().map(|x| x.cut(chunk));
    let mut sent = Vec::with_capacity(sum.gates.len());
    for gate in &sum.gates {
        let gate_sent = send(c, gate).await?;
        plus(&mut total, gate_sent.z.times(gate.coefficient));
        sent.push(gate_sent);
    }
    if !sum.elementwise.is_empty() {
        let terms = sum.elementwise.iter();
        let terms: Vec<_> = terms
            .map(|(k, x, y)| (x.cut(chunk).times(*k), y.cut(chunk)))
            .collect();
        plus(&mut total, product(c, &terms, Support::Full).await?);
    }
    let total = total.ok_or_else(|| misfit(&[], &[]))?.times(factor);
    Ok((rounding.apply(c, &total, shift).await?, sent))
}

fn misfit(left: &[usize], right: &[usize]) -> Error {
    Error::Shape {
        op: "sum of products",
        left: left.to_vec(),
        right: right.to_vec(),
    }
}

fn scaled(x: Tensor, coefficient: R64) -> Tensor {
    if coefficient == Wrapping(1) {
        x
    } else {
        x.mapv(|w| coefficient * w)
    }
}

fn add(sum: &mut Option<Tensor>, x: Tensor) -> Result<()> {
    match sum {
        None => *sum = Some(x),
        Some(sum) if sum.shape() == x.shape() => *sum += &x,
        Some(sum) => return Err(misfit(sum.shape(), x.shape())),
    }
    Ok(())
}

fn add_shared(sum: &mut Option<Shared>, x: &Shared) -> Result<()> {
    let zero = || ArrayD::from_elem(x.own.raw_dim(), R64::default());
    let before = sum.take().unwrap_or_else(|| Shared::new(zero(), zero()));
    if before.shape() != x.shape() {
        return Err(misfit(before.shape(), x.shape()));
    }
    *sum = Some(before.zip(x, |a, b| a + b));
    Ok(())
}

fn plus(sum: &mut Option<Words>, x: Words) {
    *sum = Some(match sum.take() {
        None => x,
        Some(sum) => sum.plus(&x),
    });
}
