//! Reading a row of a table by a secret index, in constant time (requirement R13).
//!
//! The index is known to A and B, or to D, and secret to everybody else: were it used as an address in memory, caches would
//! show it to whoever shares the machine. The functions here can do no such thing: all they know of a word is that it is
//! [`Opaque`], which has no comparison and no way to become a `usize` or a `bool`. They read every row.

use tacit_mpc::R64;
use tacit_mpc::kernels::vectorised;

use super::bits::Bitwise;

/// A word that can be combined bit by bit, and nothing else.
pub(crate) trait Opaque: Bitwise {
    /// Bit j in every position.
    fn spread(self, j: u32) -> Self;
}

impl Opaque for R64 {
    fn spread(self, j: u32) -> Self {
        Self(0u64.wrapping_sub(self.0 >> j & 1))
    }
}

/// `one` where the mask is set, `zero` elsewhere.
fn choose<W: Opaque>(mask: W, zero: W, one: W) -> W {
    zero ^ (mask & (zero ^ one))
}

/// Values that are handled together: a dozen rows of them stay in the first-level cache.
const BLOCK: usize = 256;

/// `one` where bit j of the index is set, `zero` elsewhere, for every value, into `out`.
fn chosen<W: Opaque>(out: &mut [W], zero: &[W], one: &[W], index: &[W], j: u32) {
    let values = out.iter_mut().zip(zero).zip(one).zip(index);
    vectorised(|| {
        values.for_each(|(((out, &a), &b), &i)| *out = choose(i.spread(j), a, b));
    });
}

/// The same where `zero` is replaced.
fn chosen_in_place<W: Opaque>(zero: &mut [W], one: &[W], index: &[W], j: u32) {
    let values = zero.iter_mut().zip(one).zip(index);
    vectorised(|| values.for_each(|((a, &b), &i)| *a = choose(i.spread(j), *a, b)));
}

/// row\[v\] ← row\[(v + w) mod n\] for every value, by a barrel shifter over the bits of w. The rows, a word a value, lie one
/// after the other; their number n is a power of two.
pub(crate) fn rotate<W: Opaque>(rows: &mut [W], w: &[W]) {
    let len = w.len();
    if len == 0 {
        return;
    }
    let n = rows.len() / len;
    let (mut here, mut turned) = (Vec::new(), Vec::new());
    for start in (0..len).step_by(BLOCK) {
        let block = start..len.min(start + BLOCK);
        let w = &w[block.clone()];
        here.clear();
        rows.chunks_exact(len)
            .for_each(|row| here.extend_from_slice(&row[block.clone()]));
        turned.clear();
        turned.extend_from_slice(&here);
        for j in 0..n.trailing_zeros() {
            for (v, out) in turned.chunks_exact_mut(w.len()).enumerate() {
                let row = |v: usize| &here[v % n * w.len()..][..w.len()];
                chosen(out, row(v), row(v + (1 << j)), w, j);
            }
            std::mem::swap(&mut here, &mut turned);
        }
        rows.chunks_exact_mut(len)
            .zip(here.chunks_exact(w.len()))
            .for_each(|(row, turned)| row[block.clone()].copy_from_slice(turned));
    }
}

/// row\[v\] for every value, by a tree of multiplexers. The rows lie one after the other; their number is a power of two.
pub(crate) fn pick<W: Opaque>(rows: &[W], v: &[W]) -> Vec<W> {
    let len = v.len();
    let mut picked = Vec::with_capacity(len);
    if len == 0 {
        return picked;
    }
    let mut here = Vec::new();
    for start in (0..len).step_by(BLOCK) {
        let block = start..len.min(start + BLOCK);
        let v = &v[block.clone()];
        here.clear();
        // The first level reads the rows where they lie.
        for pair in rows.chunks(2 * len) {
            let at = here.len();
            here.extend_from_slice(&pair[block.clone()]);
            if let Some(one) = pair.get(len..).filter(|one| !one.is_empty()) {
                chosen_in_place(&mut here[at..], &one[block.clone()], v, 0);
            }
        }
        let (mut rows, mut j) = (here.len() / v.len(), 1);
        while rows > 1 {
            rows /= 2;
            for r in 0..rows {
                // Row r of a level comes from rows 2r and 2r + 1, which lie at or after it.
                let (front, pair) = here.split_at_mut(2 * r * v.len());
                let (zero, one) = pair.split_at_mut(v.len());
                chosen_in_place(zero, &one[..v.len()], v, j);
                if r > 0 {
                    front[r * v.len()..][..v.len()].copy_from_slice(zero);
                }
            }
            j += 1;
        }
        picked.extend_from_slice(&here[..v.len()]);
    }
    picked
}

/// What the constant-time checks of this and of `bits.rs` use: a word that notes every operation on it.
#[cfg(test)]
pub(super) mod traced {
    use std::cell::RefCell;
    use std::ops::{BitAnd, BitXor};

    use super::*;

    thread_local! {
        static TRACE: RefCell<Vec<(char, usize, usize)>> = const { RefCell::new(Vec::new()) };
    }

    /// A value and the number of the operation that made it.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Traced(pub(in super::super) u64, usize);

    fn note(operation: char, x: usize, y: usize) -> usize {
        TRACE.with_borrow_mut(|t| {
            t.push((operation, x, y));
            t.len()
        })
    }

    impl Traced {
        pub(in super::super) fn new(x: u64) -> Self {
            Self(x, note('n', 0, 0))
        }

        /// Another value, of the same operation.
        pub(in super::super) fn holding(self, x: u64) -> Self {
            Self(x, self.1)
        }
    }

    impl BitAnd for Traced {
        type Output = Self;
        fn bitand(self, o: Self) -> Self {
            Self(self.0 & o.0, note('&', self.1, o.1))
        }
    }

    impl BitXor for Traced {
        type Output = Self;
        fn bitxor(self, o: Self) -> Self {
            Self(self.0 ^ o.0, note('^', self.1, o.1))
        }
    }

    impl Opaque for Traced {
        fn spread(self, j: u32) -> Self {
            let bit = 0u64.wrapping_sub(self.0 >> j & 1);
            Self(bit, note('s', self.1, j as usize))
        }
    }

    /// What `work` gives, and every operation that it did, on what, in order.
    pub(in super::super) fn trace<T>(work: impl FnOnce() -> T) -> (T, Vec<(char, usize, usize)>) {
        TRACE.with_borrow_mut(Vec::clear);
        let result = work();
        (result, TRACE.take())
    }
}

#[cfg(test)]
mod tests {
    use std::num::Wrapping;

    use super::traced::{Traced, trace};
    use super::*;

    /// The rows that are read, and everything that is done with them, are the same for every index: and the row is right.
    #[test]
    fn r13_rows_are_read_the_same_way_for_every_index() {
        let n = 16u64;
        let run = |index: [u64; 2]| {
            trace(|| {
                let words = |r: u64| [Traced::new(100 + r), Traced::new(200 + r)];
                let mut rows: Vec<Traced> = (0..n).flat_map(words).collect();
                let v = index.map(Traced::new);
                let picked: Vec<u64> = pick(&rows, &v).iter().map(|w| w.0).collect();
                rotate(&mut rows, &v);
                (picked, rows.iter().map(|w| w.0).collect::<Vec<_>>())
            })
        };
        let (_, first) = run([0, 0]);
        assert!(first.len() > 2 * 16 * 3);
        for i in 0..n {
            let index = [i, (5 * i + 3) % n];
            let ((picked, turned), operations) = run(index);
            assert_eq!(operations, first, "index {index:?}");
            assert_eq!(picked, [100 + index[0], 200 + index[1]]);
            let want = (0..n).flat_map(|v| [100 + (v + index[0]) % n, 200 + (v + index[1]) % n]);
            assert_eq!(turned, want.collect::<Vec<_>>());
        }
    }

    /// More values than are handled at once, and the last block short.
    #[test]
    fn rows_of_many_values() {
        let len = 2 * BLOCK + 37;
        let word = |row: usize, k: usize| Wrapping((row * 10_000 + k) as u64);
        for n in [1usize, 2, 8] {
            let mut rows: Vec<R64> = (0..n)
                .flat_map(|r| (0..len).map(move |k| word(r, k)))
                .collect();
            let v: Vec<R64> = (0..len).map(|k| Wrapping((k * 7 % n) as u64)).collect();
            let picked = pick(&rows, &v);
            rotate(&mut rows, &v);
            for k in 0..len {
                assert_eq!(picked[k], word(k * 7 % n, k));
                for r in 0..n {
                    assert_eq!(rows[r * len + k], word((r + k * 7) % n, k));
                }
            }
        }
    }
}
