//! Programs node by node: what values can be is known as soon as they are there, so that lookups can be made to fit.

use super::{Input, Interval, Node, Parts, Program, ProgramError, validate};

/// A program that is being made.
#[derive(Clone, Debug)]
pub struct Builder {
    input: Input,
    pub(super) nodes: Vec<Node>,
    pub(super) ranges: Vec<Vec<Interval>>,
}

impl Builder {
    /// A program without nodes.
    ///
    /// # Errors
    /// If the input is impossible.
    pub fn new(input: Input) -> Result<Self, ProgramError> {
        validate::input(&input)?;
        Ok(Self {
            input,
            nodes: Vec::new(),
            ranges: Vec::new(),
        })
    }

    /// Adds a node. Returns its number.
    ///
    /// # Errors
    /// If it refers to what is not there, its tables do not fit, or the worst inputs leave its domains.
    pub fn push(&mut self, node: Node) -> Result<usize, ProgramError> {
        let k = self.nodes.len();
        let ranges = validate::node(k, &node, &self.input, &self.nodes, &self.ranges)?;
        self.nodes.push(node);
        self.ranges.push(ranges);
        Ok(k)
    }

    /// What the values of a node can be, from the worst inputs.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn ranges(&self, node: usize) -> &[Interval] {
        &self.ranges[node]
    }

    /// The program, whose result is the last node, a unit of which is worth `output_scale`.
    ///
    /// # Errors
    /// If there is no node, or the scale is not a number above 0.
    pub fn finish(self, name: &str, output_scale: f32) -> Result<Program, ProgramError> {
        if self.nodes.is_empty() {
            return Err(ProgramError::Empty);
        }
        let parts = Parts {
            name: name.to_owned(),
            input: self.input,
            nodes: self.nodes,
            output_scale,
        };
        validate::output_scale(&parts)?;
        let ranges = self.ranges;
        Ok(Program { parts, ranges })
    }
}

/// What comes after a program that is there: its nodes are the first.
impl From<Program> for Builder {
    fn from(program: Program) -> Self {
        let Program { parts, ranges } = program;
        Self {
            input: parts.input,
            nodes: parts.nodes,
            ranges,
        }
    }
}
