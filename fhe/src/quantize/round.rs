//! Rounding the factors of a sum together: each makes up for what the others lost (in the line of GPTQ, Frantar, Ashkboos,
//! Hoefler, Alistarh, ICLR 2023; here by coordinate descent, and under a bound on the worst input).

use super::gram::Gram;

/// What a sum of integers may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<'a> {
    /// How far apart the lowest and the highest value may be, from the worst inputs,
    pub reach: i64,
    /// where each summand goes from 0 to this.
    pub widths: &'a [i64],
}

/// Integer factors, and what a unit of their sum is worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rounded {
    pub weights: Vec<i32>,
    pub unit: f64,
}

/// The largest factor.
const LARGEST: f64 = 1e6;

/// How often all factors are gone through.
const PASSES: usize = 4;

/// Integers w and a unit δ for which δ · Σ w x is near to Σ factor · x on the sample, with Σ |w| · width within the bound.
pub(super) fn within(gram: &Gram, wanted: &[f64], factors: &[f64], bound: Bound<'_>) -> Rounded {
    let fits = |unit: f64| {
        let each = factors.iter().zip(bound.widths);
        let reach: f64 = each
            .map(|(f, &w)| (f / unit).abs().min(LARGEST).round() * w as f64)
            .sum();
        reach <= bound.reach as f64
    };
    // The finest unit that fits by plain rounding, by halving.
    let largest = factors.iter().fold(0.0_f64, |most, f| most.max(f.abs()));
    if largest == 0.0 {
        return Rounded {
            weights: vec![0; factors.len()],
            unit: 1.0,
        };
    }
    let (mut fine, mut coarse) = (largest / LARGEST, 2.1 * largest);
    for _ in 0..40 {
        let middle = (fine * coarse).sqrt();
        if fits(middle) {
            coarse = middle
        } else {
            fine = middle
        }
    }
    // Finer units make the largest factors exact, and small ones are left out: it matters where factors are few units.
    let few = bound.reach < 8 * bound.widths.iter().sum::<i64>();
    let finer: &[f64] = if few {
        &[1.0, 0.85, 0.72, 0.6, 0.5]
    } else {
        &[1.0]
    };
    let candidates = finer.iter().map(|by| by * coarse);
    let mut best: Option<(f64, Rounded)> = None;
    for unit in candidates {
        let mut descent = Descent::new(gram, wanted, factors, unit);
        descent.shrink(bound);
        descent.descend(Some(bound));
        let (gain, unit) = descent.gain();
        if best.as_ref().is_none_or(|(most, _)| gain > *most) {
            let weights = descent.weights;
            best = Some((gain, Rounded { weights, unit }));
        }
    }
    best.map_or_else(
        || Rounded {
            weights: vec![0; factors.len()],
            unit: coarse,
        },
        |(_, rounded)| rounded,
    )
}

/// The same for a given unit, without a bound.
pub(super) fn to_unit(gram: &Gram, wanted: &[f64], factors: &[f64], unit: f64) -> Vec<i32> {
    let mut descent = Descent::new(gram, wanted, factors, unit);
    descent.descend(None);
    descent.weights
}

/// Integers on their way down: they minimise wᵀHw - 2 wᵀt for t = wanted/unit.
struct Descent<'a> {
    gram: &'a Gram,
    weights: Vec<i32>,
    /// t.
    wanted: Vec<f64>,
    unit: f64,
    /// H · w.
    product: Vec<f64>,
}

impl<'a> Descent<'a> {
    fn new(gram: &'a Gram, wanted: &[f64], factors: &[f64], unit: f64) -> Self {
        let mut descent = Self {
            gram,
            weights: vec![0; factors.len()],
            wanted: wanted.iter().map(|w| w / unit).collect(),
            unit,
            product: vec![0.0; factors.len()],
        };
        for (k, factor) in factors.iter().enumerate() {
            // What does not vary on the sample is part of the intercept.
            if gram.variance(k) > 0.0 {
                let start = (factor / unit).round().clamp(-LARGEST, LARGEST) as i32;
                descent.step(k, start);
            }
        }
        descent
    }

    fn step(&mut self, k: usize, by: i32) {
        if by != 0 {
            self.weights[k] += by;
            self.gram.add_column(k, f64::from(by), &mut self.product);
        }
    }

    fn reach(&self, bound: Bound<'_>) -> i64 {
        let each = self.weights.iter().zip(bound.widths);
        each.map(|(&w, width)| i64::from(w.abs()) * width).sum()
    }

    /// What moving a weight by one towards 0 costs.
    fn cost(&self, k: usize) -> f64 {
        let sign = f64::from(self.weights[k].signum());
        self.gram.diagonal(k) + 2.0 * sign * (self.wanted[k] - self.product[k])
    }

    /// Takes away where it costs least until the bound is kept.
    fn shrink(&mut self, bound: Bound<'_>) {
        let mut reach = self.reach(bound);
        while reach > bound.reach {
            let open = (0..self.weights.len()).filter(|&k| self.weights[k] != 0);
            let per = |k: usize| self.cost(k) / bound.widths[k] as f64;
            let Some(k) = open.min_by(|&a, &b| per(a).total_cmp(&per(b))) else {
                return;
            };
            self.step(k, -self.weights[k].signum());
            reach -= bound.widths[k];
        }
    }

    /// Moves each weight to where it is best, given the others.
    fn descend(&mut self, bound: Option<Bound<'_>>) {
        let mut left = bound.map_or(i64::MAX, |bound| bound.reach - self.reach(bound));
        for _ in 0..PASSES {
            let mut moved = false;
            for k in 0..self.weights.len() {
                if self.gram.variance(k) <= 0.0 {
                    continue;
                }
                let w = self.weights[k];
                let better = (self.wanted[k] - self.product[k]) / self.gram.diagonal(k);
                let mut to = (f64::from(w) + better).round().clamp(-LARGEST, LARGEST) as i32;
                if let Some(bound) = bound {
                    let width = bound.widths[k];
                    let most = i64::from(w.abs()) + left.div_euclid(width.max(1));
                    let most = i32::try_from(most).unwrap_or(i32::MAX);
                    to = to.clamp(-most, most);
                    left -= (i64::from(to.abs()) - i64::from(w.abs())) * width;
                }
                moved |= to != w;
                self.step(k, to - w);
            }
            if !moved {
                return;
            }
        }
    }

    /// How much of what is wanted is kept, with the best unit, and that unit.
    fn gain(&self) -> (f64, f64) {
        let each = self.weights.iter().map(|&w| f64::from(w));
        let square: f64 = each.clone().zip(&self.product).map(|(w, p)| w * p).sum();
        let product: f64 = each.zip(&self.wanted).map(|(w, t)| w * t).sum();
        if square <= 0.0 || product <= 0.0 {
            return (0.0, self.unit);
        }
        let by = product / square;
        (self.unit * self.unit * product * by, self.unit * by)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;

    fn setup(rows: usize) -> (Gram, Vec<f64>, Array1<f64>) {
        let mut seed = 1_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as f64 / 2f64.powi(31)
        };
        // Neighbours vary together.
        let mut samples = Array2::from_shape_fn((rows, 12), |_| (4.0 * random()).floor());
        for r in 0..rows {
            for k in (1..12).step_by(2) {
                samples[[r, k]] = (samples[[r, k - 1]] + f64::from(random() > 0.7)).min(3.0);
            }
        }
        let factors: Vec<f64> = (0..12).map(|_| random() - 0.5).collect();
        let y = samples.dot(&Array1::from(factors.clone()));
        (Gram::new(samples), factors, y)
    }

    fn error(gram: &Gram, y: &Array1<f64>, w: &[i32]) -> f64 {
        let (slope, _) = gram.line(w, y).unwrap();
        let y = y - y.mean().unwrap();
        let w: Array1<f64> = w.iter().map(|&w| f64::from(w)).collect();
        let off = y - slope * gram.centred.dot(&w);
        off.dot(&off)
    }

    #[test]
    fn rounding_together_beats_rounding_alone_and_keeps_the_bound() {
        let (gram, factors, y) = setup(300);
        let wanted = gram.wanted(&y, &factors);
        let widths = [3; 12];
        for reach in [31, 63, 127] {
            let bound = Bound {
                reach,
                widths: &widths,
            };
            let rounded = within(&gram, &wanted, &factors, bound);
            let sum: i64 = rounded.weights.iter().map(|w| 3 * i64::from(w.abs())).sum();
            assert!(sum <= reach, "{sum} beyond {reach}");
            // The best plain rounding within the same bound.
            let plain = (1..400).filter_map(|k| {
                let unit = f64::from(k) * 0.005;
                let w: Vec<i32> = factors.iter().map(|f| (f / unit).round() as i32).collect();
                let sum: i64 = w.iter().map(|w| 3 * i64::from(w.abs())).sum();
                (sum <= reach && sum > 0).then(|| error(&gram, &y, &w))
            });
            let plain = plain.fold(f64::INFINITY, f64::min);
            let together = error(&gram, &y, &rounded.weights);
            assert!(
                together < 0.8 * plain,
                "{reach}: {together} against {plain}"
            );
        }
    }

    #[test]
    fn what_does_not_vary_has_no_weight() {
        let samples = Array2::from_shape_fn((9, 2), |(r, k)| if k == 0 { 3.0 } else { r as f64 });
        let gram = Gram::new(samples);
        let y = Array1::from_iter((0..9).map(|r| 6.0 + f64::from(r)));
        let wanted = gram.wanted(&y, &[2.0, 1.0]);
        let weights = to_unit(&gram, &wanted, &[2.0, 1.0], 0.5);
        assert_eq!(weights, [0, 2]);
        let (slope, intercept) = gram.line(&weights, &y).unwrap();
        assert!((slope - 0.5).abs() < 1e-9 && (intercept - 6.0).abs() < 1e-9);
    }
}
