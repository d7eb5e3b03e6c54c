//! Operators that a file defines by others are replaced by their bodies, so that only built-in operators remain.

use std::collections::BTreeMap;

use super::{
    Error,
    format::{AttributeProto, FunctionProto, NodeProto},
    node::domain,
};

/// Functions may call functions; a cycle would not end.
const MAX_DEPTH: usize = 64;
/// A few bytes can define a body of any size by calling twice what calls twice.
const MAX_NODES: usize = 1 << 16;

/// The nodes with all functions inlined, each with the version of its operator set.
pub(super) fn expand(
    nodes: &[NodeProto],
    functions: &[FunctionProto],
    opsets: &BTreeMap<String, i64>,
) -> Result<Vec<(NodeProto, i64)>, Error> {
    let mut expansion = Expansion {
        functions,
        calls: 0,
        out: Vec::with_capacity(nodes.len()),
    };
    for node in nodes {
        expansion.node(node.clone(), opsets, 0)?;
    }
    Ok(expansion.out)
}

struct Expansion<'f> {
    functions: &'f [FunctionProto],
    calls: usize,
    out: Vec<(NodeProto, i64)>,
}

impl Expansion<'_> {
    fn node(
        &mut self,
        node: NodeProto,
        opsets: &BTreeMap<String, i64>,
        depth: usize,
    ) -> Result<(), Error> {
        let called = self.functions.iter().find(|f| {
            f.name == node.op_type
                && domain(&f.domain) == domain(&node.domain)
                && f.overload == node.overload
        });
        if self.out.len() >= MAX_NODES || depth >= MAX_DEPTH {
            return Err(Error::Feature {
                what: format!("a function that calls too much ({})", node.op_type),
                advice: format!(
                    "calls may be {MAX_DEPTH} deep and make {MAX_NODES} nodes; export the model with its functions inlined"
                ),
            });
        }
        let Some(function) = called else {
            let version = opsets.get(domain(&node.domain)).copied();
            let version = version.ok_or_else(|| {
                Error::Malformed(format!(
                    "node {} ({}) is of domain {:?}, which the file does not import",
                    node.name, node.op_type, node.domain
                ))
            })?;
            self.out.push((node, version));
            return Ok(());
        };
        self.calls += 1;
        let mut opsets = opsets.clone();
        for import in &function.opset_import {
            opsets.insert(domain(&import.domain).into(), import.version);
        }
        let prefix = format!("{}/{}/", node.name, self.calls);
        for inner in &function.node {
            self.node(
                called_node(inner, &node, function, &prefix),
                &opsets,
                depth + 1,
            )?;
        }
        Ok(())
    }
}

/// A node of a function's body in the place of the call.
fn called_node(
    inner: &NodeProto,
    call: &NodeProto,
    function: &FunctionProto,
    prefix: &str,
) -> NodeProto {
    let rename = |name: &String| {
        let bound = |formal: &[String], actual: &[String]| {
            let k = formal.iter().position(|f| f == name)?;
            Some(actual.get(k).cloned().unwrap_or_default())
        };
        if name.is_empty() {
            return String::new();
        }
        let output = bound(&function.output, &call.output).filter(|actual| !actual.is_empty());
        bound(&function.input, &call.input)
            .or(output)
            .unwrap_or_else(|| format!("{prefix}{name}"))
    };
    let given = |name: &str| {
        let named = |a: &&AttributeProto| a.name == name;
        let default = || function.attribute_proto.iter().find(named);
        call.attribute.iter().find(named).or_else(default)
    };
    let attribute = inner.attribute.iter().filter_map(|a| {
        if a.ref_attr_name.is_empty() {
            return Some(a.clone());
        }
        let value = given(&a.ref_attr_name)?;
        Some(AttributeProto {
            name: a.name.clone(),
            ..value.clone()
        })
    });
    NodeProto {
        name: format!(
            "{prefix}{}",
            if inner.name.is_empty() {
                &inner.op_type
            } else {
                &inner.name
            }
        ),
        input: inner.input.iter().map(rename).collect(),
        output: inner.output.iter().map(rename).collect(),
        attribute: attribute.collect(),
        ..inner.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::format::OperatorSetIdProto;

    fn call(op: &str, input: &[&str], output: &[&str]) -> NodeProto {
        NodeProto {
            op_type: op.into(),
            domain: if op.starts_with('f') {
                "mine".into()
            } else {
                String::new()
            },
            input: input.iter().map(|s| s.to_string()).collect(),
            output: output.iter().map(|s| s.to_string()).collect(),
            ..NodeProto::default()
        }
    }

    fn function(name: &str, node: Vec<NodeProto>) -> FunctionProto {
        FunctionProto {
            name: name.into(),
            domain: "mine".into(),
            input: vec!["x".into()],
            output: vec!["y".into()],
            node,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 18,
            }],
            ..FunctionProto::default()
        }
    }

    #[test]
    fn bodies_replace_calls_with_names_of_their_own() {
        let mut relu = call("Relu", &["x"], &["t"]);
        relu.attribute = vec![AttributeProto {
            name: "alpha".into(),
            ref_attr_name: "slope".into(),
            ..AttributeProto::default()
        }];
        let inner = function("f", vec![relu, call("Neg", &["t"], &["y"])]);
        let outer = function(
            "ff",
            vec![call("f", &["x"], &["u"]), call("f", &["u"], &["y"])],
        );
        let opsets = BTreeMap::from([(String::new(), 20)]);
        let mut first = call("ff", &["in"], &["out"]);
        first.name = "c".into();
        let nodes = [first, call("Abs", &["out"], &["end"])];
        let flat = expand(&nodes, &[inner, outer], &opsets).unwrap();
        let ops: Vec<(&str, i64)> = flat.iter().map(|(n, v)| (&n.op_type[..], *v)).collect();
        assert_eq!(
            ops,
            [
                ("Relu", 18),
                ("Neg", 18),
                ("Relu", 18),
                ("Neg", 18),
                ("Abs", 20)
            ]
        );
        assert_eq!(flat[0].0.input, ["in"]);
        assert_eq!(flat[1].0.output, flat[2].0.input);
        assert_ne!(flat[0].0.output, flat[2].0.output);
        assert_eq!(flat[3].0.output, ["out"]);
        assert!(flat[0].0.attribute.is_empty(), "the call gives no slope");
    }

    #[test]
    fn functions_that_call_themselves_are_refused() {
        let opsets = BTreeMap::from([(String::new(), 20)]);
        let looped = function("f", vec![call("f", &["x"], &["y"])]);
        assert!(expand(&[call("f", &["a"], &["b"])], &[looped], &opsets).is_err());
        let doubling: Vec<FunctionProto> = (0..60)
            .map(|k| {
                let next = format!("f{}", k + 1);
                let body = vec![call(&next, &["x"], &["t"]), call(&next, &["t"], &["y"])];
                function(&format!("f{k}"), body)
            })
            .chain([function("f60", vec![call("Neg", &["x"], &["y"])])])
            .collect();
        assert!(expand(&[call("f0", &["a"], &["b"])], &doubling, &opsets).is_err());
    }
}
