//! The noise of every step, and from it how likely a program goes wrong.
//!
//! Decryption is exact as long as no noise leaves its box, so a program's results are right except with a probability
//! that is known before it runs. Variances are in units of the whole torus squared. Formulas: Chillotti, Gama,
//! Georgieva, Izabachène, "TFHE: fast fully homomorphic encryption over the torus", J. Cryptology 2020, in the refined
//! form that tfhe publishes (`noise_formulas`; a test holds these here to those); the centred modulus switch as in tfhe's
//! `centered_mean_shifted_modulus_switch`. As everywhere in this field, noise is taken to be Gaussian beyond one step
//! and steps on different masks to be independent, though they share a key; sums of values that come from one bootstrap,
//! or from bootstraps of one mask, are *not*, and bounded by the triangle inequality.
//!
//! Why 2^-128: who sees that a decryption failed learns something of the key (security against chosen plaintexts with
//! decryption, IND-CPA-D, which Li and Micciancio, EUROCRYPT 2021, introduced for approximate schemes; failures bring
//! its attacks to exact ones), so failures must not happen at all.

mod classes;
mod mask;
#[cfg(test)]
mod measured;
mod program;
#[cfg(test)]
mod removed;
#[cfg(test)]
mod twins;
mod values;

use std::f64::consts::{LOG2_E, PI};

pub use program::{NoiseError, NoiseReport};

use crate::packing;
use crate::params::{Gadget, Params};

/// 2^64, and 2^32.
const Q: f64 = 18_446_744_073_709_551_616.0;
const Q32: f64 = 4_294_967_296.0;

/// The largest log2 of a failure probability that is ever served.
pub const LARGEST_LIMIT: f64 = -64.0;
/// The one that is asked for where nothing else is said.
pub const DEFAULT_LIMIT: f64 = -128.0;

/// Variances that the steps of a parameter set add, in units of the torus squared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variances {
    /// A value of an input, as it arrives.
    pub fresh: f64,
    /// What keyswitching to the small key adds.
    pub keyswitch: f64,
    /// What the centred switch to the modulus 2N adds.
    pub modulus_switch: f64,
    /// A coefficient after a blind rotation, whatever went in;
    pub rotation: f64,
    /// and what of it are errors of masks, which are correlated from coefficient to coefficient: rounding to digits, and
    /// floating point, of which it is not told which part reaches the body (so all of it counts).
    pub coloured: f64,
}

/// (2^(2b+1) + 1)/6: of TUniform(2^b).
fn t_uniform(b: u32) -> f64 {
    (2f64.powi(2 * b as i32 + 1) + 1.0) / 6.0
}

/// Of rounding to this many leading bits, 1/12 of a unit squared.
fn rounding(bits: u32) -> f64 {
    4f64.powi(-(bits as i32)) / 12.0
}

impl Params {
    /// What its steps add.
    #[must_use]
    pub fn variances(&self) -> Variances {
        let n = self.lwe_dimension() as f64;
        let k = self.glwe_dimension() as f64;
        let size = self.polynomial_size() as f64;
        let glwe = t_uniform(self.glwe_noise()) / (Q * Q);
        let row = glwe + rounding(self.key_bits());
        let digit = |base_log: u32| 4f64.powi(base_log as i32) / 12.0 + 1.0 / 6.0;

        // Σ over k·N coefficients and their digits of digit · noise, and half the digits' rounding errors, for key bits
        // are 0 or 1.
        let ks = self.keyswitch();
        let cut = 4f64.powi(-((ks.base_log * ks.levels) as i32));
        let keyswitch =
            f64::from(ks.levels) * k * size * digit(ks.base_log) * t_uniform(self.lwe_noise())
                / (Q32 * Q32)
                + k * size * cut / 24.0
                + rounding(32);

        // Each of n external products: k+1 polynomials of digits times rows, the rounding of what they leave, and the
        // 53 bits of floating-point numbers (an empirical fit of Zama's).
        let pbs = self.bootstrap();
        let l = f64::from(pbs.levels);
        let cut = 4f64.powi(-((pbs.base_log * pbs.levels) as i32));
        let fourier = 0.00705
            * 4f64.powi(64 - 53 + pbs.base_log as i32)
            * l.powf(1.01827)
            * k.powf(1.22003)
            * size.powf(2.22003)
            * (k + 1.0).powf(1.01827)
            / (Q * Q);
        let rounded = k * size * (cut / 48.0 + 1.0 / (96.0 * Q * Q));
        let white = l * size * (k + 1.0) * row * digit(pbs.base_log) + cut / 24.0;
        let coloured = n * (fourier + rounded);
        let rotation = n * white + coloured;

        let step = 1.0 / (2.0 * size);
        Variances {
            fresh: glwe + rounding(self.input_bits()),
            keyswitch,
            modulus_switch: step * step * (n / 48.0 + 1.0 / 12.0),
            rotation,
            coloured,
        }
    }

    /// What the centred switch of a result to `bits` bits adds.
    #[must_use]
    pub fn result_variance(&self, bits: u32) -> f64 {
        rounding(bits) * (self.long_dimension() as f64 / 4.0 + 1.0)
    }

    /// What packing results adds, at most: each of log2 N automorphisms adds the noise of a keyswitch, and doubles the
    /// deviation of what was there; results are rounded to 2^64/N before.
    #[must_use]
    pub fn packing_variance(&self) -> f64 {
        let (long, size) = (self.long_dimension() as f64, self.polynomial_size() as f64);
        let Gadget { base_log, levels } = packing::GADGET;
        let row = t_uniform(self.glwe_noise()) / (Q * Q) + rounding(packing::KEY_BITS);
        let switch =
            f64::from(levels) * long * (4f64.powi(base_log as i32) / 12.0 + 1.0 / 6.0) * row
                + long * 4f64.powi(-((base_log * levels) as i32)) / 24.0;
        let down = rounding(64 - self.polynomial_size().ilog2()) * (long / 2.0 + 1.0);
        switch * (size * size - 1.0) / 3.0 + down
    }
}

/// log2 of an upper bound of the probability that Gaussian noise of this variance leaves ±`half`:
/// erfc(z/√2) <= 2^(-z²/2·log2 e)/(z·√(π/2)).
#[must_use]
pub fn log2_tail(half: f64, variance: f64) -> f64 {
    if variance <= 0.0 {
        return if half > 0.0 { f64::NEG_INFINITY } else { 0.0 };
    }
    if half <= 0.0 {
        return 0.0;
    }
    let z = half / variance.sqrt();
    (-z * z / 2.0 * LOG2_E - (z * (PI / 2.0).sqrt()).log2()).min(0.0)
}

/// log2 of the sum of numbers given by their log2.
#[must_use]
pub fn log2_sum(all: impl IntoIterator<Item = f64>) -> f64 {
    all.into_iter().fold(f64::NEG_INFINITY, |a, b| {
        let (low, high) = (a.min(b), a.max(b));
        if high == f64::NEG_INFINITY {
            high
        } else {
            high + (low - high).exp2().ln_1p() * LOG2_E
        }
    })
}

#[cfg(test)]
mod tests {
    use tfhe::core_crypto::commons::noise_formulas::{
        centered_mean_shifted_modulus_switch as ms, lwe_keyswitch as ks,
        lwe_programmable_bootstrap as pbs,
    };
    use tfhe::core_crypto::prelude::{
        DecompositionBaseLog, DecompositionLevelCount, GlweDimension, LweDimension, PolynomialSize,
    };

    use super::{Params, log2_sum, log2_tail, rounding};

    #[test]
    fn the_formulas_are_those_that_zama_publishes() {
        for set in Params::catalogue() {
            let n = LweDimension(set.lwe_dimension());
            let (k, size) = (
                GlweDimension(set.glwe_dimension()),
                PolynomialSize(set.polynomial_size()),
            );
            let q = 2f64.powi(64);
            let gadget = |g: crate::params::Gadget| {
                (
                    DecompositionBaseLog(g.base_log as usize),
                    DecompositionLevelCount(g.levels as usize),
                )
            };
            let here = set.variances();
            let near = |a: f64, b: f64, what: &str| {
                let ratio = a / b;
                assert!(
                    (0.99..1.01).contains(&ratio),
                    "{} {what}: {ratio}",
                    set.name()
                );
            };
            let (base, levels) = gadget(set.keyswitch());
            let long = LweDimension(set.long_dimension());
            let there = ks::keyswitch_additive_variance_132_bits_security_tuniform(
                long, n, base, levels, q, q,
            );
            near(here.keyswitch, there.0, "keyswitch");
            let there = ms::centered_binary_shifted_modulus_switch_additive_variance(
                n,
                q,
                2.0 * size.0 as f64,
            );
            near(here.modulus_switch, there.0, "modulus switch");
            // Zama's formula knows no rounded keys: their part comes on top, as noise of rows.
            let (base, levels) = gadget(set.bootstrap());
            let there = pbs::pbs_variance_132_bits_security_tuniform_fft_mul(
                n, k, size, base, levels, 53.0, q,
            );
            let digits =
                (k.0 + 1) as f64 * size.0 as f64 * levels.0 as f64 * 4f64.powi(base.0 as i32)
                    / 12.0;
            let rounded = n.0 as f64 * digits * rounding(set.key_bits());
            near(here.rotation, there.0 + rounded, "rotation");
        }
    }

    #[test]
    fn tails_are_upper_bounds_and_tight() {
        // erfc(z/√2) at 1, 3, 6 and 10 (Abramowitz and Stegun).
        for (z, p) in [
            (1.0, 0.317_310_5_f64),
            (3.0, 2.699_796e-3),
            (6.0, 1.973_175e-9),
            (10.0, 1.523_971e-23),
        ] {
            let bound = log2_tail(z, 1.0);
            assert!(
                bound >= p.log2() && bound < p.log2() + 0.7 / z,
                "{z}: {bound} {}",
                p.log2()
            );
        }
        assert_eq!(log2_tail(0.0, 1.0), 0.0);
        assert!((log2_sum([-10.0; 8]) + 7.0).abs() < 1e-9);
        assert_eq!(log2_sum([]), f64::NEG_INFINITY);
    }
}
