//! What one party holds of a shared vector or tensor, and what is local on it.

use std::rc::Rc;

use tacit_mpc::R64;
use tacit_mpc::kernels::vectorised;

/// The components that this party holds of a shared value: one where shares are additive, two of three where they are replicated
/// among three. The value is a linear function of the components of all parties, so a linear map of values is the same map of
/// each component. Immutable and counted.
pub struct Shared<T> {
    parts: Rc<Vec<T>>,
}

/// Shares of words of Z_2^64.
pub type Words = Shared<Vec<R64>>;

/// Shares of bits in planes, one plane after the other: value i of a plane is bit i mod 64 of its word i / 64, and bits past the
/// last value are unspecified and never sent.
pub type Bits = Shared<Vec<u64>>;

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            parts: Rc::clone(&self.parts),
        }
    }
}

impl<T> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    /// From all components, in the protocol's order, of one length or shape.
    #[must_use]
    pub fn new(parts: Vec<T>) -> Self {
        Self {
            parts: Rc::new(parts),
        }
    }

    /// The components.
    #[must_use]
    pub fn parts(&self) -> &[T] {
        &self.parts
    }

    /// The components, copied only where somebody else still holds them.
    #[must_use]
    pub fn into_parts(self) -> Vec<T>
    where
        T: Clone,
    {
        Rc::unwrap_or_clone(self.parts)
    }

    /// The same local map of each component.
    pub fn each<U>(&self, f: impl FnMut(&T) -> U) -> Shared<U> {
        Shared::new(self.parts.iter().map(f).collect())
    }

    /// The same local map of each component, if it goes well on all.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_each<U, E>(&self, f: impl FnMut(&T) -> Result<U, E>) -> Result<Shared<U>, E> {
        let parts: Result<_, E> = self.parts.iter().map(f).collect();
        Ok(Shared::new(parts?))
    }

    /// The same local map of each component of two sharings.
    pub fn zip<U, V>(&self, other: &Shared<U>, mut f: impl FnMut(&T, &U) -> V) -> Shared<V> {
        let both = self.parts.iter().zip(&*other.parts);
        Shared::new(both.map(|(x, y)| f(x, y)).collect())
    }
}

impl<W: Copy> Shared<Vec<W>> {
    /// Words of each component.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.first().map_or(0, Vec::len)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Words `start` to `end` of each component.
    #[must_use]
    pub fn cut(&self, start: usize, end: usize) -> Self {
        self.each(|x| x[start..end].to_vec())
    }

    /// Vectors one after the other; there is at least one.
    #[must_use]
    pub fn concat(all: &[&Self]) -> Self {
        let count = all.first().map_or(0, |x| x.parts.len());
        let part = |k: usize| {
            let mut joined = Vec::with_capacity(all.iter().map(|x| x.len()).sum());
            all.iter()
                .for_each(|x| joined.extend_from_slice(&x.parts[k]));
            joined
        };
        Self::new((0..count).map(part).collect())
    }

    /// Vectors of `n` words each that lie one after the other.
    #[must_use]
    pub fn separate(&self, n: usize) -> Vec<Self> {
        let count = self.len().checked_div(n).unwrap_or(0);
        (0..count).map(|k| self.cut(k * n, (k + 1) * n)).collect()
    }
}

impl Words {
    /// The sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, |x, y| {
            vectorised(|| x.iter().zip(y).map(|(x, y)| x + y).collect())
        })
    }

    /// The difference.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.zip(other, |x, y| {
            vectorised(|| x.iter().zip(y).map(|(x, y)| x - y).collect())
        })
    }

    /// The multiple by a number that everybody knows.
    #[must_use]
    pub fn times(&self, c: R64) -> Self {
        if c.0 == 1 {
            return self.clone();
        }
        self.each(|x| vectorised(|| x.iter().map(|x| c * x).collect()))
    }

    /// Each word times one that everybody knows.
    #[must_use]
    pub fn times_each(&self, c: &[R64]) -> Self {
        self.each(|x| vectorised(|| x.iter().zip(c).map(|(x, c)| x * c).collect()))
    }
}

impl Bits {
    /// The exclusive or.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        self.zip(other, |x, y| {
            vectorised(|| x.iter().zip(y).map(|(x, y)| x ^ y).collect())
        })
    }

    /// The conjunction with bits that everybody knows.
    #[must_use]
    pub fn and_public(&self, bits: &[u64]) -> Self {
        self.each(|x| vectorised(|| x.iter().zip(bits).map(|(x, b)| x & b).collect()))
    }
}
