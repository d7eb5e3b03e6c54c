//! A checked file: what goes in, what comes out, the parameters, and nodes that are all supported.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use prost::Message;

use super::{
    Constant, Element, Error,
    format::{GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    inline,
    node::{self, Node},
    registry, splice, tensor,
};

/// The length of an axis of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this length.
    Fixed(usize),
    /// Any length, with the name that the file gives it (empty where it gives none): the batch, a sequence.
    Any(String),
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The kind of its entries.
    pub element: Element,
    /// Its axes; empty where the file does not tell.
    pub shape: Vec<Dim>,
    /// Whether the file leaves even the number of axes open.
    pub any_rank: bool,
}

/// A checked ONNX file.
#[derive(Clone)]
pub struct Model {
    pub(super) bytes: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) initializers: Vec<Initializer>,
}

/// A constant of the file that has a name.
#[derive(Clone)]
pub(super) struct Initializer {
    pub(super) name: String,
    pub(super) data_type: i32,
    pub(super) value: Constant,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Model")
            .field("nodes", &self.nodes.len())
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Reads a file and checks everything that does not depend on shapes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are not ONNX, [`Error::Opset`], and [`Error::Unsupported`] naming the first node
    /// whose operator is not supported.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let proto = ModelProto::decode(bytes).map_err(|e| Error::Malformed(e.to_string()))?;
        let opsets = opsets(&proto)?;
        let graph = proto
            .graph
            .ok_or_else(|| Error::Malformed("it holds no graph".into()))?;
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |t| &t.name);
            return Err(Error::Feature {
                what: format!("a sparse initializer ({name})"),
                advice: "save its weights as dense tensors".into(),
            });
        }
        let initializers = graph
            .initializer
            .iter()
            .map(|t| {
                Ok(Initializer {
                    name: t.name.clone(),
                    data_type: t.data_type,
                    value: tensor::decode(t)?,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let known = |name: &str| initializers.iter().any(|i| i.name == name);
        let inputs = graph.input.iter().filter(|v| !known(&v.name));
        let inputs = inputs.map(input).collect::<Result<_, _>>()?;
        let outputs: Vec<Port> = graph.output.iter().map(output).collect();
        if outputs.is_empty() {
            return Err(Error::Malformed("its graph has no output".into()));
        }
        let nodes = nodes(&graph, &proto.functions, &opsets)?;
        let model = Self {
            bytes: bytes.to_vec(),
            nodes,
            inputs,
            outputs,
            initializers,
        };
        model.check_names()?;
        Ok(model)
    }

    /// What a caller feeds, in order: the inputs of the graph for which the file holds no value.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What the model computes, in order.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The weights: all initializers of real numbers, in the order of the file.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, ArrayD<f64>)> {
        self.initializers
            .iter()
            .filter_map(|i| match &i.value {
                Constant::Float(x) => Some((i.name.clone(), x.clone())),
                _ => None,
            })
            .collect()
    }

    /// The same file with other weights, each rounded to the type that the file holds it in; all else is kept byte for byte.
    ///
    /// # Errors
    /// [`Error::Feed`] for a name that is no parameter of the model, and for a shape that is not its own.
    pub fn with_parameters(&self, new: &[(String, ArrayD<f64>)]) -> Result<Vec<u8>, Error> {
        let mut data = BTreeMap::new();
        for (name, x) in new {
            let wrong = |why: String| Error::Feed {
                name: name.clone(),
                why,
            };
            let old = self.initializers.iter().find(|i| i.name == *name);
            let old = old.ok_or_else(|| wrong("the model has no such parameter".into()))?;
            if old.value.shape() != x.shape() {
                return Err(wrong(format!(
                    "the parameter has shape {:?}, the new value {:?}",
                    old.value.shape(),
                    x.shape()
                )));
            }
            let raw = tensor::raw_floats(old.data_type, x)
                .ok_or_else(|| wrong("it does not hold real numbers".into()))?;
            data.insert(name.as_str(), raw);
        }
        splice::with_raw_data(&self.bytes, &data)
    }

    /// Every value has one maker, and is made before it is used.
    fn check_names(&self) -> Result<(), Error> {
        let mut made = std::collections::BTreeSet::new();
        let given = self.inputs.iter().map(|p| &p.name);
        for name in given.chain(self.initializers.iter().map(|i| &i.name)) {
            if !made.insert(name.as_str()) {
                return Err(Error::Malformed(format!("two values are named {name}")));
            }
        }
        for node in &self.nodes {
            for name in node.inputs.iter().filter(|name| !name.is_empty()) {
                if !made.contains(name.as_str()) {
                    return Err(Error::Malformed(format!(
                        "node {} uses {name} before anything makes it",
                        node.label
                    )));
                }
            }
            for name in node.outputs.iter().filter(|name| !name.is_empty()) {
                if !made.insert(name) {
                    return Err(Error::Malformed(format!(
                        "node {} makes {name}, which exists already",
                        node.label
                    )));
                }
            }
        }
        match self
            .outputs
            .iter()
            .find(|p| !made.contains(p.name.as_str()))
        {
            Some(p) => Err(Error::Malformed(format!(
                "nothing makes the output {}",
                p.name
            ))),
            None => Ok(()),
        }
    }
}

/// The version of each domain, where it is one that is supported.
fn opsets(proto: &ModelProto) -> Result<BTreeMap<String, i64>, Error> {
    let mut opsets = BTreeMap::new();
    for import in &proto.opset_import {
        let domain = node::domain(&import.domain);
        if let Some((oldest, newest)) = registry::versions(domain)
            && !(oldest..=newest).contains(&import.version)
        {
            return Err(Error::Opset {
                domain: registry::domain_name(domain).into(),
                version: import.version,
                oldest,
                newest,
            });
        }
        opsets.insert(domain.to_string(), import.version);
    }
    if opsets.is_empty() {
        return Err(Error::Malformed(
            "it does not say which operator set it uses".into(),
        ));
    }
    Ok(opsets)
}

fn nodes(
    graph: &GraphProto,
    functions: &[super::format::FunctionProto],
    opsets: &BTreeMap<String, i64>,
) -> Result<Vec<Node>, Error> {
    let expanded = inline::expand(&graph.node, functions, opsets)?;
    let mut nodes = Vec::with_capacity(expanded.len());
    for (k, (proto, opset)) in expanded.iter().enumerate() {
        registry::find(proto, k, *opset)?;
        nodes.push(Node::decode(proto, k, *opset)?);
    }
    Ok(nodes)
}

fn input(info: &ValueInfoProto) -> Result<Port, Error> {
    let refuse = |what: &str| Error::Feature {
        what: format!("{what} as an input ({})", info.name),
        advice: "inputs are tensors of numbers, truth values or text".into(),
    };
    let port = output(info);
    match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(type_proto::Value::TensorType(t)) if tensor::element(t.elem_type).is_none() => Err(
            refuse(&format!("a tensor of {}", tensor::type_name(t.elem_type))),
        ),
        Some(type_proto::Value::TensorType(_)) => Ok(port),
        Some(type_proto::Value::SequenceType(_)) => Err(refuse("a sequence")),
        Some(type_proto::Value::MapType(_)) => Err(refuse("a map")),
        Some(type_proto::Value::OptionalType(_)) => Err(refuse("an optional value")),
        Some(_) => Err(refuse("a sparse or opaque value")),
        None => Err(refuse("a value without a type")),
    }
}

/// An output's type is a promise of the file that nothing here relies on.
fn output(info: &ValueInfoProto) -> Port {
    let mut port = Port {
        name: info.name.clone(),
        element: Element::Float,
        shape: Vec::new(),
        any_rank: true,
    };
    if let Some(type_proto::Value::TensorType(t)) =
        info.r#type.as_ref().and_then(|t| t.value.as_ref())
    {
        port.element = tensor::element(t.elem_type).unwrap_or(Element::Float);
        if let Some(shape) = &t.shape {
            port.any_rank = false;
            port.shape = shape
                .dim
                .iter()
                .map(|d| match &d.value {
                    Some(dimension::Value::DimValue(n)) => {
                        // Some exporters write a length that is not known as -1 or 0.
                        usize::try_from(*n)
                            .ok()
                            .filter(|&n| n > 0)
                            .map_or_else(|| Dim::Any(String::new()), Dim::Fixed)
                    }
                    Some(dimension::Value::DimParam(name)) => Dim::Any(name.clone()),
                    None => Dim::Any(String::new()),
                })
                .collect();
        }
    }
    port
}
