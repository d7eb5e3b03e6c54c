//! Rotary positional embeddings (Su et al., RoFormer, arXiv 2104.09864).

use super::invalid;
use crate::{Edge, Graph, Result};

/// Rotates pairs of the first `dim` entries of every head of `x` \[batch, heads, length, size\] by the angles whose cosines and
/// sines \[batch or 1, length, dim/2\] are given. Pair i is (i, i + dim/2), or (2i, 2i + 1) if `interleaved`. All products of
/// an entry are rounded once.
///
/// # Errors
/// Shapes that do not fit.
pub fn rotary_embedding(
    g: &mut Graph,
    x: Edge,
    cos: Edge,
    sin: Edge,
    dim: usize,
    interleaved: bool,
) -> Result<Edge> {
    let shape = g.shape(x)?.to_vec();
    let [_, _, length, size] = shape[..] else {
        return Err(invalid(format!(
            "rotary embeddings are of [batch, heads, length, size], not {shape:?}"
        )));
    };
    let half = dim / 2;
    if !dim.is_multiple_of(2) || dim > size || dim == 0 {
        return Err(invalid(format!(
            "{dim} of {size} entries of a head cannot be rotated in pairs"
        )));
    }
    // Where the first and the second of each pair lie, and from those, which pair an entry is of.
    let (first, second): (Vec<usize>, Vec<usize>) = if interleaved {
        (0..half).map(|i| (2 * i, 2 * i + 1)).unzip()
    } else {
        (0..half).map(|i| (i, i + half)).unzip()
    };
    let mut pair = vec![0; dim];
    // The place of each entry's partner among all seconds, then all firsts.
    let mut partner = vec![0; dim];
    for i in 0..half {
        (pair[first[i]], pair[second[i]]) = (i, i);
        (partner[first[i]], partner[second[i]]) = (i, half + i);
    }
    let mut angles = |v: Edge| {
        let given = g.shape(v)?.to_vec();
        match given[..] {
            [batch, l, h] if (l, h) == (length, half) => {
                let v = g.gather(v, 2, &pair)?;
                g.reshape(v, &[batch, 1, length, dim])
            }
            _ => Err(invalid(format!(
                "cosines and sines are [batch, {length}, {half}], not {given:?}"
            ))),
        }
    };
    let (cos, sin) = (angles(cos)?, angles(sin)?);
    let rotated = g.slice(x, 3, 0..dim)?;
    let seconds = g.gather(rotated, 3, &second)?;
    let minus = g.linear(&[(-1, seconds)], 0.0)?;
    let firsts = g.gather(rotated, 3, &first)?;
    let other = g.concat(3, &[minus, firsts])?;
    let other = g.gather(other, 3, &partner)?;
    let straight = g.mul(rotated, cos)?;
    let across = g.mul(other, sin)?;
    let y = g.add(straight, across)?;
    if dim == size {
        return Ok(y);
    }
    let rest = g.slice(x, 3, dim..size)?;
    g.concat(3, &[y, rest])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::{assert_close, eval, numbers};

    #[test]
    fn pairs_are_rotated_by_their_angle() {
        let x = numbers(&[2, 3, 4, 6], 1);
        let angle = numbers(&[1, 4, 2], 2);
        for interleaved in [false, true] {
            let xs = [x.clone(), angle.mapv(f64::cos), angle.mapv(f64::sin)];
            let y = eval(&xs, |g, e| {
                Ok(vec![rotary_embedding(g, e[0], e[1], e[2], 4, interleaved)?])
            });
            let mut want = x.clone();
            for ((n, h, l), i) in [0, 1]
                .iter()
                .flat_map(|&n| (0..3).flat_map(move |h| (0..4).map(move |l| (n, h, l))))
                .flat_map(|at| [(at, 0), (at, 1)])
            {
                let (a, b) = if interleaved {
                    (2 * i, 2 * i + 1)
                } else {
                    (i, i + 2)
                };
                let (s, c) = angle[[0, l, i]].sin_cos();
                let (u, v) = (x[[n, h, l, a]], x[[n, h, l, b]]);
                want[[n, h, l, a]] = c * u - s * v;
                want[[n, h, l, b]] = s * u + c * v;
            }
            assert_close(&y[0], &want, 1e-12);
        }
    }

    #[test]
    fn misfits_are_refused() {
        let mut g = Graph::new();
        let x = g.input(&[1, 1, 4, 6]);
        let angles = g.input(&[1, 4, 2]);
        assert!(rotary_embedding(&mut g, x, angles, angles, 3, false).is_err());
        assert!(rotary_embedding(&mut g, x, angles, angles, 8, false).is_err());
        assert!(rotary_embedding(&mut g, x, angles, angles, 6, false).is_err());
        assert!(rotary_embedding(&mut g, angles, angles, angles, 4, false).is_err());
    }
}
