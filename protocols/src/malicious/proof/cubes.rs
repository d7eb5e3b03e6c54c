//! The first two levels of the proof of AND gates: cubes in the place of lines.
//!
//! 64 gates of one weight τ_h are a cube of six variables: x_h(t) is the polynomial of degree 1 in each t_i that is bit b of the
//! gates at t = b ∈ {0, 1}^6. Gate b has the weight τ_h·ζ^b, ζ^b = Π_i ζ_i^{b_i}. With s, t for three variables each,
//!     q_1(s) = Σ_h τ_h·Σ_{b ∈ {0,1}^3} ζ''^b·(x_h(s, b)·y'_h(s, b) + y_h(s, b)·x'_h(s, b)),   Σ_b ζ'^b·q_1(b) = cL + cR,
//!     q_2(t) = Σ_h τ_h·(x_h(r_1, t)·y'_h(r_1, t) + y_h(r_1, t)·x'_h(r_1, t)),                  Σ_b ζ''^b·q_2(b) = q_1(r_1),
//! have degree 2 in each variable. The prover shares 26 of the 27 values at {0, 1, ∞}^3, each verifier finds the one at 0 from its
//! share of the claim, and q_2(r_2) = ⟨U(r_1, r_2), V(r_1, r_2)⟩ is the claim of the next level.
//!
//! This is the sum-check of products of multilinear polynomials (Lund, Fortnow, Karloff, Nisan, JACM 1992) in the place of one
//! fold of [`super::fold`], three variables a round, on shares as there: **new in this place, not peer reviewed**. The weights ζ^b stay outside of q, so that what is
//! summed over the gates is products of bits alone: 729 sums T_e = Σ_h τ_h·(x_e·y'_e + y_e·x'_e) of one pass over the gates give
//! both polynomials (Karatsuba's three products in each variable).
//!
//! Soundness: an error is a nonzero polynomial in τ and ζ, of degree 7; a false claim survives a level only where a nonzero
//! polynomial of degree 6 vanishes at r (Schwartz, Zippel): 7/2^64 + 2·6/2^64. No r is forbidden, because nothing is opened here.

use super::binary::Binary;
use super::bit_kernels::{CUBE, ROWS};
use super::field::Field;

/// Variables of a level.
const VARIABLES: usize = 3;
/// Values of a level, of which the first is not sent.
const VALUES: usize = 27;
/// Sent at a level.
pub(super) const SENT: usize = VALUES - 1;

/// A point of the field in the variables of one level.
pub(super) type Point = [u64; VARIABLES];

/// Both levels at one party.
pub(super) struct Cubes {
    /// T_e, the digits of e those of the six variables, least significant first.
    table: Vec<u64>,
    zeta: [u64; 2 * VARIABLES],
    /// The first challenge.
    first: Option<Point>,
}

/// The weights of the bits of a column: ζ^b.
pub(super) fn weights(zeta: &[u64; 2 * VARIABLES]) -> [u64; ROWS] {
    products(zeta.map(|z| [1, z]))
}

/// What the bits of a column are folded with: Π_i (b_i ? r_i : 1 + r_i).
pub(super) fn folding(points: [Point; 2]) -> [u64; ROWS] {
    let [s, t] = points;
    products([s[0], s[1], s[2], t[0], t[1], t[2]].map(|r| [1 ^ r, r]))
}

/// All products of one of the factors of each variable, the first variable's lowest.
fn products<const N: usize, const D: usize, const V: usize>(factors: [[u64; D]; V]) -> [u64; N] {
    const { assert!(D.pow(V as u32) == N) };
    let digit = |e: usize, i: usize| e / D.pow(i as u32) % D;
    std::array::from_fn(|e| (0..V).fold(1, |p, i| Binary.mul(p, factors[i][digit(e, i)])))
}

/// The weights of the values at {0, 1, ∞}^3 in the value at r: 1 + r, r, r·(1 + r) for each variable.
fn interpolation(r: Point) -> [u64; VALUES] {
    products(r.map(|r| [1 ^ r, r, Binary.mul(r, 1 ^ r)]))
}

/// The number of b ∈ {0, 1}^3 among the points.
fn corner(b: usize) -> usize {
    (0..VARIABLES).fold(0, |e, i| e + (b >> i & 1) * 3usize.pow(i as u32))
}

impl Cubes {
    /// From the sums of one's own proof.
    pub(super) fn new(table: Vec<u64>, zeta: [u64; 2 * VARIABLES]) -> Self {
        debug_assert_eq!(table.len(), CUBE);
        Self {
            table,
            zeta,
            first: None,
        }
    }

    /// ζ^b of this level's variables.
    fn weights(&self) -> [u64; 1 << VARIABLES] {
        let [a, b, c, d, e, f] = self.zeta;
        let zeta = if self.first.is_none() {
            [a, b, c]
        } else {
            [d, e, f]
        };
        products(zeta.map(|z| [1, z]))
    }

    /// The values that this party sends: all but the first.
    pub(super) fn values(&self) -> Vec<u64> {
        let (rows, columns) = (self.table.as_chunks::<VALUES>().0, 1..VALUES);
        let Some(first) = self.first else {
            // Σ_b ζ''^b over the upper variables.
            let [.., d, e, f] = self.zeta;
            let zeta: [u64; 1 << VARIABLES] = products([d, e, f].map(|z| [1, z]));
            let value = |e: usize| Binary.dot(zeta, (0..zeta.len()).map(|b| rows[corner(b)][e]));
            return columns.map(value).collect();
        };
        let weights = interpolation(first);
        let value = |e: usize| Binary.dot(weights, rows[e].iter().copied());
        columns.map(value).collect()
    }

    /// A share of the claim that a level leaves, from a share of its claim and of its values.
    pub(super) fn claim(&self, claim: u64, values: &[u64], r: Point) -> u64 {
        let corners = (1..1 << VARIABLES).map(|b| values[corner(b) - 1]);
        let zero = claim ^ Binary.dot(self.weights().into_iter().skip(1), corners);
        let values = std::iter::once(zero).chain(values.iter().copied());
        Binary.dot(interpolation(r), values)
    }

    /// Goes on with a challenge; both of them after the second level.
    pub(super) fn absorb(&mut self, r: Point) -> Option<[Point; 2]> {
        let both = self.first.map(|first| [first, r]);
        self.first = Some(r);
        both
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(seed: u64) -> impl FnMut() -> u64 {
        let mut x = seed;
        move || {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            x ^ x >> 29
        }
    }

    /// On one column of bits: the weighted sum of products at the corners is the claim of the first level, the product of the
    /// folded columns that of the last; a wrong value leaves a wrong claim.
    #[test]
    fn both_levels_lead_from_the_sum_to_the_product_of_the_folded() {
        let mut next = words(7);
        let (x, y, tau) = (next(), next(), next());
        let bit = |w: u64, b: usize| w >> b & 1;
        let extended = |w: u64, e: usize| {
            let digit = |i: u32| e / 3usize.pow(i) % 3;
            let counts = |b: &usize| (0..6).all(|i| digit(i) == 2 || digit(i) == *b >> i & 1);
            (0..64).filter(counts).fold(0, |s, b| s ^ bit(w, b))
        };
        let table = (0..CUBE).map(|e| tau * (extended(x, e) & extended(y, e)));
        let zeta = [(); 6].map(|()| next());
        let mut cubes = Cubes::new(table.collect(), zeta);
        let both = (0..64).map(|b| tau * (bit(x, b) & bit(y, b)));
        let mut claims = [Binary.dot(weights(&zeta), both), next()];
        let mut points = None;
        for level in 0..2 {
            let values = cubes.values();
            assert_eq!(values.len(), SENT);
            let mut wrong = values.clone();
            wrong[level * 11] ^= 4;
            let r = [(); 3].map(|()| next());
            let claim = claims[0];
            assert_ne!(
                cubes.claim(claim, &wrong, r),
                cubes.claim(claim, &values, r)
            );
            // In shares.
            let masks: Vec<u64> = values.iter().map(|_| next()).collect();
            let masked: Vec<u64> = values.iter().zip(&masks).map(|(v, m)| v ^ m).collect();
            let share = cubes.claim(claims[1], &masks, r);
            let other = cubes.claim(claim ^ claims[1], &masked, r);
            assert_eq!(share ^ other, cubes.claim(claim, &values, r));
            claims[0] = share ^ other;
            points = cubes.absorb(r);
        }
        let kappa = folding(points.unwrap());
        let folded = |w: u64| Binary.dot(kappa, (0..64).map(|b| bit(w, b)));
        let product = Binary.mul(tau, Binary.mul(folded(x), folded(y)));
        assert_eq!(claims[0], product);
    }

    /// The best that a prover can do with a false claim: a polynomial that is wrong by D, Σ_b ζ^b·D(b) being what the claim is wrong
    /// by, and vanishes where it guesses the challenge. The next claim is true where the guess was right in one variable of D's
    /// linear factors, and nowhere else.
    #[test]
    fn a_false_claim_survives_a_guessed_challenge_and_no_other() {
        let mut next = words(11);
        let table: Vec<u64> = (0..CUBE).map(|_| next()).collect();
        let cubes = Cubes::new(table, [(); 6].map(|()| next()));
        let (wrong_by, guess) = (next(), [(); 3].map(|()| next()));
        // D = A·Π (s_i - ρ_i)·(s_i - ρ_i - 1), degree 6: at {0, 1, ∞} of each variable.
        let factor = |i: usize, e: usize| {
            let at = |s: u64| Binary.mul(s ^ guess[i], s ^ guess[i] ^ 1);
            [at(0), at(1), 1][e / 3usize.pow(i as u32) % 3]
        };
        let d = |e: usize| (0..3).fold(1, |p, i| Binary.mul(p, factor(i, e)));
        let sum = Binary.dot(cubes.weights(), (0..8).map(|b| d(corner(b))));
        let scale = Binary.mul(wrong_by, Binary.inverse(sum));
        let honest = cubes.values();
        let bent: Vec<u64> = (1..VALUES)
            .map(|e| honest[e - 1] ^ Binary.mul(scale, d(e)))
            .collect();
        let claim = next();
        let survives =
            |r: Point| cubes.claim(claim ^ wrong_by, &bent, r) == cubes.claim(claim, &honest, r);
        for i in 0..3 {
            for root in [guess[i], guess[i] ^ 1] {
                let mut r = [(); 3].map(|()| next());
                assert!(!survives(r));
                r[i] = root;
                assert!(survives(r));
            }
        }
    }
}
