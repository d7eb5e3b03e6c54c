//! What an operator sees while it is lowered: its operands, the graph, and ways to ask for what must be known.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ndarray::ArrayD;

use super::{
    Constant, Element, Source, Weights,
    error::{Fault, Lowering},
    tensor,
};
use crate::{Edge, Graph, Layout, graph::Op};

/// Known values beyond ±2^30 become this: the fixed point of private engines holds no infinity, and masks of −∞ or of the
/// least float only have to win.
pub(super) const SATURATION: f64 = (1u64 << 30) as f64;

/// A value of the file.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    /// Known while the graph is made. `secret`: it depends on a weight, which may be private.
    Known { value: Arc<Constant>, secret: bool },
    /// Computed by the graph.
    Edge { edge: Edge, element: Element },
    /// An optional operand that was left out.
    Absent,
}

impl Val {
    /// A known value that tells nothing about weights.
    pub(crate) fn known(value: Constant) -> Self {
        Self::Known {
            value: Arc::new(value),
            secret: false,
        }
    }

    /// A value that the graph computes.
    pub(crate) fn float(edge: Edge) -> Self {
        Self::Edge {
            edge,
            element: Element::Float,
        }
    }

    /// The numbers 0 and 1 of the graph as truth values.
    pub(crate) fn bool(edge: Edge) -> Self {
        Self::Edge {
            edge,
            element: Element::Bool,
        }
    }

    /// Whole numbers of the graph.
    pub(crate) fn int(edge: Edge) -> Self {
        Self::Edge {
            edge,
            element: Element::Int,
        }
    }

    /// Whether it is known, and depends on a weight.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Known { secret: true, .. })
    }
}

/// The state of a lowering, and the operands of the node at hand.
pub(crate) struct Ctx<'a> {
    /// The graph under construction.
    pub(crate) g: Graph,
    /// The operands of the node.
    pub(crate) inputs: Vec<Val>,
    /// Their names in the file.
    pub(super) names: Vec<String>,
    /// Whether the graph is for training.
    pub(super) training: bool,
    pub(super) weights: &'a Weights,
    /// The names of the model's inputs.
    pub(super) ports: &'a [super::Port],
    pub(super) sources: Vec<Source>,
    /// Known values that are in the graph already, by name.
    pub(super) placed: BTreeMap<String, Edge>,
    pub(super) updates: Vec<(String, Edge)>,
    /// The words behind edges of text: an entry is the index of a word.
    pub(super) words: BTreeMap<Edge, Vec<String>>,
    /// Whether the graph only serves to fold a node whose operands are known.
    pub(super) folding: bool,
}

impl Ctx<'_> {
    /// Operand i.
    pub(crate) fn val(&self, i: usize) -> &Val {
        self.inputs.get(i).unwrap_or(&Val::Absent)
    }

    /// Whether operand i was given.
    pub(crate) fn has(&self, i: usize) -> bool {
        !matches!(self.val(i), Val::Absent)
    }

    /// The number of operands, including those left out in the middle.
    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether the graph is for training.
    pub(crate) fn training(&self) -> bool {
        self.training
    }

    /// Operand i if it is known, be it a weight or not.
    pub(crate) fn known(&self, i: usize) -> Option<&Constant> {
        match self.val(i) {
            Val::Known { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The numbers of operand i if it is known.
    pub(crate) fn known_numbers(&self, i: usize) -> Option<ArrayD<f64>> {
        self.known(i)?.numbers()
    }

    /// Whether operand i is known and depends on a weight.
    pub(crate) fn is_secret(&self, i: usize) -> bool {
        self.val(i).is_secret()
    }

    /// Whether operand i is known to everybody.
    pub(crate) fn is_public(&self, i: usize) -> bool {
        self.known(i).is_some() && !(self.is_secret(i) && *self.weights == Weights::Private)
    }

    fn missing<T>(i: usize) -> Lowering<T> {
        Err(Fault::Shape(format!("operand {i} is missing")))
    }

    /// The shape of operand i.
    pub(crate) fn shape(&self, i: usize) -> Lowering<Vec<usize>> {
        self.shape_of(self.val(i))?
            .map_or_else(|| Self::missing(i), Ok)
    }

    /// The shape of a value; `None` for one that was left out.
    pub(crate) fn shape_of(&self, val: &Val) -> Lowering<Option<Vec<usize>>> {
        Ok(match val {
            Val::Known { value, .. } => Some(value.shape().to_vec()),
            Val::Edge { edge, .. } => Some(self.g.shape(*edge)?.to_vec()),
            Val::Absent => None,
        })
    }

    /// The kind of operand i's entries.
    pub(crate) fn element(&self, i: usize) -> Lowering<Element> {
        match self.val(i) {
            Val::Known { value, .. } => Ok(value.element()),
            Val::Edge { element, .. } => Ok(*element),
            Val::Absent => Self::missing(i),
        }
    }

    /// Operand i as an edge of the graph; what is known is put there.
    pub(crate) fn edge(&mut self, i: usize) -> Lowering<Edge> {
        let val = self.val(i).clone();
        let name = self.names.get(i).cloned().unwrap_or_default();
        if matches!(val, Val::Absent) {
            return Self::missing(i);
        }
        self.edge_of(&val, &name)
    }

    /// Operand i as an edge, if it was given.
    pub(crate) fn optional_edge(&mut self, i: usize) -> Lowering<Option<Edge>> {
        if self.has(i) {
            Ok(Some(self.edge(i)?))
        } else {
            Ok(None)
        }
    }

    /// A value as an edge. What is known is put into the graph once under its name (each time if that is empty): as a public
    /// constant, or as an input if weights are private and it depends on one.
    pub(crate) fn edge_of(&mut self, val: &Val, name: &str) -> Lowering<Edge> {
        let (value, secret) = match val {
            Val::Edge { edge, .. } => return Ok(*edge),
            Val::Known { value, secret } => (value, *secret),
            Val::Absent => return Err(Fault::Shape("an operand is missing".into())),
        };
        if let Some(&edge) = self.placed.get(name) {
            return Ok(edge);
        }
        let Some(mut x) = value.numbers() else {
            return Err(Fault::Refused("text cannot be computed with".into()));
        };
        let edge = if self.folding {
            self.g.public(x)
        } else {
            if x.iter().any(|v| v.is_nan()) {
                return Err(Fault::Refused(format!(
                    "the constant {name} holds an entry that is not a number"
                )));
            }
            x.mapv_inplace(|v| v.clamp(-SATURATION, SATURATION));
            if secret && *self.weights == Weights::Private {
                let edge = self.g.input(x.shape());
                self.sources.push(Source::Weight {
                    name: name.into(),
                    value: x,
                });
                edge
            } else {
                self.g.public(x)
            }
        };
        if !name.is_empty() {
            self.placed.insert(name.into(), edge);
        }
        Ok(edge)
    }

    /// Operand i, which must be known: `role` says what it is to the node.
    pub(crate) fn must_know(&self, i: usize, role: &str) -> Lowering<&Constant> {
        match self.val(i) {
            Val::Known { value, .. } => Ok(value),
            Val::Edge { edge, .. } => Err(Fault::MustBePublic(role.into(), self.origins(*edge))),
            Val::Absent => Self::missing(i),
        }
    }

    /// The integers of operand i, which must be known.
    pub(crate) fn ints(&self, i: usize, role: &str) -> Lowering<Vec<i64>> {
        let values = self.must_know(i, role)?.integers();
        let values = values.ok_or_else(|| Fault::Shape(format!("{role} must be integers")))?;
        Ok(values.into_iter().collect())
    }

    /// The integers of operand i if it was given; it must be known.
    pub(crate) fn optional_ints(&self, i: usize, role: &str) -> Lowering<Option<Vec<i64>>> {
        if self.has(i) {
            self.ints(i, role).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The one integer of operand i, which must be known.
    pub(crate) fn int(&self, i: usize, role: &str) -> Lowering<i64> {
        match self.ints(i, role)?[..] {
            [v] => Ok(v),
            _ => Err(Fault::Shape(format!("{role} must be one integer"))),
        }
    }

    /// The numbers of operand i, which must be known.
    pub(crate) fn floats(&self, i: usize, role: &str) -> Lowering<Vec<f64>> {
        let values = self.must_know(i, role)?.numbers();
        let values = values.ok_or_else(|| Fault::Shape(format!("{role} must be numbers")))?;
        Ok(values.into_iter().collect())
    }

    /// The one number of operand i, which must be known.
    pub(crate) fn float(&self, i: usize, role: &str) -> Lowering<f64> {
        match self.floats(i, role)?[..] {
            [v] => Ok(v),
            _ => Err(Fault::Shape(format!("{role} must be one number"))),
        }
    }

    /// The names of the private inputs and parameters on which an edge depends.
    fn origins(&self, edge: Edge) -> Vec<String> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![edge.node]);
        let mut names = BTreeSet::new();
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            if let Some(Op::Input(k)) = self.g.op(node) {
                names.insert(match self.sources.get(*k) {
                    Some(Source::Input(i)) => self.ports.get(*i).map_or("", |p| &p.name).into(),
                    Some(Source::Weight { name, .. } | Source::Parameter(name)) => name.clone(),
                    Some(Source::Mask { .. }) | None => "a random mask".to_string(),
                });
            }
            open.extend(self.g.operands(node));
        }
        names.into_iter().collect()
    }

    /// An axis that may count from the end, of a tensor of `rank` axes.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Lowering<usize> {
        let n = rank as i64;
        let from_start = if axis < 0 {
            axis.saturating_add(n)
        } else {
            axis
        };
        usize::try_from(from_start)
            .ok()
            .filter(|&a| a < rank)
            .ok_or_else(|| Fault::Shape(format!("axis {axis} of a tensor of {rank} axes")))
    }

    /// Several such axes, in order; each may be there once.
    pub(crate) fn axes(&self, axes: &[i64], rank: usize) -> Lowering<Vec<usize>> {
        let mut found = axes
            .iter()
            .map(|&a| self.axis(a, rank))
            .collect::<Lowering<Vec<usize>>>()?;
        found.sort_unstable();
        if found.windows(2).any(|w| w[0] == w[1]) {
            return Err(Fault::Shape(format!("the axes {axes:?} are not distinct")));
        }
        Ok(found)
    }

    /// Refuses a shape of too many entries before anything of that size is made.
    pub(crate) fn check_size(&self, shape: &[usize]) -> Lowering<()> {
        if tensor::entries(shape).is_some() {
            return Ok(());
        }
        Err(Fault::Shape(format!(
            "a tensor of shape {shape:?} has more than {} entries",
            tensor::MAX_ENTRIES
        )))
    }

    /// Rearranges a value; what is known stays known.
    pub(crate) fn layout(&mut self, val: &Val, layout: Layout) -> Lowering<Val> {
        let shape = self
            .shape_of(val)?
            .ok_or_else(|| Fault::Shape("an operand is missing".into()))?;
        // A reshape or broadcast may name any shape.
        if let Layout::Reshape(shape) | Layout::Broadcast(shape) = &layout {
            self.check_size(shape)?;
        }
        self.check_size(&layout.output_shape(&shape)?)?;
        Ok(match val {
            Val::Known { value, secret } => Val::Known {
                value: Arc::new(value.layout(&layout)?),
                secret: *secret,
            },
            Val::Edge { edge, element } => {
                let unchanged =
                    matches!(&layout, Layout::Reshape(s) | Layout::Broadcast(s) if *s == shape);
                let to = if unchanged {
                    *edge
                } else {
                    self.g.layout(layout, *edge)?
                };
                if let Some(words) = self.words.get(edge).cloned() {
                    self.words.insert(to, words);
                }
                Val::Edge {
                    edge: to,
                    element: *element,
                }
            }
            Val::Absent => Val::Absent,
        })
    }

    /// The same entries under another shape.
    pub(crate) fn reshape(&mut self, val: &Val, shape: &[usize]) -> Lowering<Val> {
        self.layout(val, Layout::Reshape(shape.to_vec()))
    }

    /// A graph edge under another shape.
    pub(crate) fn reshape_edge(&mut self, edge: Edge, shape: &[usize]) -> Lowering<Edge> {
        Ok(if self.g.shape(edge)? == shape {
            edge
        } else {
            self.g.reshape(edge, shape)?
        })
    }

    /// Removes axes of length 1 that a reduction has kept.
    pub(crate) fn squeeze_edge(&mut self, edge: Edge, axes: &[usize]) -> Lowering<Edge> {
        let shape = self.g.shape(edge)?.iter().enumerate();
        let left: Vec<usize> = shape
            .filter(|(a, _)| !axes.contains(a))
            .map(|(_, &n)| n)
            .collect();
        self.reshape_edge(edge, &left)
    }

    /// Joins values along an axis; known if all are.
    pub(crate) fn concat(&mut self, axis: usize, vals: &[Val]) -> Lowering<Val> {
        if let [one] = vals {
            return Ok(one.clone());
        }
        let known: Option<Vec<&Constant>> = vals
            .iter()
            .map(|val| match val {
                Val::Known { value, .. } => Some(&**value),
                _ => None,
            })
            .collect();
        if let Some(parts) = known {
            let value = Constant::concat(axis, &parts)
                .ok_or_else(|| Fault::Shape("the operands do not fit each other".into()))?;
            return Ok(Val::Known {
                value: Arc::new(value),
                secret: vals.iter().any(Val::is_secret),
            });
        }
        let element = vals.iter().find_map(|val| match val {
            Val::Edge { element, .. } => Some(*element),
            _ => None,
        });
        let element = element.unwrap_or(Element::Float);
        if element == Element::Text {
            return Err(Fault::Refused(
                "text that depends on private values is not joined".into(),
            ));
        }
        let edges = vals
            .iter()
            .map(|val| self.edge_of(val, ""))
            .collect::<Lowering<Vec<Edge>>>()?;
        Ok(Val::Edge {
            edge: self.g.concat(axis, &edges)?,
            element,
        })
    }

    /// A random tensor of 0 and 1 that is drawn anew for each step of training: 1 with probability `keep`.
    pub(crate) fn mask(&mut self, shape: &[usize], keep: f64) -> Lowering<Edge> {
        if self.folding {
            return Err(Fault::NotConstant);
        }
        self.sources.push(Source::Mask {
            shape: shape.to_vec(),
            keep,
        });
        Ok(self.g.input(shape))
    }

    /// In training: the parameter that operand i is becomes `edge` after each step.
    pub(crate) fn update(&mut self, i: usize, edge: Edge) {
        if let Some(name) = self.names.get(i) {
            self.updates.push((name.clone(), edge));
        }
    }

    /// The words behind an edge of text.
    pub(crate) fn words(&self, edge: Edge) -> Option<&[String]> {
        self.words.get(&edge).map(Vec::as_slice)
    }

    /// An edge of indices into words as text.
    pub(crate) fn text(&mut self, edge: Edge, words: Vec<String>) -> Val {
        self.words.insert(edge, words);
        Val::Edge {
            edge,
            element: Element::Text,
        }
    }
}
