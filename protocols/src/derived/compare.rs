//! Comparisons: borrows of m - r, where m = x + r was opened and r is shared in bits.
//!
//! m is uniform over Z_2^64 because r is. x = m - r is negative, for |x| < 2^k, iff bit k of it is set:
//! m_k ⊕ r_k ⊕ \[m mod 2^k < r mod 2^k\], and the last is the carry of r + ~m, at whose positions r ∧ ~m generates and r ⊕ ~m hands
//! on, both local since m is public (Escudero et al., CRYPTO 2020; the circuit as in Damgård et al., TCC 2006, with a prefix
//! tree).

use tacit_mpc::{R64, Result};

use super::circuit::Circuit;
use super::correlation::{Correlation, draw};
use super::primitives::Primitives;
use super::share::{Bits, Words};
use crate::rep3::bits::to_bits;
use crate::trees::{self, Group};

/// Opens x + r for a fresh mask r; m, and the k low bits of r. One word opened, 1 round.
pub(super) async fn masked<P: Primitives>(
    c: &Circuit<'_, P>,
    x: &Words,
    k: u32,
) -> Result<(Vec<R64>, Bits)> {
    let what = Correlation::Mask {
        planes: k,
        shift: None,
    };
    let (r, planes) = draw(c, &what).await?;
    Ok((c.open(&x.plus(&r[0])).await?, planes))
}

/// The complements of the k low bits of public words, plane after plane.
fn complement(m: &[R64], k: u32) -> Vec<u64> {
    to_bits(m, k).iter().map(|m| !m).collect()
}

/// The bit \[m mod 2^k < r mod 2^k\] from the k low bits of r, k > 0. Less than 2k conjunctions, ⌈log2 k⌉ rounds.
pub(super) async fn below<P: Primitives>(
    c: &Circuit<'_, P>,
    m: &[R64],
    r: &Bits,
    k: u32,
) -> Result<Bits> {
    let not_m = complement(m, k);
    let (g, p) = (r.and_public(&not_m), c.xor_public(r, &not_m));
    let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
    trees::carry(c.plane(), g, p, &and).await
}

/// The bit \[x < 0\] for -2^k <= x < 2^k, 1 <= k <= 63. One word opened and less than 2k conjunctions, 1 + ⌈log2 k⌉ rounds.
pub(super) async fn negative<P: Primitives>(c: &Circuit<'_, P>, x: &Words, k: u32) -> Result<Bits> {
    let (m, r) = masked(c, x, k + 1).await?;
    let (low, plane) = (k as usize, c.plane());
    let borrow = below(c, &m, &r.cut(0, low * plane), k).await?;
    let sign = &to_bits(&m, k + 1)[low * plane..];
    Ok(c.xor_public(&borrow.xor(&r.cut(low * plane, (low + 1) * plane)), sign))
}

/// The bit \[x = 0\]: m = r in every bit. One word opened and 63 conjunctions, 7 rounds.
pub(super) async fn zero<P: Primitives>(c: &Circuit<'_, P>, x: &Words) -> Result<Bits> {
    let (m, r) = masked(c, x, 64).await?;
    let equal = c.xor_public(&r, &complement(&m, 64)).separate(c.plane());
    let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
    trees::all(c.plane(), equal, &and).await
}

/// Bits 0 to k - 1 of x, lowest first, 1 <= k <= 64: those of m - r. One word opened, 1 + ⌈log2 (k - 1)⌉ rounds.
pub(super) async fn bits<P: Primitives>(
    c: &Circuit<'_, P>,
    x: &Words,
    k: u32,
) -> Result<Vec<Bits>> {
    let (m, r) = masked(c, x, k).await?;
    let not_m = complement(&m, k);
    let (g, p) = (r.and_public(&not_m), c.xor_public(&r, &not_m));
    let (g, p) = (g.separate(c.plane()), p.separate(c.plane()));
    let groups = g.iter().zip(&p).take(k as usize - 1);
    let groups = groups.map(|(g, p)| Group {
        g: g.clone(),
        p: p.clone(),
    });
    let and = async |x: &Bits, y: &Bits| c.and(x, y).await;
    let borrows = trees::carries(c.plane(), groups.collect(), &and).await?;
    // m ⊕ r ⊕ borrow, where p is the complement of m ⊕ r.
    let sums = p.iter().enumerate().map(|(i, p)| match i {
        0 => c.not(p),
        _ => c.not(&p.xor(&borrows[i - 1])),
    });
    Ok(sums.collect())
}
