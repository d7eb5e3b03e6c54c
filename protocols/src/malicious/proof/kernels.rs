//! The three loops in which a proof spends its time, for any field.

use super::field::Field;

/// out[k·j + l] += Σ u_j·v_l over all blocks of k consecutive elements of `u` and `v`, whose last block is whole.
///
/// All values of q(t) = Σ (Σ_j L_j(t)·u_j)·(Σ_l L_l(t)·v_l) follow from these k² sums: no block has to be extended to new points.
#[inline(always)]
pub(crate) fn gram<F: Field>(f: F, u: &[u64], v: &[u64], k: usize, out: &mut [F::Sum]) {
    match k {
        4 => gram_of::<F, 4>(f, u, v, out),
        8 => gram_of::<F, 8>(f, u, v, out),
        _ => {
            for (u, v) in u.chunks_exact(k).zip(v.chunks_exact(k)) {
                for (out, &u) in out.chunks_exact_mut(k).zip(u) {
                    out.iter_mut()
                        .zip(v)
                        .for_each(|(o, &v)| f.accumulate(o, u, v));
                }
            }
        }
    }
}

#[inline(always)]
fn gram_of<F: Field, const K: usize>(f: F, u: &[u64], v: &[u64], out: &mut [F::Sum]) {
    let mut sums = [[F::Sum::default(); K]; K];
    sums.iter_mut()
        .zip(out.chunks_exact(K))
        .for_each(|(s, o)| s.copy_from_slice(o));
    for (u, v) in u.as_chunks::<K>().0.iter().zip(v.as_chunks::<K>().0) {
        for (sums, &u) in sums.iter_mut().zip(u) {
            for (s, &v) in sums.iter_mut().zip(v) {
                f.accumulate(s, u, v);
            }
        }
    }
    out.chunks_exact_mut(K)
        .zip(sums)
        .for_each(|(o, s)| o.copy_from_slice(&s));
}

/// Appends Σ_j c_j·x_j for every block of `c.len()` consecutive elements of `blocks`, whose last block is whole.
#[inline(always)]
pub(crate) fn combine<F: Field>(f: F, blocks: &[u64], c: &[u64], out: &mut Vec<u64>) {
    out.extend(blocks.chunks_exact(c.len()).map(|block| {
        let mut sum = F::Sum::default();
        block
            .iter()
            .zip(c)
            .for_each(|(&x, &c)| f.accumulate(&mut sum, x, c));
        f.reduce(sum)
    }));
}

/// x ← x·y, element by element.
#[inline(always)]
pub(crate) fn scale<F: Field>(f: F, x: &mut [u64], y: &[u64]) {
    x.iter_mut().zip(y).for_each(|(x, &y)| *x = f.mul(*x, y));
}
