//! One node of a file, with its attributes decoded and typed access to them.

use std::collections::BTreeMap;

use super::{
    Constant, Error,
    error::{Fault, Lowering},
    format::{AttributeProto, NodeProto, attribute_proto::AttributeType},
    tensor,
};

/// The argument of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f64),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
    Tensor(Constant),
}

impl Attribute {
    fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Ints(_) => "integers",
            Self::Floats(_) => "numbers",
            Self::Texts(_) => "texts",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// An operation of a file. Names of inputs and outputs are those of the file; an empty one was left out.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What errors call it.
    pub(crate) label: String,
    pub(crate) op: String,
    /// Empty for ai.onnx.
    pub(crate) domain: String,
    /// The version of the domain that the file asks for.
    pub(crate) opset: i64,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: BTreeMap<String, Attribute>,
}

impl Node {
    /// Decodes node number `index`, of a domain in version `opset`.
    pub(crate) fn decode(proto: &NodeProto, index: usize, opset: i64) -> Result<Self, Error> {
        let label = if proto.name.is_empty() {
            let output = proto.output.iter().find(|name| !name.is_empty());
            format!(
                "{} that makes {} (number {index})",
                proto.op_type,
                output.map_or("nothing", |name| name)
            )
        } else {
            proto.name.clone()
        };
        let mut attributes = BTreeMap::new();
        for a in &proto.attribute {
            if let Some(value) = attribute(a, &label)? {
                attributes.insert(a.name.clone(), value);
            }
        }
        Ok(Self {
            label,
            op: proto.op_type.clone(),
            domain: domain(&proto.domain).into(),
            opset,
            inputs: proto.input.clone(),
            outputs: proto.output.clone(),
            attributes,
        })
    }

    /// Whether output k is asked for.
    pub(crate) fn wants(&self, k: usize) -> bool {
        self.outputs.get(k).is_some_and(|name| !name.is_empty())
    }

    fn wrong<T>(&self, name: &str, got: &Attribute, want: &str) -> Lowering<T> {
        Err(Fault::Attribute(
            name.into(),
            format!("is {} and should be {want}", got.kind()),
        ))
    }

    /// An attribute that must be there.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Lowering<T> {
        value.ok_or_else(|| Fault::Attribute(name.into(), "is missing".into()))
    }

    /// An integer attribute.
    pub(crate) fn int(&self, name: &str) -> Lowering<Option<i64>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Int(v)) => Ok(Some(*v)),
            Some(other) => self.wrong(name, other, "an integer"),
        }
    }

    /// An integer attribute with a default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> Lowering<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// An integer attribute that says yes (not 0) or no.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Lowering<bool> {
        Ok(self.int(name)?.map_or(default, |v| v != 0))
    }

    /// A number.
    pub(crate) fn float(&self, name: &str) -> Lowering<Option<f64>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Float(v)) if v.is_nan() => {
                Err(Fault::Attribute(name.into(), "is not a number".into()))
            }
            Some(Attribute::Float(v)) => Ok(Some(*v)),
            Some(other) => self.wrong(name, other, "a number"),
        }
    }

    /// A number with a default.
    pub(crate) fn float_or(&self, name: &str, default: f64) -> Lowering<f64> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Lowering<Option<&str>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Text(v)) => Ok(Some(v)),
            Some(other) => self.wrong(name, other, "text"),
        }
    }

    /// Text with a default.
    pub(crate) fn text_or<'a>(&'a self, name: &str, default: &'a str) -> Lowering<&'a str> {
        Ok(self.text(name)?.unwrap_or(default))
    }

    /// Integers.
    pub(crate) fn ints(&self, name: &str) -> Lowering<Option<&[i64]>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(other) => self.wrong(name, other, "integers"),
        }
    }

    /// Numbers.
    pub(crate) fn floats(&self, name: &str) -> Lowering<Option<&[f64]>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v)),
            Some(other) => self.wrong(name, other, "numbers"),
        }
    }

    /// Texts.
    pub(crate) fn texts(&self, name: &str) -> Lowering<Option<&[String]>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Texts(v)) => Ok(Some(v)),
            Some(other) => self.wrong(name, other, "texts"),
        }
    }

    /// A tensor.
    pub(crate) fn tensor(&self, name: &str) -> Lowering<Option<&Constant>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Tensor(v)) => Ok(Some(v)),
            Some(other) => self.wrong(name, other, "a tensor"),
        }
    }
}

/// The canonical name of a domain: `ai.onnx` may be written in full or left out.
pub(crate) fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// Decodes an attribute; `None` where it refers to an attribute of the caller that was not given. The type may be left out
/// in files of the first IR version, where the field that is set tells it.
fn attribute(a: &AttributeProto, node: &str) -> Result<Option<Attribute>, Error> {
    let refuse = |what: &str| Error::Feature {
        what: format!("{what} (attribute {} of node {node})", a.name),
        advice: "export the model without control flow and sparse tensors".into(),
    };
    let word = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let kind = AttributeType::try_from(a.r#type)
        .map_err(|_| refuse("an attribute of a type that is not known"))?;
    if !a.ref_attr_name.is_empty() {
        return Ok(None);
    }
    Ok(Some(match kind {
        AttributeType::Float => Attribute::Float(f64::from(a.f)),
        AttributeType::Int => Attribute::Int(a.i),
        AttributeType::String => Attribute::Text(word(&a.s)),
        AttributeType::Floats => Attribute::Floats(a.floats.iter().map(|&v| v.into()).collect()),
        AttributeType::Ints => Attribute::Ints(a.ints.clone()),
        AttributeType::Strings => Attribute::Texts(a.strings.iter().map(word).collect()),
        AttributeType::Tensor => {
            let t = a.t.as_ref().ok_or_else(|| {
                Error::Malformed(format!(
                    "attribute {} of node {node} holds no tensor",
                    a.name
                ))
            })?;
            Attribute::Tensor(tensor::decode(t)?)
        }
        AttributeType::Undefined => {
            if let Some(t) = &a.t {
                Attribute::Tensor(tensor::decode(t)?)
            } else if !a.floats.is_empty() {
                Attribute::Floats(a.floats.iter().map(|&v| v.into()).collect())
            } else if !a.ints.is_empty() {
                Attribute::Ints(a.ints.clone())
            } else if !a.strings.is_empty() {
                Attribute::Texts(a.strings.iter().map(word).collect())
            } else if !a.s.is_empty() {
                Attribute::Text(word(&a.s))
            } else if a.f != 0.0 {
                Attribute::Float(f64::from(a.f))
            } else {
                Attribute::Int(a.i)
            }
        }
        AttributeType::Graph | AttributeType::Graphs => return Err(refuse("a subgraph")),
        AttributeType::Tensors => return Err(refuse("a list of tensors")),
        AttributeType::SparseTensor | AttributeType::SparseTensors => {
            return Err(refuse("a sparse tensor"));
        }
        AttributeType::TypeProto | AttributeType::TypeProtos => {
            return Err(refuse("a type as an argument"));
        }
    }))
}
