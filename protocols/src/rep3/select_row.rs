//! Reading a row of a table by a secret index, in constant time (requirement R13).
//!
//! The index is known to A and B, or to D, and secret to everybody else: were it used as an address in memory, caches would
//! show it to whoever shares the machine. The functions here can do no such thing: all they know of a word is that it is
//! [`Opaque`], which has no comparison and no way to become a `usize` or a `bool`. They read every row.

use tacit_mpc::R64;

use super::bits::Bitwise;

/// A word that can be combined bit by bit, and nothing else.
pub(super) trait Opaque: Bitwise {
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

/// rows\[v\] ← rows\[(v + w) mod n\] for every value, by a barrel shifter over the bits of w; n is a power of two.
pub(super) fn rotate<W: Opaque>(mut rows: Vec<Vec<W>>, w: &[W]) -> Vec<Vec<W>> {
    let n = rows.len();
    for j in 0..n.trailing_zeros() {
        let shifted = (0..n)
            .map(|v| {
                let (stay, come) = (&rows[v], &rows[(v + (1 << j)) % n]);
                stay.iter()
                    .zip(come)
                    .zip(w)
                    .map(|((&a, &b), &w)| choose(w.spread(j), a, b))
                    .collect()
            })
            .collect();
        rows = shifted;
    }
    rows
}

/// rows\[v\] for every value, by a tree of multiplexers; the number of rows is a power of two.
pub(super) fn pick<W: Opaque>(mut rows: Vec<Vec<W>>, v: &[W]) -> Vec<W> {
    let mut j = 0;
    while rows.len() > 1 {
        rows = rows
            .chunks(2)
            .map(|pair| {
                pair[0]
                    .iter()
                    .zip(&pair[1])
                    .zip(v)
                    .map(|((&a, &b), &v)| choose(v.spread(j), a, b))
                    .collect()
            })
            .collect();
        j += 1;
    }
    rows.pop().unwrap_or_default()
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
    use super::traced::{Traced, trace};
    use super::*;

    /// The rows that are read, and everything that is done with them, are the same for every index: and the row is right.
    #[test]
    fn r13_rows_are_read_the_same_way_for_every_index() {
        let n = 16u64;
        let run = |index: [u64; 2]| {
            trace(|| {
                let words = |r: u64| vec![Traced::new(100 + r), Traced::new(200 + r)];
                let rows: Vec<Vec<Traced>> = (0..n).map(words).collect();
                let v = index.map(Traced::new);
                let picked: Vec<u64> = pick(rows.clone(), &v).iter().map(|w| w.0).collect();
                let turned: Vec<u64> = rotate(rows, &v).concat().iter().map(|w| w.0).collect();
                (picked, turned)
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
}
