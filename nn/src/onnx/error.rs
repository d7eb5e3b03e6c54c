//! What can be wrong with a file, or with how it is to be used. Every error names the node or tensor and says what to do.

/// Why a file or a use of it is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not an ONNX file, or contradict themselves.
    #[error("not a valid ONNX file: {0}")]
    Malformed(String),
    /// The file is valid but uses a part of the format that is not supported.
    #[error("{what} is not supported: {advice}")]
    Feature {
        /// The part of the format, and where it occurs.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// The file asks for a version of the operators that is not known.
    #[error(
        "operator set {version} of {domain} is not supported: export the model with one of {oldest} to {newest}"
    )]
    Opset {
        /// The domain, `ai.onnx` or `ai.onnx.ml`.
        domain: String,
        /// The version that the file asks for.
        version: i64,
        /// The oldest version supported.
        oldest: i64,
        /// The newest version supported.
        newest: i64,
    },
    /// A node's operator is not supported at all.
    #[error("node {node}: the operator {op} of {domain} (operator set {opset}) is not supported; supported are {}", supported.join(" "))]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
        /// The domain of the operator.
        domain: String,
        /// The version of the domain that the file asks for.
        opset: i64,
        /// All operators of that domain that are supported.
        supported: Vec<&'static str>,
    },
    /// A form of a supported operator that is not supported, with the reason.
    #[error("node {node}: {why}")]
    Refused {
        /// The node.
        node: String,
        /// What is refused, and what to do.
        why: String,
    },
    /// A value decides shapes or positions, which everybody sees, but comes from private inputs.
    #[error("node {node}: {role} must be public, but depends on the private input {}; give that input in the clear", inputs.join(", "))]
    MustBePublic {
        /// The node.
        node: String,
        /// What the value is to the node.
        role: String,
        /// The names of the model's inputs from which it is computed.
        inputs: Vec<String>,
    },
    /// An attribute that is missing, of the wrong type or out of range.
    #[error("node {node}: attribute {attribute} {why}")]
    Attribute {
        /// The node.
        node: String,
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        why: String,
    },
    /// Operands that do not fit the operator.
    #[error("node {node}: {why}")]
    Shape {
        /// The node.
        node: String,
        /// Which shapes do not fit, and why.
        why: String,
    },
    /// What the graph builder reports for a node.
    #[error("node {node}: {source}")]
    Graph {
        /// The node.
        node: String,
        /// The reason.
        source: crate::Error,
    },
    /// An input or a set of parameters that does not fit the model.
    #[error("{name}: {why}")]
    Feed {
        /// The input or parameter.
        name: String,
        /// What does not fit.
        why: String,
    },
}

/// What an operator reports; the driver adds the name of the node.
#[derive(Debug)]
pub(crate) enum Fault {
    /// See [`Error::Refused`].
    Refused(String),
    /// See [`Error::Attribute`].
    Attribute(String, String),
    /// See [`Error::Shape`].
    Shape(String),
    /// See [`Error::MustBePublic`]: what the value is, and the names of the inputs it depends on.
    MustBePublic(String, Vec<String>),
    /// See [`Error::Graph`].
    Graph(crate::Error),
    /// The node cannot be folded although its inputs are known: it draws at random.
    NotConstant,
}

impl From<crate::Error> for Fault {
    fn from(error: crate::Error) -> Self {
        Self::Graph(error)
    }
}

impl Fault {
    /// The error of a node.
    pub(crate) fn at(self, node: String) -> Error {
        match self {
            Self::Refused(why) => Error::Refused { node, why },
            Self::Attribute(attribute, why) => Error::Attribute {
                node,
                attribute,
                why,
            },
            Self::Shape(why) => Error::Shape { node, why },
            Self::MustBePublic(role, inputs) => Error::MustBePublic { node, role, inputs },
            Self::Graph(source) => Error::Graph { node, source },
            Self::NotConstant => Error::Refused {
                node,
                why: "it draws at random, which a constant cannot".into(),
            },
        }
    }
}

/// What an operator's lowering gives.
pub(crate) type Lowering<T> = std::result::Result<T, Fault>;

/// A refusal with its reason.
pub(crate) fn refuse<T>(why: impl Into<String>) -> Lowering<T> {
    Err(Fault::Refused(why.into()))
}
