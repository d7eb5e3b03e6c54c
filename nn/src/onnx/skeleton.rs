//! A model without its weights: what somebody needs who computes with shares of them.
//!
//! A skeleton is written anew from an allow-list: the nodes that an output needs, with the attributes that their operators
//! have; the initializers that these read; names and shapes of inputs and outputs. Real numbers are blanked wherever there
//! may be more than one in a place. What a blank would change in the graph decides its structure: a single number is kept,
//! so are scales of a resize and the like (`STRUCTURAL`), and any other is refused by name. So what is not blanked is
//! known place by place, and that is listed.

mod attributes;
mod readable;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Constant, Dim, Error, Feed, Lowered, Model, Options, Source, Weights,
    node::{Attribute, Node},
    rewrite,
};
pub use readable::Readable;

/// Lists of real numbers that say how a tensor is cut or which function is applied, by operator: positions among its
/// operands, and attributes.
const STRUCTURAL: &[(&str, &[usize], &[&str])] = &[
    ("Resize", &[1, 2], &[]),
    ("Upsample", &[1], &["scales"]),
    ("OneHot", &[2], &[]),
    ("RNN", &[], &["activation_alpha", "activation_beta"]),
    ("GRU", &[], &["activation_alpha", "activation_beta"]),
    ("LSTM", &[], &["activation_alpha", "activation_beta"]),
];

/// What stands in blank places: ones where the graph of zeros is another one, such as that of a division by them.
const BLANKS: [f64; 2] = [0.0, 1.0];

/// A model's file without its weights, and what it still tells.
#[derive(Clone, Debug)]
pub struct Skeleton {
    /// The file.
    pub bytes: Vec<u8>,
    /// Every number and word in it, besides shapes and names.
    pub readable: Vec<Readable>,
}

/// Where real numbers are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Initializer(String),
    Attribute(usize, String),
}

/// The number that stands in a place instead of those of the file.
type Fills = BTreeMap<Place, f64>;

impl Model {
    /// The file without its weights. It lowers, with [`Weights::Private`], to the same graph with other values of
    /// [`Source::Weight`].
    ///
    /// # Errors
    /// The model does not lower with private inputs and weights; [`Error::Feature`] naming a list of real numbers that
    /// decides what the graph is.
    pub fn skeleton(&self) -> Result<Skeleton, Error> {
        let own = self.lower_private()?;
        let bare = self.bare();
        let places = bare.blankable();
        let alike = |fills: &Fills| {
            let other = bare.filled(fills).lower_private();
            other.is_ok_and(|other| same_structure(&own, &other))
        };
        let all = |v: f64| -> Fills { places.iter().map(|p| (p.clone(), v)).collect() };
        let mut fills = BLANKS.map(all).into_iter().find(|fills| alike(fills));
        if fills.is_none() {
            // Some weight decides the structure: find out which.
            let mut each = Fills::new();
            for place in &places {
                match BLANKS
                    .into_iter()
                    .find(|&v| alike(&Fills::from([(place.clone(), v)])))
                {
                    Some(v) => {
                        each.insert(place.clone(), v);
                    }
                    None if bare.count(place) == 1 => {}
                    None => return Err(bare.refusal(place)),
                }
            }
            fills = Some(each).filter(|fills| alike(fills));
        }
        let fills = fills.ok_or_else(|| Error::Feature {
            what: "a model whose weights decide together what is computed".into(),
            advice: "serve it with public weights".into(),
        })?;
        let blank = bare.filled(&fills);
        let bytes = write::write(&blank)?;
        // What the others read is what counts.
        let read = Self::parse(&bytes)?.lower_private()?;
        if !same_structure(&own, &read) {
            return Err(Error::Malformed(
                "written anew it makes another graph".into(),
            ));
        }
        let readable = readable::list(&blank, |node, name| {
            fills.contains_key(&match node {
                None => Place::Initializer(name.into()),
                Some(k) => Place::Attribute(k, name.into()),
            })
        });
        Ok(Skeleton { bytes, readable })
    }

    /// The nodes that an output needs with the attributes of their operators, and what they read.
    fn bare(&self) -> Self {
        let mut bare = self.clone();
        bare.bytes.clear();
        bare.nodes = rewrite::live(&self.nodes, &self.outputs);
        for node in &mut bare.nodes {
            let known = attributes::of(&node.op);
            node.attributes
                .retain(|name, _| known.contains(&name.as_str()));
        }
        let read: BTreeSet<&str> = bare
            .nodes
            .iter()
            .flat_map(|node| &node.inputs)
            .chain(self.outputs.iter().map(|port| &port.name))
            .map(String::as_str)
            .collect();
        bare.initializers.retain(|i| read.contains(i.name.as_str()));
        bare
    }

    /// The places whose real numbers are blanked if the graph allows it.
    fn blankable(&self) -> Vec<Place> {
        let decisive: BTreeSet<&str> = self
            .nodes
            .iter()
            .flat_map(|node| {
                let (operands, _) = structural(node);
                operands.iter().filter_map(|&k| node.inputs.get(k))
            })
            .map(String::as_str)
            .collect();
        let mut places = Vec::new();
        for i in &self.initializers {
            if i.value.is_weight() && !decisive.contains(i.name.as_str()) {
                places.push(Place::Initializer(i.name.clone()));
            }
        }
        for (k, node) in self.nodes.iter().enumerate() {
            let (_, kept) = structural(node);
            let decides = node.op == "Constant"
                && node
                    .outputs
                    .first()
                    .is_some_and(|y| decisive.contains(y.as_str()));
            for (name, value) in &node.attributes {
                let weight = match value {
                    Attribute::Floats(_) => true,
                    Attribute::Tensor(Constant::Float(x)) => x.len() > 1,
                    _ => false,
                };
                if weight && !decides && !kept.contains(&name.as_str()) {
                    places.push(Place::Attribute(k, name.clone()));
                }
            }
        }
        places
    }

    /// The same with one number throughout each of these places.
    fn filled(&self, fills: &Fills) -> Self {
        let mut model = self.clone();
        for i in &mut model.initializers {
            if let (Constant::Float(x), Some(&v)) =
                (&mut i.value, fills.get(&Place::Initializer(i.name.clone())))
            {
                x.fill(v);
            }
        }
        for (k, node) in model.nodes.iter_mut().enumerate() {
            for (name, value) in &mut node.attributes {
                if let Some(&v) = fills.get(&Place::Attribute(k, name.clone())) {
                    match value {
                        Attribute::Floats(x) => x.fill(v),
                        Attribute::Tensor(Constant::Float(x)) => x.fill(v),
                        _ => {}
                    }
                }
            }
        }
        model
    }

    /// How many numbers are in a place.
    fn count(&self, place: &Place) -> usize {
        match place {
            Place::Initializer(name) => {
                let found = self.initializers.iter().find(|i| i.name == *name);
                found.map_or(0, |i| i.value.shape().iter().product())
            }
            Place::Attribute(k, name) => {
                match self.nodes.get(*k).and_then(|n| n.attributes.get(name)) {
                    Some(Attribute::Floats(x)) => x.len(),
                    Some(Attribute::Tensor(Constant::Float(x))) => x.len(),
                    _ => 0,
                }
            }
        }
    }

    fn refusal(&self, place: &Place) -> Error {
        let what = match place {
            Place::Initializer(name) => {
                let reader = self.nodes.iter().find(|n| n.inputs.contains(name));
                let reader = reader.map_or("an output", |node| &node.label);
                format!(
                    "the initializer {name}, which node {reader} reads and whose numbers decide what the graph is,"
                )
            }
            Place::Attribute(k, name) => {
                let node = self.nodes.get(*k).map_or("", |node| &node.label);
                format!(
                    "the attribute {name} of node {node}, whose numbers decide what the graph is,"
                )
            }
        };
        Error::Feature {
            what: format!("{what} in a model with private weights"),
            advice: "serve it with public weights, or export it with one number in that place"
                .into(),
        }
    }

    /// The graph for private inputs, with 2 for every free length.
    fn lower_private(&self) -> Result<Lowered, Error> {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Any(_) => 2,
        };
        let feeds: Vec<Feed> = self
            .inputs()
            .iter()
            .map(|port| Feed::Private(port.shape.iter().map(length).collect()))
            .collect();
        let options = Options {
            weights: Weights::Private,
            training: false,
        };
        self.lower(&feeds, &options)
    }
}

/// The operands and attributes of a node whose lists of real numbers are kept.
fn structural(node: &Node) -> (&'static [usize], &'static [&'static str]) {
    let row = STRUCTURAL.iter().find(|(op, ..)| *op == node.op);
    row.map_or((&[], &[]), |(_, operands, attributes)| {
        (operands, attributes)
    })
}

/// Whether two graphs differ in nothing but the values of private weights.
fn same_structure(a: &Lowered, b: &Lowered) -> bool {
    let kind = |source: &Source| match source {
        Source::Weight { name, value } => Err((name.clone(), value.shape().to_vec())),
        other => Ok(other.clone()),
    };
    a.graph.same_as(&b.graph)
        && a.outputs == b.outputs
        && a.updates == b.updates
        && a.sources.iter().map(kind).eq(b.sources.iter().map(kind))
}
