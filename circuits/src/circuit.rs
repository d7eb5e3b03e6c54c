//! What a circuit is.

/// The number of a wire.
pub type Wire = u32;

/// A gate and the wire that it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// out = a ⊕ b.
    Xor {
        /// The operands.
        of: [Wire; 2],
        /// The result.
        out: Wire,
    },
    /// out = a ∧ b.
    And {
        /// The operands.
        of: [Wire; 2],
        /// The result.
        out: Wire,
    },
    /// out = ¬a.
    Not {
        /// The operand.
        of: Wire,
        /// The result.
        out: Wire,
    },
    /// out = a.
    Copy {
        /// The operand.
        of: Wire,
        /// The result.
        out: Wire,
    },
    /// out = 0 or 1.
    Constant {
        /// Which.
        bit: bool,
        /// The result.
        out: Wire,
    },
}

impl Gate {
    /// The wire that it sets.
    #[must_use]
    pub fn out(&self) -> Wire {
        match *self {
            Self::Xor { out, .. }
            | Self::And { out, .. }
            | Self::Not { out, .. }
            | Self::Copy { out, .. }
            | Self::Constant { out, .. } => out,
        }
    }

    /// The wires that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Wire> {
        let of = match *self {
            Self::Xor { of: [a, b], .. } | Self::And { of: [a, b], .. } => [Some(a), Some(b)],
            Self::Not { of, .. } | Self::Copy { of, .. } => [Some(of), None],
            Self::Constant { .. } => [None, None],
        };
        of.into_iter().flatten()
    }
}

/// A circuit: every wire is set once, by an input or a gate, before it is read.
///
/// Wires 0, 1, … are the inputs' bits, one input after the other; the last wires are the outputs' bits. Of a number, the first
/// wire is the least significant bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    pub(crate) wires: usize,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    pub(crate) gates: Vec<Gate>,
}

impl Circuit {
    /// How many wires there are.
    #[must_use]
    pub fn wires(&self) -> usize {
        self.wires
    }

    /// Bits of each input.
    #[must_use]
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// Bits of each output.
    #[must_use]
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// The gates, in an order in which each reads what is set.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// How many conjunctions there are: all that costs anything on shares.
    #[must_use]
    pub fn ands(&self) -> usize {
        let and = |gate: &&Gate| matches!(gate, Gate::And { .. });
        self.gates.iter().filter(and).count()
    }
}
