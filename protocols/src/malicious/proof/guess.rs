//! For tests: a prover that guesses where the challenges of a fold will be.
//!
//! Its claim is false by δ = c - ⟨U, V⟩. It adds D(t) = A·Π(t - ρ_j) to its polynomial, with as many roots ρ_j as the degree allows and
//! Σ_{t<k} D(t) = δ, so that the sum of the blocks is what its verifiers have. If the challenge is one of the roots the next
//! claim is true; otherwise it is false by D(r), and the prover guesses again. This is the best attack on the fold.

use std::cell::RefCell;

use super::field::Field;
use super::fold::Level;
use super::prime::Prime;

/// What the cheater knows.
pub(super) struct Guess {
    /// The integer by which the first relation is wrong.
    pub(super) wrong_by: u64,
    /// How likely all its guesses are to miss.
    pub(super) misses: f64,
    f: Option<Prime>,
    delta: u64,
    factor: u64,
    roots: Vec<u64>,
}

impl Guess {
    pub(super) fn new(wrong_by: u64) -> Self {
        Self {
            wrong_by,
            misses: 1.0,
            f: None,
            delta: 0,
            factor: 0,
            roots: Vec::new(),
        }
    }
}

thread_local! {
    /// Set at the cheater alone.
    pub(super) static GUESS: RefCell<Option<Guess>> = const { RefCell::new(None) };
}

/// The claim: the weight of the first relation is known now.
pub(super) fn begin(f: Prime, first: Option<u64>) {
    GUESS.with_borrow_mut(|guess| {
        if let (Some(guess), Some(lambda)) = (guess, first) {
            guess.delta = f.sub(0, f.mul(lambda, f.lift(guess.wrong_by)));
            guess.f = Some(f);
        }
    });
}

/// Π (t - ρ).
fn product(f: Prime, roots: &[u64], t: u64) -> u64 {
    roots.iter().fold(1, |p, &root| f.mul(p, f.sub(t, root)))
}

/// The level with the polynomial of the guess.
pub(super) fn bent(f: Prime, mut level: Level) -> Level {
    GUESS.with_borrow_mut(|guess| {
        let Some(guess) = guess else { return };
        let (degree, first) = (level.values.len(), level.forbidden());
        let choices = f.modulus() - first as u64;
        guess.misses *= 1.0 - degree as f64 / choices as f64;
        guess.roots = (first..first + degree).map(|i| f.point(i)).collect();
        let sum = (0..level.k).fold(0, |s, t| f.add(s, product(f, &guess.roots, f.point(t))));
        guess.factor = if sum == 0 {
            0
        } else {
            f.mul(guess.delta, f.inverse(sum))
        };
        for (t, value) in level.values.iter_mut().enumerate() {
            let d = product(f, &guess.roots, f.point(t + 1));
            *value = f.add(*value, f.mul(guess.factor, d));
        }
    });
    level
}

/// The challenge: by how much the next claim is false.
pub(super) fn learn(r: u64) {
    GUESS.with_borrow_mut(|guess| {
        if let Some(guess) = guess
            && let Some(f) = guess.f
        {
            guess.delta = f.mul(guess.factor, product(f, &guess.roots, r));
        }
    });
}
