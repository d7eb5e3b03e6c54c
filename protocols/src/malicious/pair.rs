//! What one party holds of a shared vector: the two shares of its indices.

use std::cell::RefCell;
use std::rc::Rc;

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{PartyId, R64};

/// The data of index `me` and of index `me + 1`. It is immutable and counted, so that what is proved later is what was computed.
#[derive(Debug)]
pub(crate) struct Pair<T> {
    /// Index `me`, which P_{me-1} knows as well.
    pub(crate) own: Rc<T>,
    /// Index `me + 1`, which P_{me+1} knows as well.
    pub(crate) next: Rc<T>,
}

impl<T> Clone for Pair<T> {
    fn clone(&self) -> Self {
        Self {
            own: Rc::clone(&self.own),
            next: Rc::clone(&self.next),
        }
    }
}

/// Shares of words: they add up.
pub(crate) type Words = Pair<Vec<R64>>;

/// Shares of bits in planes ([`crate::rep3`]'s bit slices), one after the other: their exclusive or is the bits.
pub(crate) type Bits = Pair<Vec<u64>>;

impl<T> Pair<T> {
    pub(crate) fn new(own: T, next: T) -> Self {
        Self {
            own: Rc::new(own),
            next: Rc::new(next),
        }
    }

    /// Both, copied only where somebody else still holds them.
    pub(crate) fn into_parts(self) -> (T, T)
    where
        T: Clone,
    {
        (
            Rc::unwrap_or_clone(self.own),
            Rc::unwrap_or_clone(self.next),
        )
    }

    /// The data of index `j` of party `me`, if it holds it.
    pub(crate) fn at(&self, me: PartyId, j: PartyId) -> Option<&Rc<T>> {
        match (j + 3 - me) % 3 {
            0 => Some(&self.own),
            1 => Some(&self.next),
            _ => None,
        }
    }

    /// The same local map on both.
    pub(crate) fn each<U>(&self, f: impl Fn(&T) -> U) -> Pair<U> {
        Pair::new(f(&self.own), f(&self.next))
    }

    /// The same local map of two sharings on both.
    pub(crate) fn zip<U, V>(&self, other: &Pair<U>, f: impl Fn(&T, &U) -> V) -> Pair<V> {
        Pair::new(f(&self.own, &other.own), f(&self.next, &other.next))
    }
}

/// Elements of shares. Many shares are zero by their place: of each kind there is one vector of zeros, which is neither filled nor
/// kept nor added more than once.
pub(crate) trait Share: Copy + Default + 'static {
    /// `n` zeros.
    fn zeros(n: usize) -> Rc<Vec<Self>>;

    /// Whether these are those of [`Self::zeros`]: other zeros count as any other words.
    fn are_zeros(x: &Rc<Vec<Self>>) -> bool;
}

macro_rules! share {
    ($($word:ty: $zeros:ident),*) => {$(
        thread_local! {
            static $zeros: RefCell<Rc<Vec<$word>>> = RefCell::default();
        }

        impl Share for $word {
            fn zeros(n: usize) -> Rc<Vec<Self>> {
                $zeros.with_borrow_mut(|zeros| {
                    if zeros.len() != n {
                        *zeros = Rc::new(vec![Self::default(); n]);
                    }
                    Rc::clone(zeros)
                })
            }

            fn are_zeros(x: &Rc<Vec<Self>>) -> bool {
                $zeros.with_borrow(|zeros| Rc::ptr_eq(x, zeros))
            }
        }
    )*};
}

share!(R64: ZERO_WORDS, u64: ZERO_PLANES);

/// x + y.
fn sum(x: &Rc<Vec<R64>>, y: &Rc<Vec<R64>>) -> Rc<Vec<R64>> {
    match [x, y].map(R64::are_zeros) {
        [true, _] => Rc::clone(y),
        [_, true] => Rc::clone(x),
        _ => Rc::new(vectorised(|| {
            x.iter().zip(&**y).map(|(x, y)| x + y).collect()
        })),
    }
}

/// x - y.
pub(crate) fn difference(x: &Rc<Vec<R64>>, y: &Rc<Vec<R64>>) -> Rc<Vec<R64>> {
    if R64::are_zeros(y) {
        Rc::clone(x)
    } else if Rc::ptr_eq(x, y) {
        R64::zeros(x.len())
    } else {
        Rc::new(vectorised(|| {
            x.iter().zip(&**y).map(|(x, y)| x - y).collect()
        }))
    }
}

impl Words {
    /// The sum.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self {
            own: sum(&self.own, &other.own),
            next: sum(&self.next, &other.next),
        }
    }

    /// The difference.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        Self {
            own: difference(&self.own, &other.own),
            next: difference(&self.next, &other.next),
        }
    }

    /// The multiple by a number that all parties know.
    pub(crate) fn times(&self, c: R64) -> Self {
        if c.0 == 1 {
            return self.clone();
        }
        let times = |x: &Rc<Vec<R64>>| match R64::are_zeros(x) {
            true => Rc::clone(x),
            false => Rc::new(vectorised(|| x.iter().map(|x| c * x).collect())),
        };
        Self {
            own: times(&self.own),
            next: times(&self.next),
        }
    }

    /// The same with a number that all parties know added to every word, at index 0.
    pub(crate) fn offset(&self, me: PartyId, c: R64) -> Self {
        let add = |x: &Rc<Vec<R64>>| Rc::new(vectorised(|| x.iter().map(|x| x + c).collect()));
        match me {
            0 => Self {
                own: add(&self.own),
                next: Rc::clone(&self.next),
            },
            2 => Self {
                own: Rc::clone(&self.own),
                next: add(&self.next),
            },
            _ => self.clone(),
        }
    }
}

impl Bits {
    /// The exclusive or.
    pub(crate) fn xor(&self, other: &Self) -> Self {
        self.zip(other, |x, y| x.iter().zip(y).map(|(x, y)| x ^ y).collect())
    }

    /// The complement, at index 0.
    pub(crate) fn not(&self, me: PartyId) -> Self {
        let flip = |x: &Rc<Vec<u64>>| Rc::new(x.iter().map(|x| !x).collect());
        match me {
            0 => Self {
                own: flip(&self.own),
                next: Rc::clone(&self.next),
            },
            2 => Self {
                own: Rc::clone(&self.own),
                next: flip(&self.next),
            },
            _ => self.clone(),
        }
    }
}

/// The sharing of a vector that P_j and P_{j-1} both know (`Some` there): share j is the vector, the others are zero. No message,
/// and nothing to lie about.
pub(crate) fn joint<W: Share>(
    me: PartyId,
    j: PartyId,
    n: usize,
    v: Option<Rc<Vec<W>>>,
) -> Pair<Vec<W>> {
    joint_beside(me, j, &W::zeros(n), v)
}

/// [`joint`] with the zeros given, for many vectors of one length.
pub(crate) fn joint_beside<W: Copy + Default>(
    me: PartyId,
    j: PartyId,
    zero: &Rc<Vec<W>>,
    v: Option<Rc<Vec<W>>>,
) -> Pair<Vec<W>> {
    let zero = || Rc::clone(zero);
    let v = v.unwrap_or_else(zero);
    match (j + 3 - me % 3) % 3 {
        0 => Pair {
            own: v,
            next: zero(),
        },
        1 => Pair {
            own: zero(),
            next: v,
        },
        _ => Pair {
            own: zero(),
            next: zero(),
        },
    }
}
