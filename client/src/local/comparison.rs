//! The variant of comparisons, as it is asked for on the command line.

use clap::ValueEnum;
use tacit_api::job;
use tacit_protocols::rep3::Depth;

/// Fewer bytes or fewer rounds for each comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Comparison {
    /// 41.75 bytes and five rounds a value
    #[default]
    FewBytes,
    /// 49.75 bytes and four rounds a value
    FewRounds,
    /// 241 bytes and three rounds a value
    ThreeRounds,
    /// 1824 bytes and two rounds a value; computational
    TwoRounds,
    /// Whichever is fastest on the links of a simulated network; on one machine there is no link to choose by: few bytes
    Auto,
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |v| v.get_name()))
    }
}

impl From<Comparison> for Depth {
    fn from(comparison: Comparison) -> Self {
        match comparison {
            Comparison::FewBytes | Comparison::Auto => Self::Three,
            Comparison::FewRounds => Self::Two,
            Comparison::ThreeRounds => Self::One,
            Comparison::TwoRounds => Self::Dcf,
        }
    }
}

/// How numbers are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Fractional bits of the fixed-point numbers.
    pub fraction_bits: u32,
    /// The variant of comparisons.
    pub comparison: Comparison,
    /// How many parties compute, where the protocol is for any number.
    pub parties: usize,
}

/// With the comparisons that are usual on one machine.
impl From<u32> for Settings {
    fn from(fraction_bits: u32) -> Self {
        Self {
            fraction_bits,
            comparison: Comparison::default(),
            parties: 2,
        }
    }
}

/// What a job asks for.
impl From<job::Comparison> for Comparison {
    fn from(asked: job::Comparison) -> Self {
        match asked {
            job::Comparison::Auto | job::Comparison::FewBytes => Self::FewBytes,
            job::Comparison::FewRounds => Self::FewRounds,
        }
    }
}
