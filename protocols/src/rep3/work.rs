//! What a party computes, in units that a machine does at a steady rate, and how long each takes it.

use std::ops::AddAssign;

use tacit_mpc::Cost;

/// Local work of one party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Words of a pseudorandom stream.
    pub drawn: u64,
    /// Multiplications inside of matrix products and convolutions.
    pub multiplications: u64,
    /// Words that a loop reads, combines and writes, one after the other.
    pub passed: u64,
    /// The same on whole tensors, which are not in the cache.
    pub moved: u64,
    /// Words packed to fewer bits, or unpacked.
    pub packed: u64,
    /// Words whose bits go to planes, or come from them.
    pub transposed: u64,
    /// Words of planes that are combined bit by bit.
    pub combined: u64,
    /// Terms of the dealer's polynomials.
    pub terms: u64,
    /// Words of table rows that are turned or chosen.
    pub chosen: u64,
    /// Factors of exponentials, one a bit.
    pub factors: u64,
    /// Blocks of 128 bits hashed.
    pub hashed: u64,
    /// Bytes that leave, and that arrive.
    pub bytes: u64,
    /// Messages that leave, and that arrive.
    pub messages: u64,
    /// Rounds that the party waits for.
    pub rounds: u64,
}

impl Work {
    /// The counts, in the order of [`Rates::seconds`].
    fn counts(&self) -> [u64; 14] {
        [
            self.drawn,
            self.multiplications,
            self.passed,
            self.moved,
            self.packed,
            self.transposed,
            self.combined,
            self.terms,
            self.chosen,
            self.factors,
            self.hashed,
            self.bytes,
            self.messages,
            self.rounds,
        ]
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, o: Self) {
        self.drawn += o.drawn;
        self.multiplications += o.multiplications;
        self.passed += o.passed;
        self.moved += o.moved;
        self.packed += o.packed;
        self.transposed += o.transposed;
        self.combined += o.combined;
        self.terms += o.terms;
        self.chosen += o.chosen;
        self.factors += o.factors;
        self.hashed += o.hashed;
        self.bytes += o.bytes;
        self.messages += o.messages;
        self.rounds += o.rounds;
    }
}

/// What a party sends and how much it computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// As a session counts it.
    pub cost: Cost,
    /// The work besides.
    pub work: Work,
}

/// Processor seconds for one unit of each kind of [`Work`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// A word drawn.
    pub drawn: f64,
    /// A multiplication inside of a matrix product.
    pub multiplication: f64,
    /// A word passed.
    pub passed: f64,
    /// A word of a whole tensor.
    pub moved: f64,
    /// A word packed or unpacked.
    pub packed: f64,
    /// A word transposed.
    pub transposed: f64,
    /// A word of planes combined.
    pub combined: f64,
    /// A term of a polynomial.
    pub term: f64,
    /// A word turned or chosen.
    pub chosen: f64,
    /// A factor of an exponential.
    pub factor: f64,
    /// A block hashed, and what is made of it.
    pub hashed: f64,
    /// A byte, sent or received.
    pub byte: f64,
    /// A message, sent or received.
    pub message: f64,
    /// A round: sending what has gathered, sleeping, waking up.
    pub round: f64,
}

impl Rates {
    /// Processor seconds of this work.
    #[must_use]
    pub fn seconds(&self, work: &Work) -> f64 {
        let rates = [
            self.drawn,
            self.multiplication,
            self.passed,
            self.moved,
            self.packed,
            self.transposed,
            self.combined,
            self.term,
            self.chosen,
            self.factor,
            self.hashed,
            self.byte,
            self.message,
            self.round,
        ];
        let counts = work.counts();
        counts
            .iter()
            .zip(rates)
            .map(|(&n, rate)| n as f64 * rate)
            .sum()
    }
}
