//! Which variant of a comparison is computed: the one that takes least time on the links at hand.
//!
//! Each variant's messages are counted for the tensor ([`super::cost`]) and followed on links of the agreed profile
//! ([`tacit_mpc::replay`]): latency, bandwidth, windows of strands and frames are in it. To the time of function secret sharing
//! that of its hashing is added, at a fixed rate, so that all parties come to the same; that of the other variants is short
//! and alike.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tacit_mpc::net::Profile;

use super::cost::seconds;
use super::plan::{Depth, Method};

/// How the variant of comparisons is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The same for all.
    Always(Depth),
    /// Whichever takes less time for the tensor at hand on links like these, on which all parties agree.
    For(Profile),
}

impl From<Depth> for Choice {
    fn from(depth: Depth) -> Self {
        Self::Always(depth)
    }
}

impl From<Profile> for Choice {
    fn from(link: Profile) -> Self {
        Self::For(link)
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compared {
    /// So many bits, for a sign or a carry.
    Bits(u32),
    /// A word, with zero.
    Zero,
}

/// Values for which a choice is made at most: more take the same. They fill several windows of strands.
const MOST: usize = 1 << 20;

/// The variants taken, each chosen and planned once.
#[derive(Debug)]
pub(crate) struct Methods {
    choice: Choice,
    chosen: RefCell<HashMap<(Compared, usize), Depth>>,
    methods: RefCell<HashMap<(u32, Depth), Rc<Method>>>,
}

impl Methods {
    pub(crate) fn new(choice: Choice) -> Self {
        Self {
            choice,
            chosen: RefCell::default(),
            methods: RefCell::default(),
        }
    }

    /// The variant for `n` values.
    pub(crate) fn depth(&self, compared: Compared, n: usize) -> Depth {
        let link = match self.choice {
            Choice::Always(depth) => return depth,
            Choice::For(link) => link,
        };
        let n = n.min(MOST);
        let known = self.chosen.borrow().get(&(compared, n)).copied();
        known.unwrap_or_else(|| {
            // Fewest bytes first: of variants that take as long, that one.
            let times = Depth::ALL.iter().rev().map(|&depth| {
                let seconds = match compared {
                    Compared::Bits(bits) => {
                        let method = self.planned(bits, depth);
                        seconds(link, |count| count.negative(bits, &method), n)
                    }
                    Compared::Zero => seconds(link, |count| count.zero(depth), n),
                };
                (depth, seconds)
            });
            let least = times.reduce(|best, other| if other.1 < best.1 { other } else { best });
            let depth = least.map_or(Depth::Three, |(depth, _)| depth);
            self.chosen.borrow_mut().insert((compared, n), depth);
            depth
        })
    }

    /// The method by which two or more bits of `n` values are compared.
    pub(crate) fn method(&self, bits: u32, n: usize) -> Rc<Method> {
        self.planned(bits, self.depth(Compared::Bits(bits), n))
    }

    /// The method for the carry of a truncation without error. A gate that knows the length of its chunk alone takes the tensor
    /// for three times as long: so it is where it is short.
    pub(crate) fn carry(&self, bits: u32, n: usize) -> Rc<Method> {
        let bits = bits.max(2);
        // Few bits are compared, so that the flatter tree costs hardly more bytes.
        let depth = match self.choice {
            Choice::Always(Depth::Three) => Depth::Two,
            _ => self.depth(Compared::Bits(bits), n),
        };
        self.planned(bits, depth)
    }

    fn planned(&self, bits: u32, depth: Depth) -> Rc<Method> {
        let mut methods = self.methods.borrow_mut();
        let method = methods
            .entry((bits, depth))
            .or_insert_with(|| Rc::new(Method::cheapest(bits, depth)));
        Rc::clone(method)
    }
}
