//! What can be measured: single gates, networks, and one whole training.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::gate::Gate;
use super::network::Network;

/// An operation with a name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// One gate on tensors.
    Gate(Gate),
    /// A network, or a step of training it.
    Network(Network),
    /// The first job of the demo, on rows that three parties share.
    LogisticRegression,
}

impl Op {
    /// The size that is measured unless another is asked for: the number of values, the side of square matrices or images,
    /// or the number of rows.
    pub fn default_size(self) -> usize {
        match self {
            Self::Gate(gate) => gate.default_size(),
            Self::Network(network) => network.default_size(),
            Self::LogisticRegression => tacit_examples::BREAST_CANCER.rows().count(),
        }
    }
}

impl Op {
    /// The number of values that the operation gives for a size; none for what gives no tensor of that many.
    pub(super) fn values(self, size: usize) -> Option<usize> {
        match self {
            Self::Gate(gate) => Some(gate.values(size)),
            Self::Network(_) | Self::LogisticRegression => None,
        }
    }
}

impl ValueEnum for Op {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Gate(Gate::Mul),
            Self::Gate(Gate::MulTrunc),
            Self::Gate(Gate::Dot),
            Self::Gate(Gate::Matmul),
            Self::Gate(Gate::Conv),
            Self::Gate(Gate::And),
            Self::Gate(Gate::Less),
            Self::Gate(Gate::Relu),
            Self::Gate(Gate::Max),
            Self::Gate(Gate::Exp),
            Self::Gate(Gate::Log),
            Self::Gate(Gate::Reciprocal),
            Self::Gate(Gate::Rsqrt),
            Self::Gate(Gate::Sigmoid),
            Self::Gate(Gate::Tanh),
            Self::Gate(Gate::Gelu),
            Self::Gate(Gate::Softmax),
            Self::Network(Network::Mlp),
            Self::Network(Network::MlpTrain),
            Self::Network(Network::Lenet),
            Self::LogisticRegression,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Gate(gate) => gate.to_possible_value(),
            Self::Network(network) => network.to_possible_value(),
            Self::LogisticRegression => Some(
                PossibleValue::new("logistic-regression")
                    .help("The first job of the demo: sharing 569 rows, 10 epochs of batch 32, metrics and release"),
            ),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", PossibleValue::get_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_is_on_the_list_and_names_read_back() {
        let known = Gate::value_variants().len() + Network::value_variants().len() + 1;
        assert_eq!(Op::value_variants().len(), known);
        for &op in Op::value_variants() {
            assert_eq!(Op::from_str(&op.to_string(), false), Ok(op));
        }
    }
}
