//! The operators that are supported: one row each, in the file that lowers them.

use super::{
    Error,
    context::{Ctx, Val},
    error::Lowering,
    format::NodeProto,
    node::{Node, domain},
    ops,
};

/// Appends what a node computes to the graph; a value for each of its outputs (those at the end may be missing where the
/// node does not ask for them).
pub(crate) type Lower = fn(&mut Ctx<'_>, &Node) -> Lowering<Vec<Val>>;

/// An operator.
#[derive(Clone, Copy)]
pub(crate) struct OpSpec {
    /// Empty for ai.onnx.
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    /// The first version of its domain that has it, in a form that is supported.
    pub(crate) since: i64,
    pub(crate) lower: Lower,
    /// The operands that must be known when the graph is made; all others may be private.
    pub(crate) public: &'static str,
    /// Limits.
    pub(crate) note: &'static str,
}

/// A row for an operator of ai.onnx.
pub(crate) const fn op(name: &'static str, since: i64, lower: Lower, note: &'static str) -> OpSpec {
    OpSpec {
        domain: "",
        name,
        since,
        lower,
        public: "",
        note,
    }
}

/// A row for an operator of ai.onnx.ml.
pub(crate) const fn ml(name: &'static str, since: i64, lower: Lower, note: &'static str) -> OpSpec {
    OpSpec {
        domain: ML,
        ..op(name, since, lower, note)
    }
}

impl OpSpec {
    /// The same with operands that must be public.
    pub(crate) const fn public(self, public: &'static str) -> Self {
        Self { public, ..self }
    }
}

/// The domain of classical machine learning.
pub(crate) const ML: &str = "ai.onnx.ml";

/// All operators, by the file that holds them.
pub(crate) const TABLES: &[&[OpSpec]] = ops::TABLES;

/// The oldest and newest version of a domain whose operators are known; `None` for other domains.
pub(crate) fn versions(domain: &str) -> Option<(i64, i64)> {
    match domain {
        "" => Some((7, 28)),
        ML => Some((1, 5)),
        _ => None,
    }
}

/// A domain as it is written.
pub(crate) fn domain_name(domain: &str) -> &str {
    if domain.is_empty() { "ai.onnx" } else { domain }
}

/// All operators of all files.
pub(crate) fn all() -> impl Iterator<Item = &'static OpSpec> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The operator of node number `index`, in version `opset` of its domain.
pub(crate) fn find(node: &NodeProto, index: usize, opset: i64) -> Result<&'static OpSpec, Error> {
    let asked = domain(&node.domain);
    get(asked, &node.op_type, opset).ok_or_else(|| {
        let named = all().filter(|spec| spec.domain == asked || versions(asked).is_none());
        let mut supported: Vec<&str> = named.map(|spec| spec.name).collect();
        supported.sort_unstable();
        let output = node.output.first().map_or("", |name| name);
        Error::Unsupported {
            node: if node.name.is_empty() {
                format!("number {index} (that makes {output})")
            } else {
                node.name.clone()
            },
            op: node.op_type.clone(),
            domain: domain_name(asked).into(),
            opset,
            supported,
        }
    })
}

/// The operator of a name, if version `opset` of its domain has it.
pub(crate) fn get(domain: &str, name: &str, opset: i64) -> Option<&'static OpSpec> {
    all().find(|spec| spec.domain == domain && spec.name == name && spec.since <= opset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_is_there_twice() {
        let mut names: Vec<_> = all().map(|spec| (spec.domain, spec.name)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_refusal_tells_what_is_supported() {
        let node = NodeProto {
            name: "loop 1".into(),
            op_type: "Loop".into(),
            ..NodeProto::default()
        };
        let Err(error) = find(&node, 3, 17) else {
            panic!("Loop is supported")
        };
        let message = error.to_string();
        let start = "node loop 1: the operator Loop of ai.onnx (operator set 17) is not supported; supported are ";
        assert!(message.starts_with(start), "{message}");
        assert!(
            message.contains(" Reshape ") && !message.contains("Scaler"),
            "{message}"
        );
    }
}
