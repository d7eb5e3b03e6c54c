//! Sums of products of tensors, rounded once: whole tensors by [`Primitives::bilinear`], elementwise products in the chunks in
//! which they are rounded. A product with a public factor is local.

use tacit_mpc::{Bilinear, R64, Tensor};
use tacit_nn::{Error, Product, Result, fixed};

use super::circuit::Circuit;
use super::engine::{DerivedEngine, failed};
use super::parts::{part, standard};
use super::primitives::{Primitives, Term};
use super::share::Shared;
use super::value::{Operand, Value, public, shape};

/// A sum of products of which nothing interactive was done but products of whole tensors.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) public: Option<Tensor>,
    pub(super) local: Option<Shared<Tensor>>,
    pub(super) elementwise: Vec<(R64, Shared<Tensor>, Shared<Tensor>)>,
}

impl<P: Primitives> DerivedEngine<P> {
    /// Σ coefficient·f(x, y): what is local, and products of whole tensors by the protocol.
    pub(super) fn sum_of_products(&self, terms: &[Product<'_, Value>]) -> Result<Sum> {
        let mut sum = Sum::default();
        let mut tensors: Vec<Term<'_>> = Vec::new();
        let mut all: Option<Vec<usize>> = None;
        for t in terms {
            let (left, right) = (t.x.shape(), t.y.shape());
            let misfit = || Error::Shape {
                op: t.f.name(),
                left: left.to_vec(),
                right: right.to_vec(),
            };
            let shape = t.f.output_shape(left, right).ok_or_else(misfit)?;
            if *all.get_or_insert_with(|| shape.clone()) != shape {
                return Err(misfit());
            }
            let coefficient = fixed::from_signed(t.coefficient);
            let map = |x: &Tensor, y: &Tensor| -> Result<Tensor> {
                let z = self.session.bilinear(t.f, &[(x, y)]).map_err(failed)?;
                Ok(scaled(z, coefficient))
            };
            match (t.x.operand()?, t.y.operand()?) {
                (Operand::Public(x), Operand::Public(y)) => {
                    let z = map(x, y)?;
                    sum.public = Some(sum.public.map_or_else(|| z.clone(), |sum| sum + &z));
                }
                (Operand::Public(x), Operand::Shared(y)) => {
                    add(&mut sum.local, y.try_each(|y| map(x, y))?);
                }
                (Operand::Shared(x), Operand::Public(y)) => {
                    add(&mut sum.local, x.try_each(|x| map(x, y))?);
                }
                (Operand::Shared(x), Operand::Shared(y)) if t.f == Bilinear::Mul => {
                    sum.elementwise
                        .push((coefficient, standard(x), standard(y)));
                }
                (Operand::Shared(x), Operand::Shared(y)) => tensors.push(Term {
                    f: t.f,
                    coefficient,
                    x,
                    y,
                }),
            }
        }
        let shape = all.ok_or_else(|| Error::Invalid("a sum of no products".into()))?;
        if !tensors.is_empty() {
            let z = self.protocol.bilinear(&self.session, &shape, &tensors);
            add(&mut sum.local, z.map_err(failed)?);
        }
        if sum.local.is_some() || !sum.elementwise.is_empty() {
            let known = sum.public.take();
            known
                .into_iter()
                .for_each(|x| add(&mut sum.local, public(&self.one, &x)));
        }
        sum.local = sum.local.map(|x| standard(&x));
        Ok(sum)
    }

    /// c·sum without `shift` of its bits, for c·sum below 2^62 and `shift` <= 62.
    pub(super) fn finish(&self, sum: Sum, c: R64, shift: u32) -> Result<Value> {
        if let Some(x) = sum.public {
            let word = |w| fixed::from_signed(fixed::signed(w * c) >> shift);
            return Ok(Value::public(x.mapv(word)));
        }
        let first = sum.local.as_ref();
        let first = first.or_else(|| sum.elementwise.first().map(|t| &t.1));
        let shape = first.map(|x| shape(x).to_vec()).unwrap_or_default();
        if let Some(x) = sum.local.as_ref()
            && sum.elementwise.is_empty()
            && shift == 0
        {
            return Ok(Value::numbers(x.each(|x| scaled(x.clone(), c))));
        }
        let rounding = self.rounding;
        let gate = async |circuit: &Circuit<'_, P>| {
            let chunk = circuit.strand().chunk();
            let mut total = sum.local.as_ref().map(|x| part(x, chunk));
            if !sum.elementwise.is_empty() {
                let terms = sum.elementwise.iter();
                let terms: Vec<_> = terms
                    .map(|(k, x, y)| (part(x, chunk).times(*k), part(y, chunk)))
                    .collect();
                let product = circuit.product(&terms).await?;
                total = Some(total.map_or_else(|| product.clone(), |total| total.plus(&product)));
            }
            let total = total.unwrap_or_else(|| circuit.public(&vec![R64::default(); chunk.len()]));
            rounding.apply(circuit, &total.times(c), shift).await
        };
        Ok(Value::numbers(self.share_chunks(&shape, gate)?))
    }
}

fn scaled(x: Tensor, c: R64) -> Tensor {
    if c == fixed::from_signed(1) {
        x
    } else {
        x.mapv(|w| c * w)
    }
}

fn add(sum: &mut Option<Shared<Tensor>>, x: Shared<Tensor>) {
    *sum = Some(match sum.take() {
        None => x,
        Some(sum) => sum.zip(&x, |a, b| a + b),
    });
}
