//! Where in a program something happens.

use std::fmt;

use crate::prss::Purpose;

/// Where in the program a message or a draw belongs. Structured, so that it does not depend on the order of execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The run of a graph within the session.
    pub invocation: u32,
    /// The node of the graph, below 2^24.
    pub node: u32,
    /// The chunk of the tensor.
    pub strand: u16,
    /// The gate within the node: pass in the upper 4 bits, gate of that pass in the lower 12.
    pub gate: u16,
}

impl Label {
    /// The 96-bit address of a draw, shifted over the 32-bit block counter.
    #[must_use]
    pub fn address(self, purpose: Purpose) -> u128 {
        u128::from(self.invocation) << 96
            | u128::from(self.node) << 72
            | u128::from(self.strand) << 56
            | u128::from(self.gate) << 40
            | (purpose as u128) << 32
    }

    /// Invocation, node and pass: what all strands of one pass share.
    pub(super) fn pass(self) -> (u32, u32, u16) {
        (self.invocation, self.node, self.gate >> 12)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "run {} node {} chunk {} gate {}",
            self.invocation, self.node, self.strand, self.gate
        )
    }
}
