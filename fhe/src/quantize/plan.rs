//! How coarse a program is to be.

/// How the lookups at one distance from the input are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// How far apart the lowest and the highest value of a sum may be, from the worst inputs.
    pub reach: i64,
    /// Entries of a table, at most: low bits of wider sums are left out.
    pub bins: u32,
    /// The largest integer that a table says.
    pub activation: u16,
}

/// How coarse a program is to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The largest integer of the input.
    pub input: u16,
    /// The lookups, by their distance from the input; the last one is for all behind it too.
    pub layers: Vec<Layer>,
    /// The largest factor of the results.
    pub last: i32,
}

impl Plan {
    /// The lookups at a distance.
    pub(super) fn layer(&self, depth: usize) -> Layer {
        let last = self.layers.last().copied();
        let last = last.unwrap_or(Layer {
            reach: 31,
            bins: 32,
            activation: 3,
        });
        self.layers.get(depth).copied().unwrap_or(last)
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "input 0-{}", self.input)?;
        for Layer {
            reach,
            bins,
            activation,
        } in &self.layers
        {
            write!(f, ", sums {} in {bins} to 0-{activation}", reach + 1)?;
        }
        write!(f, ", results by {}", self.last)
    }
}
