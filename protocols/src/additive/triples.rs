//! Beaver triples (Beaver, CRYPTO 1991): what is spent on products.
//!
//! For random a, b and c = Σ a·b, all shared: d = x - a and e = y - b are opened, and Σ x·y = c + Σ (d·b + e·a + d·e), of which the last is
//! added by P_0. d and e are uniform whatever x and y are, as long as a triple is never used twice: a triple cannot be copied, and is gone
//! when it is spent.

use tacit_mpc::R64;
use tacit_mpc::kernels::vectorised;

/// This party's shares of triples over Z_2^64: a and b of each term, one after the other, and c of their sum.
pub struct WordTriples {
    pub(super) a: Vec<R64>,
    pub(super) b: Vec<R64>,
    pub(super) c: Vec<R64>,
}

/// This party's shares of triples over GF(2), in planes.
pub struct BitTriples {
    pub(super) a: Vec<u64>,
    pub(super) b: Vec<u64>,
    pub(super) c: Vec<u64>,
}

impl std::fmt::Debug for WordTriples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordTriples").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BitTriples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BitTriples").finish_non_exhaustive()
    }
}

impl WordTriples {
    /// x - a and then y - b, for factors of all terms one after the other.
    #[must_use]
    pub(super) fn mask(
        &self,
        x: impl Iterator<Item = R64>,
        y: impl Iterator<Item = R64>,
    ) -> Vec<R64> {
        let (x, y) = (x.zip(&self.a), y.zip(&self.b));
        x.chain(y).map(|(x, a)| x - a).collect()
    }

    /// This party's shares of the products, from what [`Self::mask`] was opened to.
    #[must_use]
    pub(super) fn spend(self, opened: &[R64], first: bool) -> Vec<R64> {
        let Self { a, b, mut c } = self;
        let (d, e) = opened.split_at(a.len());
        let n = c.len().max(1);
        let one = if first { u64::MAX } else { 0 };
        vectorised(|| {
            let terms = a
                .chunks(n)
                .zip(b.chunks(n))
                .zip(d.chunks(n).zip(e.chunks(n)));
            for ((a, b), (d, e)) in terms {
                for i in 0..c.len() {
                    let both = (d[i] * e[i]) & std::num::Wrapping(one);
                    c[i] += d[i] * b[i] + e[i] * a[i] + both;
                }
            }
        });
        c
    }
}

impl BitTriples {
    /// x ⊕ a and then y ⊕ b.
    #[must_use]
    pub(super) fn mask(&self, x: &[u64], y: &[u64]) -> Vec<u64> {
        let (x, y) = (x.iter().zip(&self.a), y.iter().zip(&self.b));
        x.chain(y).map(|(x, a)| x ^ a).collect()
    }

    /// This party's shares of the conjunctions, from what [`Self::mask`] was opened to.
    #[must_use]
    pub(super) fn spend(self, opened: &[u64], first: bool) -> Vec<u64> {
        let Self { a, b, mut c } = self;
        let (d, e) = opened.split_at(a.len());
        let one = if first { u64::MAX } else { 0 };
        vectorised(|| {
            for i in 0..c.len() {
                c[i] ^= d[i] & b[i] ^ e[i] & a[i] ^ d[i] & e[i] & one;
            }
        });
        c
    }
}
