//! The two loops in which a proof spends its time, for any field.

use super::field::Field;

/// Where the sum of the pair (j, l) or (l, j) stands among k².
#[inline(always)]
pub(crate) fn pair(j: usize, l: usize, k: usize) -> usize {
    j.min(l) * k + j.max(l)
}

/// Adds Σ u_j·v_j to out[k·j + j] and Σ (u_j + u_l)·(v_j + v_l) to out[k·j + l] for j < l, over all blocks of k consecutive elements
/// of `u` and `v`, whose last block is whole.
///
/// All values of q(t) = Σ (Σ_j L_j(t)·u_j)·(Σ_l L_l(t)·v_l) follow from these sums ([`symmetric`]): no block has to be extended to
/// new points, and u_j·v_l + u_l·v_j, which L_j·L_l multiplies, takes one product and not two (Karatsuba, Ofman, 1962).
#[inline(always)]
pub(crate) fn gram<F: Field>(f: F, u: &[u64], v: &[u64], k: usize, out: &mut [F::Sum]) {
    match k {
        4 => gram_of::<F, 4>(f, u, v, out),
        8 => gram_of::<F, 8>(f, u, v, out),
        16 => gram_of::<F, 16>(f, u, v, out),
        _ => {
            for (u, v) in u.chunks_exact(k).zip(v.chunks_exact(k)) {
                for j in 0..k {
                    f.accumulate(&mut out[k * j + j], u[j], v[j]);
                    for l in j + 1..k {
                        f.accumulate_sums(&mut out[k * j + l], [u[j], u[l]], [v[j], v[l]]);
                    }
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
        for (j, sums) in sums.iter_mut().enumerate() {
            f.accumulate(&mut sums[j], u[j], v[j]);
            for l in j + 1..K {
                f.accumulate_sums(&mut sums[l], [u[j], u[l]], [v[j], v[l]]);
            }
        }
    }
    out.chunks_exact_mut(K)
        .zip(sums)
        .for_each(|(o, s)| o.copy_from_slice(&s));
}

/// From the sums of [`gram`] those of products: Σ u_j·v_j at k·j + j, Σ u_j·v_l + u_l·v_j at k·j + l for j < l, and zeros.
pub(crate) fn symmetric<F: Field>(f: F, sums: Vec<F::Sum>, k: usize) -> Vec<u64> {
    let mut sums: Vec<u64> = sums.into_iter().map(|s| f.reduce(s)).collect();
    for j in 0..k {
        for l in j + 1..k {
            let ends = f.add(sums[k * j + j], sums[k * l + l]);
            sums[k * j + l] = f.sub(sums[k * j + l], ends);
        }
    }
    sums
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
