//! Interpolation through the first points of a field.

use super::field::Field;

/// The points 0 … n - 1 with what their Lagrange polynomials need.
pub(super) struct Points<F> {
    f: F,
    /// 1 / Π_{m≠j} (point j - point m).
    weights: Vec<u64>,
}

impl<F: Field> Points<F> {
    pub(super) fn new(f: F, n: usize) -> Self {
        let product = |j: usize| {
            let others = (0..n).filter(|&m| m != j);
            others.fold(1, |w, m| f.mul(w, f.sub(f.point(j), f.point(m))))
        };
        let mut weights: Vec<u64> = (0..n).map(product).collect();
        invert(f, &mut weights);
        Self { f, weights }
    }

    /// L_0(r) … L_{n-1}(r): the polynomials of degree n - 1 that are 1 at one of the points and 0 at the others.
    pub(super) fn at(&self, r: u64) -> Vec<u64> {
        let (f, n) = (self.f, self.weights.len());
        let distance = |m: usize| f.sub(r, f.point(m));
        // L_j = weight_j · Π_{m<j} · Π_{m>j}.
        let mut values = Vec::with_capacity(n);
        let mut before = 1;
        for (m, &w) in self.weights.iter().enumerate() {
            values.push(f.mul(w, before));
            before = f.mul(before, distance(m));
        }
        let mut after = 1;
        for m in (0..n).rev() {
            values[m] = f.mul(values[m], after);
            after = f.mul(after, distance(m));
        }
        values
    }
}

/// Replaces numbers, none of which is zero, by their inverses, with one inversion for all (Montgomery, 1987).
fn invert<F: Field>(f: F, x: &mut [u64]) {
    // The products of those before each.
    let mut all = 1;
    let mut before = Vec::with_capacity(x.len());
    for &x in &*x {
        before.push(all);
        all = f.mul(all, x);
    }
    let mut inverse = f.inverse(all);
    for (x, before) in x.iter_mut().zip(before).rev() {
        (*x, inverse) = (f.mul(inverse, before), f.mul(inverse, *x));
    }
}

#[cfg(test)]
mod tests {
    use super::super::binary::Binary;
    use super::super::prime::Prime;
    use super::*;

    fn check<F: Field>(f: F) {
        for n in [1, 2, 5, 65] {
            let points = Points::new(f, n);
            let coefficients: Vec<u64> = (0..n as u64)
                .map(|i| f.uniform([i.wrapping_mul(0x9E37_79B9_7F4A_7C15), i]))
                .collect();
            let value = |t: u64| coefficients.iter().fold(0, |v, &c| f.add(f.mul(v, t), c));
            let known: Vec<u64> = (0..n).map(|i| value(f.point(i))).collect();
            for r in [0, f.point(n), f.uniform([u64::MAX, 77])] {
                assert_eq!(f.dot(points.at(r), known.iter().copied()), value(r));
            }
        }
    }

    #[test]
    fn a_polynomial_is_known_by_its_values() {
        check(Binary);
        check(Prime::from_seed(&[1; 32]));
    }
}
