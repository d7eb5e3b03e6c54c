//! Exact products of polynomials modulo X^N + 1 and 2^64, by number-theoretic transforms modulo several primes.
//!
//! Three primes of 50 bits where the processor multiplies 52-bit integers (AVX-512 IFMA), five of 32 bits elsewhere;
//! both reconstruct the same integers.

use tfhe_ntt::native64::{Plan32, Plan52};

/// The ring of one N.
#[derive(Debug)]
pub(crate) struct Ring {
    size: usize,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    Wide(Box<Plan52>),
    Narrow(Box<Plan32>),
}

/// Bytes of a transformed polynomial for each of its coefficients, at most.
pub(crate) const SPECTRUM: u64 = 24;

/// A polynomial, transformed.
#[derive(Debug)]
pub(crate) enum Spectrum {
    Wide([Vec<u64>; 3]),
    Narrow([Vec<u32>; 5]),
}

impl Ring {
    /// Of polynomials of `size` coefficients, a power of two from 32 to 2^15: what parameter sets have.
    pub(crate) fn new(size: usize) -> Self {
        Plan52::try_new(size).map_or_else(
            || Self::narrow(size),
            |plan| Self {
                size,
                plan: Plan::Wide(Box::new(plan)),
            },
        )
    }

    fn narrow(size: usize) -> Self {
        let plan = Plan32::try_new(size);
        let plan = plan.unwrap_or_else(|| {
            unreachable!("no parameter set has polynomials of {size} coefficients")
        });
        Self {
            size,
            plan: Plan::Narrow(Box::new(plan)),
        }
    }

    /// The transform of a polynomial.
    pub(crate) fn forward(&self, polynomial: &[u64]) -> Spectrum {
        match &self.plan {
            Plan::Wide(plan) => {
                let mut to = [(); 3].map(|()| vec![0; self.size]);
                let [a, b, c] = &mut to;
                plan.fwd(polynomial, a, b, c);
                Spectrum::Wide(to)
            }
            Plan::Narrow(plan) => {
                let mut to = [(); 5].map(|()| vec![0; self.size]);
                let [a, b, c, d, e] = &mut to;
                plan.fwd(polynomial, a, b, c, d, e);
                Spectrum::Narrow(to)
            }
        }
    }

    /// `to` += the product of two polynomials that this ring transformed.
    pub(crate) fn add_product(&self, to: &mut [u64], x: &Spectrum, y: &Spectrum) {
        let mut product = vec![0; self.size];
        match (&self.plan, x, y) {
            (Plan::Wide(plan), Spectrum::Wide(x), Spectrum::Wide(y)) => {
                let mut x = x.clone();
                let [a, b, c] = &mut x;
                plan.ntt_0().mul_assign_normalize(a, &y[0]);
                plan.ntt_1().mul_assign_normalize(b, &y[1]);
                plan.ntt_2().mul_assign_normalize(c, &y[2]);
                plan.inv(&mut product, a, b, c);
            }
            (Plan::Narrow(plan), Spectrum::Narrow(x), Spectrum::Narrow(y)) => {
                let mut x = x.clone();
                let [a, b, c, d, e] = &mut x;
                plan.ntt_0().mul_assign_normalize(a, &y[0]);
                plan.ntt_1().mul_assign_normalize(b, &y[1]);
                plan.ntt_2().mul_assign_normalize(c, &y[2]);
                plan.ntt_3().mul_assign_normalize(d, &y[3]);
                plan.ntt_4().mul_assign_normalize(e, &y[4]);
                plan.inv(&mut product, a, b, c, d, e);
            }
            _ => unreachable!("a ring transforms always in the same way"),
        }
        to.iter_mut()
            .zip(product)
            .for_each(|(to, x)| *to = to.wrapping_add(x));
    }
}

/// `to` += factor · X^power · polynomial, 0 <= power < N.
pub(crate) fn add_monomial(to: &mut [u64], power: usize, factor: u64, polynomial: &[u64]) {
    let (low, high) = to.split_at_mut(power);
    let (stay, wrap) = polynomial.split_at(polynomial.len() - power);
    for (to, &x) in high.iter_mut().zip(stay) {
        *to = to.wrapping_add(factor.wrapping_mul(x));
    }
    for (to, &x) in low.iter_mut().zip(wrap) {
        *to = to.wrapping_sub(factor.wrapping_mul(x));
    }
}

/// The LWE mask that decrypts, with the bits of the GLWE key as a key, to the constant coefficient of what the GLWE masks
/// (k polynomials of `size` coefficients) decrypt to: sample extraction. In place: a_0, -a_(N-1), …, -a_1 of each.
pub(crate) fn extract_constant(masks: &mut [u64], size: usize) {
    for mask in masks.chunks_exact_mut(size) {
        mask[1..].reverse();
        mask[1..].iter_mut().for_each(|a| *a = a.wrapping_neg());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Ring, add_monomial, extract_constant};

    fn schoolbook(x: &[u64], y: &[u64]) -> Vec<u64> {
        let mut to = vec![0; x.len()];
        y.iter()
            .enumerate()
            .for_each(|(power, &factor)| add_monomial(&mut to, power, factor, x));
        to
    }

    fn polynomial() -> impl Strategy<Value = Vec<u64>> {
        let word = prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 63), 0..9_u64];
        prop::collection::vec(word, 256)
    }

    proptest! {
        #[test]
        fn both_kinds_of_transforms_give_the_exact_product(x in polynomial(), y in polynomial()) {
            let wanted = schoolbook(&x, &y);
            for ring in [Ring::new(256), Ring::narrow(256)] {
                let mut found = vec![0; 256];
                ring.add_product(&mut found, &ring.forward(&x), &ring.forward(&y));
                prop_assert_eq!(&found, &wanted);
            }
        }

        #[test]
        fn extraction_is_the_constant_coefficient(a in polynomial(), s in polynomial()) {
            let wanted = schoolbook(&a, &s)[0];
            let mut mask = a;
            extract_constant(&mut mask, 256);
            let found = mask.iter().zip(&s).fold(0_u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
            prop_assert_eq!(found, wanted);
        }
    }
}
