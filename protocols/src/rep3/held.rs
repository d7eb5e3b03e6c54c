//! What one party holds of a shared vector inside a strand, seen from its role.

use std::num::Wrapping;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{R64, Role, Strand};

use super::bits::Plane;

/// A replicated sharing of a vector. With dealer D, shares are named ia = D+1 (D and A), ib = D (D and B), ic = D+2 (A and B).
#[derive(Clone)]
pub(crate) enum Held<T> {
    /// The dealer holds both halves; their sum is s.
    Dealer {
        /// Share ia.
        a: T,
        /// Share ib.
        b: T,
    },
    /// A or B holds its half and the common share c.
    Pair {
        /// Share ia at A, ib at B.
        half: T,
        /// Share ic.
        common: T,
    },
}

pub(crate) type Words = Vec<R64>;

impl<T> Held<T> {
    /// From the shares (i, i+1) that party P_i holds.
    pub(crate) fn from_party_order(role: Role, own: T, next: T) -> Self {
        match role {
            Role::Dealer => Self::Dealer { a: next, b: own },
            Role::A => Self::Pair {
                half: own,
                common: next,
            },
            Role::B => Self::Pair {
                half: next,
                common: own,
            },
        }
    }

    /// The shares (i, i+1) of party P_i.
    pub(crate) fn into_party_order(self, role: Role) -> (T, T) {
        match (self, role) {
            (Self::Dealer { a, b }, _) => (b, a),
            (Self::Pair { half, common }, Role::B) => (common, half),
            (Self::Pair { half, common }, _) => (half, common),
        }
    }

    /// The shares (i, i+1) of party P_i, where they are.
    pub(crate) fn party_order(&self, role: Role) -> (&T, &T) {
        match (self, role) {
            (Self::Dealer { a, b }, _) => (b, a),
            (Self::Pair { half, common }, Role::B) => (common, half),
            (Self::Pair { half, common }, _) => (half, common),
        }
    }

    /// Both components, in whatever order this role holds them.
    pub(crate) fn each<'t, U>(&'t self, mut f: impl FnMut(&'t T) -> U) -> Held<U> {
        match self {
            Self::Dealer { a, b } => Held::Dealer { a: f(a), b: f(b) },
            Self::Pair { half, common } => Held::Pair {
                half: f(half),
                common: f(common),
            },
        }
    }

    /// Both components turned into something else.
    pub(crate) fn map<U>(self, mut f: impl FnMut(T) -> U) -> Held<U> {
        match self {
            Self::Dealer { a, b } => Held::Dealer { a: f(a), b: f(b) },
            Self::Pair { half, common } => Held::Pair {
                half: f(half),
                common: f(common),
            },
        }
    }

    /// Changes both components by those of another sharing.
    pub(crate) fn zip_mut(&mut self, o: &Self, mut f: impl FnMut(&mut T, &T)) {
        match (self, o) {
            (Self::Dealer { a, b }, Self::Dealer { a: c, b: d }) => {
                f(a, c);
                f(b, d);
            }
            (Self::Pair { half, common }, Self::Pair { half: h, common: c }) => {
                f(half, h);
                f(common, c);
            }
            _ => unreachable!("one strand has one role"),
        }
    }

    /// The same linear map on both components of two sharings.
    pub(crate) fn zip<U>(&self, o: &Self, mut f: impl FnMut(&T, &T) -> U) -> Held<U> {
        match (self, o) {
            (Self::Dealer { a, b }, Self::Dealer { a: c, b: d }) => Held::Dealer {
                a: f(a, c),
                b: f(b, d),
            },
            (Self::Pair { half, common }, Self::Pair { half: h, common: c }) => Held::Pair {
                half: f(half, h),
                common: f(common, c),
            },
            _ => unreachable!("one strand has one role"),
        }
    }
}

impl Held<Words> {
    /// [`Self::side`] of a sharing that is not needed any more.
    pub(crate) fn into_side(self) -> Words {
        match self {
            Self::Dealer { mut a, b } => {
                vectorised(|| a.iter_mut().zip(b).for_each(|(a, b)| *a += b));
                a
            }
            Self::Pair { common, .. } => common,
        }
    }

    /// This party's side of the two-sided form x = c + s: c at A and B, s at the dealer. No communication.
    pub(crate) fn side(&self) -> Words {
        match self {
            Self::Dealer { a, b } => add(a, b),
            Self::Pair { common, .. } => common.clone(),
        }
    }

    /// Adds a public constant, by the common share.
    pub(crate) fn add_public(&mut self, c: R64) {
        if let Self::Pair { common, .. } = self {
            vectorised(|| common.iter_mut().for_each(|w| *w += c));
        }
    }
}

impl Held<Plane> {
    /// λ = the dealer's side of a bit b = m ⊕ λ; `None` at A and B.
    pub(crate) fn lambda(&self) -> Option<Plane> {
        match self {
            Self::Dealer { a, b } => Some(super::bits::xor(a, b)),
            Self::Pair { .. } => None,
        }
    }
}

/// Whether this party is A: constants of a formula that the pair shares are added by A alone.
pub(crate) fn is_a(strand: &Strand<'_>) -> bool {
    strand.role() == Role::A
}

pub(crate) fn add(x: &[R64], y: &[R64]) -> Words {
    vectorised(|| x.iter().zip(y).map(|(&x, &y)| x + y).collect())
}

/// The low `bits` bits.
pub(crate) fn mask(bits: u32) -> R64 {
    Wrapping(u64::MAX >> (64 - bits))
}
