//! Exact products of polynomials modulo X^N + 1 and 2^64, by number-theoretic transforms modulo several primes: on a
//! device that keeps their factors, or here.
//!
//! Here it is three primes of 50 bits where the processor multiplies 52-bit integers (AVX-512 IFMA), five of 32 bits
//! elsewhere; all reconstruct the same integers.

use tacit_mpc::Kernels;
use tacit_mpc::kernels::Factors;
use tfhe_ntt::native64::{Plan32, Plan52};

/// The ring of one N.
#[derive(Debug)]
struct Ring {
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
enum Spectrum {
    Wide([Vec<u64>; 3]),
    Narrow([Vec<u32>; 5]),
}

/// Products that are added before their sum is transformed back: |S| < 2^(126 + 15 + 6) for N up to 2^15, which is what
/// three primes of 50 bits determine with their sign.
const TOGETHER: usize = 64;

/// Keeps polynomials of `size` coefficients (a power of two from 32 to 2^15: what parameter sets have) as factors of
/// products: where these kernels keep them, else here.
///
/// # Errors
/// The device failed.
pub(crate) fn factors(
    kernels: &dyn Kernels,
    size: usize,
    polynomials: &[u64],
) -> tacit_mpc::Result<Box<dyn Factors>> {
    Ok(match kernels.factors(size, polynomials)? {
        Some(kept) => kept,
        None => Box::new(Kept::new(Ring::new(size), polynomials)),
    })
}

/// Factors that are kept here.
struct Kept {
    ring: Ring,
    factors: Vec<Spectrum>,
}

impl Kept {
    fn new(ring: Ring, polynomials: &[u64]) -> Self {
        Self {
            factors: ring.all_forward(polynomials),
            ring,
        }
    }

    fn pair<'a>(
        &'a self,
        others: &'a [Spectrum],
        (other, factor): (u32, u32),
    ) -> tacit_mpc::Result<(&'a Spectrum, &'a Spectrum)> {
        let at = (other as usize, factor as usize);
        let pair = others.get(at.0).zip(self.factors.get(at.1));
        pair.ok_or_else(|| tacit_mpc::Error::Shape {
            op: "a product of polynomials that are not there",
            left: vec![at.0, at.1],
            right: vec![others.len(), self.factors.len()],
        })
    }
}

impl Factors for Kept {
    fn sums(
        &self,
        others: &[u64],
        sums: &[Vec<(u32, u32)>],
        each: &mut dyn FnMut(usize, &[u64]),
    ) -> tacit_mpc::Result<()> {
        let others = self.ring.all_forward(others);
        let mut to = vec![0; self.ring.size];
        for (i, pairs) in sums.iter().enumerate() {
            to.fill(0);
            for pairs in pairs.chunks(TOGETHER) {
                let pairs = pairs.iter().map(|&pair| self.pair(&others, pair));
                let pairs = pairs.collect::<tacit_mpc::Result<Vec<_>>>()?;
                self.ring.add_products(&mut to, &pairs);
            }
            each(i, &to);
        }
        Ok(())
    }
}

impl Ring {
    fn new(size: usize) -> Self {
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

    fn all_forward(&self, polynomials: &[u64]) -> Vec<Spectrum> {
        let each = polynomials.chunks_exact(self.size);
        each.map(|polynomial| self.forward(polynomial)).collect()
    }

    /// The transform of a polynomial.
    fn forward(&self, polynomial: &[u64]) -> Spectrum {
        let mut to = self.zero();
        match (&self.plan, &mut to) {
            (Plan::Wide(plan), Spectrum::Wide([a, b, c])) => plan.fwd(polynomial, a, b, c),
            (Plan::Narrow(plan), Spectrum::Narrow([a, b, c, d, e])) => {
                plan.fwd(polynomial, a, b, c, d, e);
            }
            _ => mixed(),
        }
        to
    }

    fn zero(&self) -> Spectrum {
        match &self.plan {
            Plan::Wide(_) => Spectrum::Wide([(); 3].map(|()| vec![0; self.size])),
            Plan::Narrow(_) => Spectrum::Narrow([(); 5].map(|()| vec![0; self.size])),
        }
    }

    /// `to` += the sum of at most [`TOGETHER`] products of polynomials that this ring transformed.
    fn add_products(&self, to: &mut [u64], pairs: &[(&Spectrum, &Spectrum)]) {
        let mut sum = self.zero();
        for &pair in pairs {
            match (&self.plan, &mut sum, pair) {
                (Plan::Wide(plan), Spectrum::Wide(sum), (Spectrum::Wide(x), Spectrum::Wide(y))) => {
                    let plans = [plan.ntt_0(), plan.ntt_1(), plan.ntt_2()];
                    for (i, plan) in plans.into_iter().enumerate() {
                        plan.mul_accumulate(&mut sum[i], &x[i], &y[i]);
                    }
                }
                (
                    Plan::Narrow(plan),
                    Spectrum::Narrow(sum),
                    (Spectrum::Narrow(x), Spectrum::Narrow(y)),
                ) => {
                    for (i, plan) in narrow_plans(plan).into_iter().enumerate() {
                        plan.mul_accumulate(&mut sum[i], &x[i], &y[i]);
                    }
                }
                _ => mixed(),
            }
        }
        let mut product = vec![0; self.size];
        match (&self.plan, &mut sum) {
            (Plan::Wide(plan), Spectrum::Wide([a, b, c])) => {
                plan.ntt_0().normalize(a);
                plan.ntt_1().normalize(b);
                plan.ntt_2().normalize(c);
                plan.inv(&mut product, a, b, c);
            }
            (Plan::Narrow(plan), Spectrum::Narrow(sum)) => {
                for (plan, sum) in narrow_plans(plan).into_iter().zip(&mut *sum) {
                    plan.normalize(sum);
                }
                let [a, b, c, d, e] = sum;
                plan.inv(&mut product, a, b, c, d, e);
            }
            _ => mixed(),
        }
        add(to, &product);
    }
}

fn narrow_plans(plan: &Plan32) -> [&tfhe_ntt::prime32::Plan; 5] {
    [
        plan.ntt_0(),
        plan.ntt_1(),
        plan.ntt_2(),
        plan.ntt_3(),
        plan.ntt_4(),
    ]
}

fn mixed() -> ! {
    unreachable!("a ring transforms always in the same way")
}

/// `to` += other.
pub(crate) fn add(to: &mut [u64], other: &[u64]) {
    to.iter_mut()
        .zip(other)
        .for_each(|(to, x)| *to = to.wrapping_add(*x));
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
    use tacit_mpc::kernels::Factors;

    use super::{Kept, Ring, add_monomial, extract_constant};

    fn schoolbook(to: &mut [u64], x: &[u64], y: &[u64]) {
        y.iter()
            .enumerate()
            .for_each(|(power, &factor)| add_monomial(to, power, factor, x));
    }

    fn polynomials(count: usize) -> impl Strategy<Value = Vec<u64>> {
        let word = prop_oneof![any::<u64>(), Just(u64::MAX), Just(1 << 63), 0..9_u64];
        prop::collection::vec(word, 256 * count)
    }

    fn check(others: &[u64], factors: &[u64], sums: &[Vec<(u32, u32)>]) {
        for ring in [Ring::new(256), Ring::narrow(256)] {
            let mut told = 0;
            let kept = Kept::new(ring, factors);
            let right = |i: usize, sum: &[u64]| {
                let mut wanted = vec![0; 256];
                for &(o, f) in &sums[i] {
                    let of = |all: &[u64], at: u32| all[256 * at as usize..][..256].to_vec();
                    schoolbook(&mut wanted, &of(others, o), &of(factors, f));
                }
                assert_eq!((i, sum), (told, &wanted[..]));
                told += 1;
            };
            kept.sums(others, sums, &mut { right }).unwrap();
            assert_eq!(told, sums.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_kinds_of_transforms_give_exact_sums(
            others in polynomials(2), factors in polynomials(3),
            sums in prop::collection::vec(prop::collection::vec((0..2_u32, 0..3_u32), 0..4), 1..4),
        ) {
            check(&others, &factors, &sums);
        }

        #[test]
        fn extraction_is_the_constant_coefficient(a in polynomials(1), s in polynomials(1)) {
            let mut wanted = vec![0; 256];
            schoolbook(&mut wanted, &a, &s);
            let mut mask = a;
            extract_constant(&mut mask, 256);
            let found = mask.iter().zip(&s).fold(0_u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
            prop_assert_eq!(found, wanted[0]);
        }
    }

    #[test]
    fn polynomials_that_are_not_there_are_named() {
        let kept = Kept::new(Ring::new(256), &[1; 512]);
        for pair in [(1, 0), (0, 2)] {
            let refused = kept.sums(&[1; 256], &[vec![pair]], &mut |_, _| ());
            let told = refused.unwrap_err().to_string();
            assert!(told.contains("not there"), "{told}");
        }
    }

    /// More products than are added before they are transformed back, of the largest numbers of either sign.
    #[test]
    fn long_sums_of_extremes_are_exact() {
        let signs = |signs: fn(usize) -> bool| {
            (0..256).map(move |i| if signs(i) { 1 << 63 } else { i64::MAX as u64 })
        };
        let others: Vec<u64> = signs(|_| true).chain(signs(|i| i % 2 == 0)).collect();
        let factors: Vec<u64> = signs(|_| true).chain(signs(|i| i > 0)).collect();
        let sums = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|pair| vec![pair; 130]);
        check(&others, &factors, &sums);
    }
}
