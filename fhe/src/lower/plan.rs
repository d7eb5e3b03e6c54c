//! Which bootstraps bring a value of an interval down to boxes, on a given torus.
//!
//! The search is greedy: folds are as far as they go, and digits as equal as they can be. It finds few, not always the
//! fewest there are.

use super::profile::Profile;
use crate::program::{Lookup, Node, Program};

/// Where a value goes. Values are counted from the lowest of their interval, a' = a - low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// First it is folded,
    pub(crate) folds: Vec<Fold>,
    /// then less this, of which
    pub(crate) base: i64,
    /// so many low bits are removed at a time
    pub(crate) digits: Vec<u32>,
    /// what is left of a' - base is a multiple of 2^bits, and
    pub(crate) bits: u32,
    /// so many multiples there are,
    pub(crate) count: usize,
    /// which stand, 2^scale times over,
    pub(crate) scale: u32,
    /// in so many boxes of the whole torus:
    pub(crate) boxes: u64,
    /// looked up by one bootstrap, or by two.
    pub(crate) twice: bool,
}

/// What brings values beyond a window nearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fold {
    /// Times 2^scale, values stand on a torus of at least twice as many units as they can be.
    pub(crate) scale: u32,
    /// How many boxes the whole torus has then,
    pub(crate) boxes: u64,
    /// of so many units,
    pub(crate) grain: i64,
    /// and how far off a value may be read, but for one.
    pub(crate) tolerance: i64,
    /// The least and the most that it can be before. Box 0 is around the least.
    pub(crate) ends: (i64, i64),
    /// What is between these stays where it is.
    pub(crate) window: (i64, i64),
}

impl Fold {
    /// What is subtracted from a value that is read as each box of the lower half of the torus.
    pub(crate) fn excess(&self) -> Vec<i64> {
        // At most this far off is a value read.
        let off = self.tolerance - 1;
        let (below, above) = (self.window.0 - off, self.window.1 + off);
        // The ends are as far as a value can be read, so that beyond them the torus goes on as it should.
        let (low, high) = (self.ends.0 + off, self.ends.1 - off);
        let excess = |b: i64| {
            let x = (self.ends.0 + b * self.grain).clamp(low, high);
            (x - above).max(0) + (x - below).min(0)
        };
        (0..self.boxes as i64 / 2).map(excess).collect()
    }
}

/// What a rotation tells apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// How many boxes of the whole torus,
    pub(crate) boxes: u64,
    /// how many while the lowest digits are removed, which noise of the value counts most for,
    pub(crate) digits: u64,
    /// by how much of the torus noise may be off,
    pub(crate) noise: f64,
    /// and how many times as many units as its widest values a torus may have: noise counts in units.
    pub(crate) room: u64,
}

/// What a torus and a parameter set allow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// T.
    pub(crate) torus: u64,
    /// What a rotation tells apart.
    pub(crate) reach: Reach,
    /// N.
    pub(crate) size: usize,
}

/// Folds beyond these do not pay: each takes three bits of 32.
const MOST_FOLDS: usize = 10;

impl Plan {
    /// How many bootstraps it takes.
    pub(crate) fn bootstraps(&self) -> usize {
        let digits: usize = self.digits.iter().map(|&c| cost(c)).sum();
        self.folds.len() + digits + 1 + usize::from(self.twice)
    }

    /// Of values modulo an even number, which are where they are.
    pub(crate) fn cyclic(modulus: u32) -> Self {
        Self {
            folds: Vec::new(),
            base: 0,
            digits: Vec::new(),
            bits: 0,
            count: modulus as usize / 2,
            scale: 0,
            boxes: u64::from(modulus),
            twice: false,
        }
    }

    /// The best for a profile; none if the torus is too small, or rotations tell too few boxes apart.
    pub(crate) fn of(program: &Program, profile: &Profile, frame: Frame) -> Option<Self> {
        let Node::Lookup(lookup) = &program.parts().nodes[profile.node] else {
            return None;
        };
        if profile.width > frame.torus {
            return None;
        }
        let (first, last) = (profile.changes.first, profile.changes.last);
        // Every change is where a multiple of 2^bits begins, from the first one on.
        let bits = profile.changes.apart.trailing_zeros().min(40);
        let (mut low, mut high) = (0, profile.width as i64 - 1);
        let mut folds = Vec::new();
        let mut best: Option<Self> = None;
        loop {
            for bits in 0..=bits.min(frame.torus.trailing_zeros().saturating_sub(1)) {
                let unit = 1_i64 << bits;
                let base =
                    first.rem_euclid(unit) + (low - first.rem_euclid(unit)).div_euclid(unit) * unit;
                let count = ((high - base) / unit + 1) as u64;
                if count > frame.reach.boxes {
                    continue;
                }
                let count = count as usize;
                let mut plan = Self {
                    folds: folds.clone(),
                    base,
                    digits: digits(bits, frame.reach.digits.ilog2()),
                    bits,
                    count,
                    scale: 0,
                    boxes: 0,
                    twice: false,
                };
                for scale in 0..frame.torus.trailing_zeros() - bits {
                    plan.scale = scale;
                    plan.boxes = frame.torus >> (bits + scale);
                    if plan.boxes > frame.reach.boxes || plan.boxes < count as u64 {
                        continue;
                    }
                    plan.twice = !antiperiodic(lookup, profile, &plan);
                    // Fewer boxes are larger ones, so later is better where it costs no more.
                    let better = |before: &Self| {
                        let (now, before_) = (plan.bootstraps(), before.bootstraps());
                        now < before_ || (now == before_ && plan.boxes < before.boxes)
                    };
                    if best.as_ref().is_none_or(better) {
                        best = Some(plan.clone());
                    }
                }
            }
            if folds.len() == MOST_FOLDS {
                break;
            }
            let Some((fold, ends)) = fold((low, high), (first - 1, last), frame) else {
                break;
            };
            folds.push(fold);
            (low, high) = ends;
            if best
                .as_ref()
                .is_some_and(|best| best.bootstraps() <= folds.len() + 1)
            {
                break;
            }
        }
        best
    }

    /// The entry of a table that a box says, for a value whose tables have `entries` of 2^`shift` values each.
    pub(crate) fn entry(&self, at: usize, profile: &Profile) -> usize {
        let value = self.base + ((at.min(self.count - 1) as i64) << self.bits);
        let value = value.clamp(0, profile.width as i64 - 1);
        (value >> profile.shift) as usize
    }
}

/// Of removing c bits.
pub(crate) fn cost(c: u32) -> usize {
    if c == 1 { 1 } else { 2 }
}

/// `bits` in parts of at most `most`, so that they cost least; parts as equal as that allows.
fn digits(bits: u32, most: u32) -> Vec<u32> {
    if bits == 0 {
        return Vec::new();
    }
    if most > 1 && bits % most == 1 {
        let mut all = vec![most; (bits / most) as usize];
        all.push(1);
        return all;
    }
    let parts = bits.div_ceil(most);
    (0..parts).map(|k| (bits + k) / parts).collect()
}

/// Whether one bootstrap is enough: every table is antiperiodic but for a constant.
fn antiperiodic(lookup: &Lookup, profile: &Profile, plan: &Plan) -> bool {
    let half = plan.boxes as usize / 2;
    profile.tables.iter().all(|&table| {
        let at = |b: usize| i64::from(lookup.tables[table][plan.entry(b, profile)]);
        let mut sums = (half..plan.count).map(|b| at(b) + at(b - half));
        let first = sums.next();
        sums.all(|sum| Some(sum) == first)
    })
}

/// Folds `low ..= high` towards a window; with it the ends afterwards. None if that gains nothing.
fn fold((low, high): (i64, i64), window: (i64, i64), frame: Frame) -> Option<(Fold, (i64, i64))> {
    let width = (high - low) as u64 + 1;
    let even = frame.torus.trailing_zeros() - 1;
    let scale = (0..=even)
        .rev()
        .find(|&scale| frame.torus >> scale >= 2 * width)?;
    let torus = frame.torus >> scale;
    let fine = |grain: &u32| torus >> grain <= 2 * frame.size as u64;
    let grain = (0..=even - scale).find(fine)?;
    let boxes = torus >> grain;
    let grain = 1_i64 << grain;
    // Noise, where boxes part that are no even number of positions, and the middle of a box.
    let parted = 0.25 / frame.size as f64;
    let off = (torus as f64 * (frame.reach.noise + parted)) + grain as f64 / 2.0;
    let tolerance = off.ceil() as i64;
    let off = tolerance - 1;
    let ends = (low.max(window.0 - 2 * off), high.min(window.1 + 2 * off));
    if ends.1 - ends.0 > (high - low) * 3 / 4 || low + off > high - off {
        return None;
    }
    let fold = Fold {
        scale,
        boxes,
        grain,
        tolerance,
        ends: (low, high),
        window,
    };
    Some((fold, ends))
}
