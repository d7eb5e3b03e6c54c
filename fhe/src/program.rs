//! Integer programs: what a server computes on ciphertexts, and the reference that it is held to bit by bit.
//!
//! A program is a list of nodes, each a vector of integers computed from vectors before it. There are two kinds:
//!
//! - [`Linear`]: a_i = b_i + Σ_k w_ik · v_k, sums of earlier values by small integers. On ciphertexts it costs nothing
//!   to speak of.
//! - [`Lookup`]: each value a_i is looked up in tables, and the next vector is sums of what they say,
//!   o_j = b_j + Σ_i w_ij · T_ij\[a_i\]. Bootstraps per a_i (one, or a few where its
//!   interval is wide), *however many different tables* it goes through
//!   (multi-value bootstrapping: Carpov, Izabachène, Mollimard, CT-RSA 2019).
//!
//! An activation followed by a layer is one lookup with one table per neuron; tables that differ from edge to edge are
//! more expressive at the same price.
//!
//! What a bootstrap can tell apart is bounded, so every value that is looked up has a [`Domain`]: an interval that is
//! *proved* to hold it, from the worst inputs there are, of any width, or the integers modulo an even number, where nothing can
//! overflow because wrapping around is what is meant.

mod build;
mod compare;
mod file;
mod range;
mod run;
#[cfg(test)]
mod tests;
mod validate;

use serde::{Deserialize, Serialize};

pub use build::Builder;
pub use compare::Class;
pub use file::FileError;
pub use range::Interval;
pub use validate::ProgramError;

/// A checked integer program: indices exist, tables cover their domains, intervals hold their values.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    parts: Parts,
    /// What each node's values can be, from the worst inputs.
    ranges: Vec<Vec<Interval>>,
}

/// The unchecked parts of a program, as they are written in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// What it is called, for people.
    pub name: String,
    /// How a row of numbers becomes integers.
    pub input: Input,
    /// In the order of computation. The last one is the result.
    pub nodes: Vec<Node>,
    /// What a unit of the result is worth in numbers, more than 0.
    pub output_scale: f32,
}

/// The quantised input: `x_q = clamp(round((x - offset) · gain), 0, max)` for each feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// One for all features, or one for each.
    pub offset: Vec<f32>,
    /// As `offset`.
    pub gain: Vec<f32>,
    /// How many features there are, at most 2^20.
    pub len: usize,
    /// The largest quantised value, at least 1.
    pub max: u16,
}

/// Where values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// The quantised input.
    Input,
    /// The result of an earlier node, by its index.
    Node(usize),
}

/// A step of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// Sums by small integers.
    Linear(Linear),
    /// Sums of what tables say.
    Lookup(Lookup),
}

/// a_i = bias_i + Σ weight · source\[index\].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// One per value of this node.
    pub rows: Vec<Row>,
}

/// One value of a [`Linear`].
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// Added to the sum.
    pub bias: i64,
    /// The summands. All of a node come from the input, or none.
    pub terms: Vec<Term>,
}

/// One summand of a [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Which vector,
    pub source: Source,
    /// and which of its values.
    pub index: usize,
    /// The factor, not zero.
    pub weight: i32,
}

/// o_j = bias_j + Σ weight · tables\[table\]\[a_from\], over the edges to j.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// The node whose values are looked up: every one costs a bootstrap, or a few where its domain is wide.
    pub node: usize,
    /// What those values are known to be, one for each.
    pub domains: Vec<Domain>,
    /// Tables, by the values of the domain from its lowest on. Edges refer to them.
    pub tables: Vec<Vec<i32>>,
    /// Which value goes through which table to which result.
    pub edges: Vec<Edge>,
    /// One per value of this node.
    pub bias: Vec<i64>,
}

/// What a value can be that is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Domain {
    /// `low ..= high`, fewer than 2^32 values, which the worst inputs do not leave: value a is looked up at entry
    /// (a - low) >> shift, so a table has ((high - low) >> shift) + 1 entries, at most 2^20.
    Interval {
        /// The lowest value,
        low: i64,
        /// the highest,
        high: i64,
        /// and how many low bits of the distance from the lowest no table sees, less than 32.
        shift: u8,
    },
    /// The integers modulo an even number, on the whole torus: any value is fine. Tables are *antiperiodic*,
    /// T\[a + modulus/2\] = -T\[a\], as every bootstrap is; they have modulus/2 entries, for 0 to modulus/2 - 1.
    Cyclic {
        /// Even, at least 2.
        modulus: u32,
    },
}

/// A way through a [`Lookup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The value that is looked up,
    pub from: usize,
    /// the sum that it is added to,
    pub to: usize,
    /// the table,
    pub table: usize,
    /// and the factor, not zero.
    pub weight: i32,
}

impl Program {
    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What the values of a node can be, from the worst inputs.
    #[must_use]
    pub fn ranges(&self, node: usize) -> &[Interval] {
        &self.ranges[node]
    }

    /// What the results can be: those of the last node.
    #[must_use]
    pub fn result_ranges(&self) -> &[Interval] {
        self.ranges.last().map_or(&[], Vec::as_slice)
    }

    /// How many values are looked up, each by one bootstrap where its domain fits into one.
    #[must_use]
    pub fn lookups(&self) -> usize {
        let lookups = |node: &Node| match node {
            Node::Linear(_) => 0,
            Node::Lookup(lookup) => lookup.domains.len(),
        };
        self.parts.nodes.iter().map(lookups).sum()
    }
}

impl Node {
    /// How many values it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.rows.len(),
            Self::Lookup(lookup) => lookup.bias.len(),
        }
    }

    /// Whether it has none, which no checked program allows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Domain {
    /// An interval whose every value has an entry of its own.
    #[must_use]
    pub const fn interval(low: i64, high: i64) -> Self {
        let shift = 0;
        Self::Interval { low, high, shift }
    }

    /// How many entries a table over it has; none where `high` is below `low`.
    #[must_use]
    pub fn entries(self) -> usize {
        match self {
            // In 128 bits, for the ends of an unchecked domain can be anything.
            Self::Interval { low, high, shift } => {
                let last = (i128::from(high) - i128::from(low)) >> shift.min(127);
                usize::try_from(last + 1).unwrap_or(0)
            }
            Self::Cyclic { modulus } => modulus as usize / 2,
        }
    }

    /// How many values the whole torus holds.
    #[must_use]
    pub fn torus(self) -> u64 {
        match self {
            Self::Interval { low, high, .. } => {
                let values = i128::from(high) - i128::from(low) + 1;
                u64::try_from(values.max(0) * 2).unwrap_or(u64::MAX)
            }
            Self::Cyclic { modulus } => u64::from(modulus),
        }
    }

    /// What a table over this domain says of `value`; none if an interval does not hold it.
    pub(crate) fn look_up(self, table: &[i32], value: i64) -> Option<i64> {
        match self {
            Self::Interval { low, high, shift } => {
                let above = u64::try_from(value.checked_sub(low)?).ok()?;
                let at = usize::try_from(above.checked_shr(u32::from(shift))?).ok()?;
                if value > high {
                    return None;
                }
                table.get(at).copied().map(i64::from)
            }
            Self::Cyclic { modulus } => {
                let at = value.rem_euclid(i64::from(modulus)) as usize;
                let half = table.len();
                let (at, sign) = if at < half { (at, 1) } else { (at - half, -1) };
                table.get(at).map(|&v| sign * i64::from(v))
            }
        }
    }
}
