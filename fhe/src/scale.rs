//! Where values stand on the torus: a value a of a node is encrypted as a·2^64/T, T even and the same for all values of
//! a node.
//!
//! T follows from what becomes of the values. A lookup modulo M needs T = M, for then wrapping around the torus is
//! wrapping modulo M. A lookup over an interval of E values needs T >= 2E, and results with R values T > R: larger T
//! work too, at the price of smaller boxes. Linear nodes have the T of what they add up, since weights are integers. So
//! nodes that linear nodes tie together share a T, the least that all of them accept; where two of them need different
//! moduli there is none.

use crate::LoadError;
use crate::program::{Domain, Node, Program, Source};

/// T of the input and of every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scales {
    input: u64,
    nodes: Vec<u64>,
}

/// Why there is no common scale.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "node {node} needs its values modulo {wanted}, but they are tied by sums to values that are needed modulo {other}; \
     give them the same modulus, or look one of them up in between"
)]
pub struct ScaleError {
    node: usize,
    wanted: u64,
    other: u64,
}

/// What the members of a group ask of their T.
#[derive(Clone, Copy, Default)]
struct Need {
    at_least: u64,
    exactly: Option<u64>,
}

impl Need {
    fn join(self, other: Self, node: usize) -> Result<Self, ScaleError> {
        let joined = Self {
            at_least: self.at_least.max(other.at_least),
            exactly: self.exactly.or(other.exactly),
        };
        let Some(modulus) = joined.exactly else {
            return Ok(joined);
        };
        let conflict = other.exactly.filter(|&wanted| wanted != modulus);
        let conflict = conflict.or_else(|| (joined.at_least > modulus).then_some(joined.at_least));
        conflict.map_or(Ok(joined), |wanted| {
            Err(ScaleError {
                node,
                wanted,
                other: modulus,
            })
        })
    }
}

impl Scales {
    /// # Errors
    /// If nodes that share a T need different ones, or a lookup drops low bits.
    pub(crate) fn of(program: &Program) -> Result<Self, LoadError> {
        let nodes = &program.parts().nodes;
        // Element 0 is the input, element k + 1 node k; each points to one of its group, roots to themselves.
        let mut parent: Vec<usize> = (0..=nodes.len()).collect();
        let root = |parent: &[usize], mut at: usize| {
            while parent[at] != at {
                at = parent[at];
            }
            at
        };
        for (k, node) in nodes.iter().enumerate() {
            let Node::Linear(linear) = node else { continue };
            for term in linear.rows.iter().flat_map(|row| &row.terms) {
                let [a, b] = [element(term.source), k + 1].map(|at| root(&parent, at));
                parent[a] = b;
            }
        }
        let mut needs = vec![Need::default(); parent.len()];
        for (k, node) in nodes.iter().enumerate() {
            let Node::Lookup(lookup) = node else { continue };
            let group = root(&parent, lookup.node + 1);
            for (value, domain) in lookup.domains.iter().enumerate() {
                let need = match *domain {
                    Domain::Interval { shift: 1.., .. } => {
                        return Err(LoadError::Wide { node: k, value });
                    }
                    Domain::Interval { .. } => Need {
                        at_least: domain.torus(),
                        exactly: None,
                    },
                    Domain::Cyclic { .. } => Need {
                        at_least: 0,
                        exactly: Some(domain.torus()),
                    },
                };
                needs[group] = needs[group].join(need, k)?;
            }
        }
        let last = nodes.len() - 1;
        let widest = program
            .result_ranges()
            .iter()
            .map(|range| range.count())
            .max();
        let at_least = (widest.unwrap_or(1) + 1).next_multiple_of(2);
        let group = root(&parent, last + 1);
        needs[group] = needs[group].join(
            Need {
                at_least,
                exactly: None,
            },
            last,
        )?;
        let torus = |at: usize| {
            let need = needs[root(&parent, at)];
            need.exactly.unwrap_or(need.at_least).max(2)
        };
        Ok(Self {
            input: torus(0),
            nodes: (1..=nodes.len()).map(torus).collect(),
        })
    }

    /// T of a vector.
    pub(crate) fn torus(&self, source: Source) -> u64 {
        match source {
            Source::Input => self.input,
            Source::Node(k) => self.nodes[k],
        }
    }

    /// T of the result.
    pub(crate) fn result(&self) -> u64 {
        self.nodes.last().copied().unwrap_or(2)
    }
}

fn element(source: Source) -> usize {
    match source {
        Source::Input => 0,
        Source::Node(k) => k + 1,
    }
}

/// round(a·2^64/T) modulo 2^64.
pub(crate) fn encode(a: i64, torus: u64) -> u64 {
    let a = i128::from(a).rem_euclid(i128::from(torus)) as u128;
    (((a << 64) + u128::from(torus) / 2) / u128::from(torus)) as u64
}

/// The a in -T/2 .. T/2 whose encoding is nearest.
pub(crate) fn decode(phase: u64, torus: u64) -> i64 {
    let scaled = i128::from(phase as i64) * i128::from(torus);
    let a = ((scaled + (1 << 63)) >> 64) as i64;
    // The upper end is the lower one, once around.
    if 2 * a >= torus as i64 {
        a - torus as i64
    } else {
        a
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn what_is_encoded_decodes_whatever_the_noise_in_its_box() {
        for torus in [2_u64, 6, 30, 32, 258, 1 << 20] {
            let half = (1_u128 << 63) / u128::from(torus);
            let low = -(torus as i64) / 2;
            for a in (low..-low).step_by(1 + torus as usize / 64) {
                for noise in [0, 1, half as u64 - 2] {
                    let at = encode(a, torus);
                    assert_eq!(decode(at.wrapping_add(noise), torus), a);
                    assert_eq!(decode(at.wrapping_sub(noise), torus), a);
                }
                assert_ne!(
                    decode(encode(a, torus).wrapping_add(half as u64 + 2), torus),
                    a
                );
            }
        }
    }
}
