//! From parts to a program: everything is checked once, here.

#[cfg(test)]
mod tests;

use super::{Domain, Input, Linear, Lookup, Node, Parts, Program, Source, range};

/// Why parts are not a program. Nodes and values are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The input is impossible.
    #[error("the input {0}")]
    Input(&'static str),
    /// There is no result.
    #[error("a program needs at least one node, and each node at least one value")]
    Empty,
    /// A node refers to what is not there.
    #[error("node {node} refers to {what} {index}, of which there are {count}")]
    Missing {
        /// The node,
        node: usize,
        /// what it refers to,
        what: &'static str,
        /// by which index,
        index: usize,
        /// and how many there are.
        count: usize,
    },
    /// A factor is zero, or a number is not one.
    #[error("node {node} has {what}")]
    Useless {
        /// The node,
        node: usize,
        /// and what should not be there.
        what: &'static str,
    },
    /// A linear node adds the input to other nodes, which are encrypted differently.
    #[error(
        "node {node} adds values of the input to values of nodes; look the input's part up first"
    )]
    Mixed {
        /// The node.
        node: usize,
    },
    /// A table does not fit its domain.
    #[error(
        "node {node}: table {table} has {found} entries where value {value}'s domain needs {wanted}"
    )]
    Table {
        /// The node,
        node: usize,
        /// its table,
        table: usize,
        /// whose entries are this many,
        found: usize,
        /// the value that goes through it,
        value: usize,
        /// and what its domain needs.
        wanted: usize,
    },
    /// A domain is impossible.
    #[error("node {node}: the domain of value {value} {why}")]
    Domain {
        /// The node,
        node: usize,
        /// the value,
        value: usize,
        /// and what is wrong.
        why: &'static str,
    },
    /// The worst inputs leave a domain.
    #[error(
        "node {node}: value {value} can be {low} to {high} for some inputs, beyond its domain; widen it, or make the \
         weights before it smaller"
    )]
    Leaves {
        /// The node,
        node: usize,
        /// the value,
        value: usize,
        /// its lowest,
        low: i64,
        /// and its highest.
        high: i64,
    },
    /// A sum is beyond what any torus holds.
    #[error("node {node}: value {value} can be larger than 2^48")]
    TooLarge {
        /// The node,
        node: usize,
        /// the value.
        value: usize,
    },
    /// Checking it would take too long.
    #[error(
        "node {node}: its edges refer to more than 2^31 table entries, counted as often as they are referred to"
    )]
    TooMany {
        /// The node.
        node: usize,
    },
}

impl TryFrom<Parts> for Program {
    type Error = ProgramError;

    fn try_from(parts: Parts) -> Result<Self, ProgramError> {
        input(&parts.input)?;
        if parts.nodes.is_empty() {
            return Err(ProgramError::Empty);
        }
        output_scale(&parts)?;
        let mut ranges = Vec::with_capacity(parts.nodes.len());
        for (k, next) in parts.nodes.iter().enumerate() {
            ranges.push(node(k, next, &parts.input, &parts.nodes[..k], &ranges)?);
        }
        Ok(Self { parts, ranges })
    }
}

pub(super) fn output_scale(parts: &Parts) -> Result<(), ProgramError> {
    if parts.output_scale.is_finite() && parts.output_scale > 0.0 {
        return Ok(());
    }
    Err(ProgramError::Useless {
        node: parts.nodes.len().saturating_sub(1),
        what: "an output scale that is not a number above 0",
    })
}

/// What the values of node `k` can be, which comes after `before`, whose values can be `ranges`.
pub(super) fn node(
    k: usize,
    node: &Node,
    input: &Input,
    before: &[Node],
    ranges: &[Vec<range::Interval>],
) -> Result<Vec<range::Interval>, ProgramError> {
    if node.is_empty() {
        return Err(ProgramError::Empty);
    }
    match node {
        Node::Linear(node) => {
            linear(k, node, input, before)?;
            range::of_linear(k, node, input, before, ranges)
        }
        Node::Lookup(node) => {
            lookup(k, node, before, ranges)?;
            range::of_lookup(k, node)
        }
    }
}

pub(super) fn input(input: &Input) -> Result<(), ProgramError> {
    let fits = |all: &[f32]| all.len() == 1 || all.len() == input.len;
    if input.len == 0 || input.max == 0 {
        return Err(ProgramError::Input("has no values"));
    }
    if input.len > 1 << 20 {
        return Err(ProgramError::Input("has more than 2^20 values"));
    }
    if !fits(&input.offset) || !fits(&input.gain) {
        return Err(ProgramError::Input(
            "needs one offset and one gain, or one for each feature",
        ));
    }
    if !input
        .offset
        .iter()
        .chain(&input.gain)
        .all(|x| x.is_finite())
    {
        return Err(ProgramError::Input(
            "has an offset or a gain that is not a number",
        ));
    }
    Ok(())
}

fn linear(k: usize, linear: &Linear, input: &Input, before: &[Node]) -> Result<(), ProgramError> {
    let terms = || linear.rows.iter().flat_map(|row| &row.terms);
    for term in terms() {
        let count = match term.source {
            Source::Input => input.len,
            Source::Node(at) => {
                exists(k, "node", at, k)?;
                before[at].len()
            }
        };
        exists(k, "value", term.index, count)?;
        if term.weight == 0 {
            return Err(ProgramError::Useless {
                node: k,
                what: "a weight of zero",
            });
        }
    }
    let of_input = terms().filter(|t| t.source == Source::Input).count();
    if of_input != 0 && of_input != terms().count() {
        return Err(ProgramError::Mixed { node: k });
    }
    Ok(())
}

fn lookup(
    k: usize,
    lookup: &Lookup,
    before: &[Node],
    ranges: &[Vec<range::Interval>],
) -> Result<(), ProgramError> {
    exists(k, "node", lookup.node, k)?;
    let values = before[lookup.node].len();
    if lookup.domains.len() != values {
        return Err(ProgramError::Missing {
            node: k,
            what: "domain",
            index: values - 1,
            count: lookup.domains.len(),
        });
    }
    for (value, domain) in lookup.domains.iter().enumerate() {
        let wrong = |why| ProgramError::Domain {
            node: k,
            value,
            why,
        };
        match *domain {
            Domain::Interval { low, high, shift } => {
                // In 128 bits, for the ends come from a file.
                let width = i128::from(high) - i128::from(low);
                if !(0..1 << 32).contains(&width) {
                    return Err(wrong("holds less than one value or more than 2^32"));
                }
                if shift >= 32 {
                    return Err(wrong("has a shift of more than 31 bits"));
                }
                if domain.entries() > 1 << 20 {
                    return Err(wrong("has more than 2^20 entries; shift it by more bits"));
                }
                let range = ranges[lookup.node][value];
                if range.low < low || range.high > high {
                    return Err(ProgramError::Leaves {
                        node: k,
                        value,
                        low: range.low,
                        high: range.high,
                    });
                }
            }
            Domain::Cyclic { modulus } => {
                if modulus == 0 || modulus % 2 == 1 || modulus > 1 << 20 {
                    return Err(wrong("has a modulus that is odd, zero or more than 2^20"));
                }
            }
        }
    }
    for edge in &lookup.edges {
        exists(k, "value", edge.from, values)?;
        exists(k, "result", edge.to, lookup.bias.len())?;
        exists(k, "table", edge.table, lookup.tables.len())?;
        let (found, wanted) = (
            lookup.tables[edge.table].len(),
            lookup.domains[edge.from].entries(),
        );
        if found != wanted {
            return Err(ProgramError::Table {
                node: k,
                table: edge.table,
                found,
                value: edge.from,
                wanted,
            });
        }
        if edge.weight == 0 {
            return Err(ProgramError::Useless {
                node: k,
                what: "an edge of weight zero",
            });
        }
    }
    Ok(())
}

/// Whether there is an `index`-th of `count`.
fn exists(node: usize, what: &'static str, index: usize, count: usize) -> Result<(), ProgramError> {
    (index < count).then_some(()).ok_or(ProgramError::Missing {
        node,
        what,
        index,
        count,
    })
}
