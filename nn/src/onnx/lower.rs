//! From a checked file to a graph: what is known is folded, what is not is appended node by node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ndarray::ArrayD;

use super::{
    Constant, Dim, Element, Error, Model, Port,
    context::{Ctx, Val},
    error::{Fault, Lowering},
    node::Node,
    registry, rewrite, tensor,
};
use crate::{Clear, Edge, Graph, run};

/// How an input of the model is given.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Its entries are private; only the shape is known.
    Private(Vec<usize>),
    /// Everybody knows it. An input that decides shapes or positions must be fed like this.
    Public(Constant),
}

/// Who knows the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Everybody: they are constants of the graph.
    Public,
    /// One party: what depends on weights of real numbers alone is folded and becomes inputs of the graph. Weights are the
    /// initializers that have axes, the values of Constant nodes that hold more than one number, and the coefficients and
    /// tables of ai.onnx.ml operators. What decides the structure of the graph (bounds of Clip, exponents, scales of Resize) is
    /// public, as integers are.
    Private,
    /// The named ones are trained: they are inputs of the graph, and nothing is folded through them. All others are public.
    Trained(BTreeSet<String>),
}

/// How to lower.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who knows the weights.
    pub weights: Weights,
    /// Whether the graph is for training: statistics of the batch in BatchNormalization, random masks in Dropout.
    pub training: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            weights: Weights::Public,
            training: false,
        }
    }
}

/// A graph for given shapes.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// Its outputs: the model's outputs that are not known, in order, then `updates`.
    pub graph: Graph,
    /// What each input of the graph is.
    pub sources: Vec<Source>,
    /// The model's outputs.
    pub outputs: Vec<Output>,
    /// In training: the parameters that a step sets by itself (running statistics), each with the output of the graph that
    /// is its new value.
    pub updates: Vec<(String, usize)>,
}

/// What an input of a graph is.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The model's input of this index.
    Input(usize),
    /// A private weight, or a value that was folded from some; named after the value in the file.
    Weight {
        /// The name of the value in the file.
        name: String,
        /// The value, for the party that knows it.
        value: ArrayD<f64>,
    },
    /// A parameter that is trained.
    Parameter(String),
    /// Random entries for each step of training: 1 with probability `keep`, else 0.
    Mask {
        /// Its shape.
        shape: Vec<usize>,
        /// The probability of 1.
        keep: f64,
    },
}

/// An output of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name in the file.
    pub name: String,
    /// The kind of its entries; truth values and integers leave the graph as numbers.
    pub element: Element,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Where it is.
    pub value: Value,
    /// For text that depends on private inputs: the words. The graph gives the index of one for each entry.
    pub words: Option<Vec<String>>,
}

/// Where an output of the model is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The output of the graph of this index.
    Edge(usize),
    /// It does not depend on private inputs.
    Known(Constant),
}

impl Lowered {
    /// Hands on, piece by piece, a description of everything but the values of private weights: equal where parties that know
    /// them and parties that do not run the same.
    pub fn describe(&self, out: &mut dyn FnMut(&[u8])) {
        self.graph.describe(out);
        let sources = self.sources.iter().map(|source| match source {
            Source::Weight { name, value } => format!("weight {name:?} {:?}", value.shape()),
            other => format!("{other:?}"),
        });
        let sources: Vec<String> = sources.collect();
        let text = format!("{:?}", (sources, &self.outputs, &self.updates));
        out(&text.len().to_le_bytes());
        out(text.as_bytes());
    }
}

impl Model {
    /// Makes the graph for inputs given in this way, one feed for each of [`Model::inputs`].
    ///
    /// # Errors
    /// [`Error::Feed`] for an input that does not fit; [`Error::MustBePublic`] naming the inputs that decide shapes or
    /// positions and were fed as private; otherwise the node that cannot be lowered, with the reason.
    pub fn lower(&self, feeds: &[Feed], options: &Options) -> Result<Lowered, Error> {
        let (nodes, folded) = rewrite::rewrite(self, options);
        let mut ctx = Ctx {
            g: Graph::new(),
            inputs: Vec::new(),
            names: Vec::new(),
            training: options.training,
            weights: &options.weights,
            ports: &self.inputs,
            sources: Vec::new(),
            placed: BTreeMap::new(),
            updates: Vec::new(),
            words: BTreeMap::new(),
            folding: false,
        };
        let mut values = self.given(&mut ctx, feeds)?;
        values.extend(folded);
        for node in &nodes {
            ctx.g.set_origin(format!("{} {}", node.op, node.label));
            let made = apply(&mut ctx, node, &values).map_err(|f| f.at(node.label.clone()))?;
            values.extend(made);
        }
        self.finish(ctx, &values)
    }

    /// The values before the first node: inputs, parameters, constants.
    fn given(&self, ctx: &mut Ctx<'_>, feeds: &[Feed]) -> Result<BTreeMap<String, Val>, Error> {
        if feeds.len() != self.inputs.len() {
            let names: Vec<&str> = self.inputs.iter().map(|p| p.name.as_str()).collect();
            return Err(Error::Feed {
                name: "inputs".into(),
                why: format!(
                    "the model has {} ({}), {} were given",
                    names.len(),
                    names.join(", "),
                    feeds.len()
                ),
            });
        }
        let mut values = BTreeMap::new();
        for (k, (port, feed)) in self.inputs.iter().zip(feeds).enumerate() {
            values.insert(port.name.clone(), fed(ctx, k, port, feed)?);
        }
        for i in &self.initializers {
            let trained = matches!(ctx.weights, Weights::Trained(names) if names.contains(&i.name));
            let float = matches!(&i.value, Constant::Float(_));
            let val = if trained && float {
                ctx.g.set_origin(format!("parameter {}", i.name));
                ctx.sources.push(Source::Parameter(i.name.clone()));
                Val::float(ctx.g.input(i.value.shape()))
            } else {
                Val::Known {
                    value: Arc::new(i.value.clone()),
                    secret: i.value.is_weight(),
                }
            };
            values.insert(i.name.clone(), val);
        }
        if let Weights::Trained(names) = ctx.weights {
            let known = |name: &String| matches!(values.get(name), Some(Val::Edge { .. }));
            if let Some(name) = names.iter().find(|name| !known(name)) {
                return Err(Error::Feed {
                    name: name.clone(),
                    why: "the model has no such parameter of real numbers".into(),
                });
            }
        }
        Ok(values)
    }

    fn finish(&self, mut ctx: Ctx<'_>, values: &BTreeMap<String, Val>) -> Result<Lowered, Error> {
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for port in &self.outputs {
            ctx.g.set_origin(format!("output {}", port.name));
            let fault = |f: Fault| f.at(format!("output {}", port.name));
            let val = values.get(&port.name).unwrap_or(&Val::Absent);
            let shape = ctx.shape_of(val).map_err(fault)?.ok_or_else(|| {
                Fault::Refused("the node that makes it leaves it out".into())
                    .at(format!("output {}", port.name))
            })?;
            let private = val.is_secret() && *ctx.weights == Weights::Private;
            let (value, element) = match val {
                Val::Known { value, .. } if !private => {
                    (Value::Known((**value).clone()), value.element())
                }
                _ => {
                    let element = match val {
                        Val::Edge { element, .. } => *element,
                        Val::Known { value, .. } => value.element(),
                        Val::Absent => Element::Float,
                    };
                    let edge = ctx.edge_of(val, &port.name).map_err(fault)?;
                    ctx.g.output(edge);
                    (Value::Edge(ctx.g.outputs.len() - 1), element)
                }
            };
            let words = match val {
                Val::Edge { edge, .. } if element == Element::Text => {
                    ctx.words(*edge).map(<[String]>::to_vec)
                }
                _ => None,
            };
            outputs.push(Output {
                name: port.name.clone(),
                element,
                shape,
                value,
                words,
            });
        }
        let mut updates = Vec::with_capacity(ctx.updates.len());
        for (name, edge) in ctx.updates {
            ctx.g.output(edge);
            updates.push((name, ctx.g.outputs.len() - 1));
        }
        Ok(Lowered {
            graph: ctx.g,
            sources: ctx.sources,
            outputs,
            updates,
        })
    }
}

/// An input as it is fed.
fn fed(ctx: &mut Ctx<'_>, k: usize, port: &Port, feed: &Feed) -> Result<Val, Error> {
    let wrong = |why: String| Error::Feed {
        name: port.name.clone(),
        why,
    };
    let shape = match feed {
        Feed::Private(shape) => shape.as_slice(),
        Feed::Public(value) => value.shape(),
    };
    let fits = port.any_rank
        || port.shape.len() == shape.len()
            && port.shape.iter().zip(shape).all(|(d, &n)| match d {
                Dim::Fixed(want) => *want == n,
                Dim::Any(_) => true,
            });
    if !fits {
        let want: Vec<String> = port
            .shape
            .iter()
            .map(|d| match d {
                Dim::Fixed(n) => n.to_string(),
                Dim::Any(name) if name.is_empty() => "?".into(),
                Dim::Any(name) => name.clone(),
            })
            .collect();
        return Err(wrong(format!(
            "the model wants the shape [{}], {shape:?} was given",
            want.join(", ")
        )));
    }
    if tensor::entries(shape).is_none() {
        return Err(wrong(format!(
            "the shape {shape:?} has more than {} entries",
            tensor::MAX_ENTRIES
        )));
    }
    match feed {
        Feed::Public(value) => {
            let text = |e| e == Element::Text;
            if text(value.element()) != text(port.element) {
                return Err(wrong(format!(
                    "the model wants {} entries, {} entries were given",
                    port.element,
                    value.element()
                )));
            }
            // Numbers in an array of another kind (a float file for an integer input) are taken over where they fit.
            let value = match value.numbers() {
                Some(x) if value.element() != port.element => {
                    let whole = x.iter().all(|v| v.fract() == 0.0);
                    if port.element == Element::Int && !whole {
                        return Err(wrong("the model wants integers".into()));
                    }
                    Constant::of_numbers(port.element, &x)
                        .ok_or_else(|| wrong("text was wanted".into()))?
                }
                _ => value.clone(),
            };
            Ok(Val::known(value))
        }
        Feed::Private(_) if port.element == Element::Text => {
            Err(wrong("text cannot be private; encode it as numbers".into()))
        }
        Feed::Private(shape) => {
            ctx.g.set_origin(format!("input {}", port.name));
            ctx.sources.push(Source::Input(k));
            Ok(Val::Edge {
                edge: ctx.g.input(shape),
                element: port.element,
            })
        }
    }
}

/// Lowers or folds a node; its outputs by name.
fn apply(
    ctx: &mut Ctx<'_>,
    node: &Node,
    values: &BTreeMap<String, Val>,
) -> Lowering<Vec<(String, Val)>> {
    let spec = registry::get(&node.domain, &node.op, node.opset)
        .ok_or_else(|| Fault::Refused(format!("the operator {} is not supported", node.op)))?;
    let value = |name: &String| values.get(name).cloned().unwrap_or(Val::Absent);
    ctx.inputs = node.inputs.iter().map(value).collect();
    ctx.names.clone_from(&node.inputs);
    let known = |val: &Val| !matches!(val, Val::Edge { .. });
    let from = ctx.g.len();
    let folded = if ctx.inputs.iter().all(known) {
        match fold(ctx, node, spec.lower) {
            Err(Fault::NotConstant) => None,
            result => Some(result?),
        }
    } else {
        None
    };
    let made = match folded {
        Some(made) => made,
        None => (spec.lower)(ctx, node)?,
    };
    for node in &ctx.g.nodes[from..] {
        ctx.check_size(&node.shape)?;
    }
    let names = node.outputs.iter().cloned();
    Ok(names
        .zip(made)
        .filter(|(name, _)| !name.is_empty())
        .collect())
}

/// Runs a node whose operands are known, in double precision.
fn fold(ctx: &mut Ctx<'_>, node: &Node, lower: registry::Lower) -> Lowering<Vec<Val>> {
    let secret = ctx.inputs.iter().any(Val::is_secret);
    let graph = std::mem::take(&mut ctx.g);
    let placed = std::mem::take(&mut ctx.placed);
    let words = ctx.words.clone();
    ctx.folding = true;
    let made = lower(ctx, node);
    ctx.folding = false;
    (ctx.placed, ctx.words) = (placed, words);
    let mut scratch = std::mem::replace(&mut ctx.g, graph);
    let made = made?;
    let edges: Vec<(Edge, Element)> = made
        .iter()
        .filter_map(|val| match val {
            Val::Edge { edge, element } => Some((*edge, *element)),
            _ => None,
        })
        .collect();
    edges.iter().for_each(|&(edge, _)| scratch.output(edge));
    for node in &scratch.nodes {
        ctx.check_size(&node.shape)?;
    }
    let results = if edges.is_empty() {
        Vec::new()
    } else {
        run(&scratch, &mut Clear, &[])?
    };
    let constants = edges.iter().zip(&results).map(|(&(_, element), x)| {
        Constant::of_numbers(element, x)
            .ok_or_else(|| Fault::Refused("text is not computed".into()))
    });
    let mut constants = constants.collect::<Lowering<Vec<Constant>>>()?.into_iter();
    made.into_iter()
        .map(|val| {
            Ok(match val {
                Val::Edge { .. } => {
                    let value = constants
                        .next()
                        .ok_or_else(|| Fault::Refused("it gives too few values".into()))?;
                    Val::Known {
                        value: Arc::new(value),
                        secret,
                    }
                }
                other => other,
            })
        })
        .collect()
}
