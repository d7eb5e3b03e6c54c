//! Levels: which few numbers stand for all that a variable can be.

/// Integers 0 to `max` for numbers offset + scale · integer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    /// The number that 0 stands for.
    pub offset: f64,
    /// From one level to the next, more than 0.
    pub scale: f64,
    /// The largest integer.
    pub max: u16,
}

impl Levels {
    /// The integer nearest to a number.
    pub(super) fn round(self, x: f64) -> u16 {
        let level = ((x - self.offset) / self.scale).round();
        level.clamp(0.0, f64::from(self.max)) as u16
    }

    /// What an integer stands for.
    pub(super) fn number(self, level: u16) -> f64 {
        self.offset + self.scale * f64::from(level)
    }

    /// The levels by which numbers like these are rounded with the least mean square error: clipping the few largest can
    /// pay. None where all are equal. Where all have one sign, 0 is a level.
    pub(super) fn best(numbers: &[f64], max: u16) -> Option<Self> {
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low >= high || numbers.is_empty() {
            return None;
        }
        let step = numbers.len().div_ceil(MOST);
        let some: Vec<f64> = numbers.iter().copied().step_by(step).collect();
        let cuts = |end: f64, other: f64| -> Vec<f64> {
            // An end at 0 is a level of its own and stays.
            match end == 0.0 || end.abs() <= 1e-9 * other.abs() {
                true => vec![0.0],
                false => (0..CUTS)
                    .map(|k| end + (other - end) * f64::from(k) * 0.04)
                    .collect(),
            }
        };
        let (bottom, top) = match (low >= 0.0, high <= 0.0) {
            (true, _) if low <= 0.5 * high => (0.0, high),
            (_, true) if high >= 0.5 * low => (low, 0.0),
            _ => (low, high),
        };
        let mut best: Option<(f64, Self)> = None;
        for &offset in &cuts(bottom, top) {
            for &end in &cuts(top, bottom) {
                let scale = (end - offset) / f64::from(max);
                if !(scale > 0.0 && scale.is_finite()) {
                    continue;
                }
                let levels = Self { offset, scale, max };
                let error = |&x: &f64| (levels.number(levels.round(x)) - x).powi(2);
                let error: f64 = some.iter().map(error).sum();
                if best.is_none_or(|(least, _)| error < least) {
                    best = Some((error, levels));
                }
            }
        }
        best.map(|(_, levels)| levels)
    }
}

/// Ends that are tried on either side.
const CUTS: u32 = 21;

/// Numbers that errors are measured on.
const MOST: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_large_numbers_are_clipped_and_zero_is_a_level() {
        let mut numbers: Vec<f64> = (0..1000).map(|k| f64::from(k % 100) / 100.0).collect();
        numbers[17] = 8.0;
        let levels = Levels::best(&numbers, 3).unwrap();
        assert_eq!(levels.offset, 0.0);
        assert!(levels.scale > 0.25 && levels.scale < 0.6, "{levels:?}");
        assert_eq!((levels.round(-9.0), levels.round(99.0)), (0, 3));
        assert_eq!(Levels::best(&[2.0; 9], 3), None);
        // Both signs: neither end is 0.
        let both: Vec<f64> = numbers.iter().map(|x| x - 0.5).collect();
        assert!(Levels::best(&both, 7).unwrap().offset < -0.3);
    }
}
