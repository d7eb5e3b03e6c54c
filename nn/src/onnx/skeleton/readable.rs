//! What a skeleton tells, listed.

use crate::onnx::{Constant, Model, node::Attribute};

/// Entries that are shown of a long list.
const SHOWN: usize = 16;

/// Something that stays readable in a skeleton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// Whether there are real numbers in it; otherwise integers, truth values and words.
    pub real: bool,
    /// Where: an initializer, or an attribute of a node.
    pub place: String,
    /// What: at most 16 entries of it, and how many there are.
    pub content: String,
}

/// All numbers and words of a file but those in places that are blank: an initializer, or an attribute of the node of an
/// index.
pub(super) fn list(model: &Model, blank: impl Fn(Option<usize>, &str) -> bool) -> Vec<Readable> {
    let mut found = Vec::new();
    let mut tell = |node: Option<usize>, name: &str, place: String, content: (bool, String)| {
        if !blank(node, name) {
            let (real, content) = content;
            found.push(Readable {
                real,
                place,
                content,
            });
        }
    };
    for i in &model.initializers {
        let place = format!("initializer {}", i.name);
        tell(None, &i.name, place, of_constant(&i.value));
    }
    for (k, node) in model.nodes.iter().enumerate() {
        for (name, value) in &node.attributes {
            let place = format!("{name} of node {} ({})", node.label, node.op);
            tell(Some(k), name, place, of_attribute(value));
        }
    }
    found
}

fn of_attribute(value: &Attribute) -> (bool, String) {
    match value {
        Attribute::Int(v) => (false, v.to_string()),
        Attribute::Float(v) => (true, v.to_string()),
        Attribute::Text(v) => (false, v.clone()),
        Attribute::Ints(v) => (false, joined(v.iter(), v.len())),
        Attribute::Floats(v) => (true, joined(v.iter(), v.len())),
        Attribute::Texts(v) => (false, joined(v.iter(), v.len())),
        Attribute::Tensor(v) => of_constant(v),
    }
}

fn of_constant(value: &Constant) -> (bool, String) {
    match value {
        Constant::Float(x) => (true, joined(x.iter(), x.len())),
        Constant::Int(x) => (false, joined(x.iter(), x.len())),
        Constant::Bool(x) => (false, joined(x.iter(), x.len())),
        Constant::Text(x) => (false, joined(x.iter(), x.len())),
    }
}

fn joined<T: ToString>(entries: impl Iterator<Item = T>, count: usize) -> String {
    let shown: Vec<String> = entries.take(SHOWN).map(|v| v.to_string()).collect();
    let more = if count > SHOWN {
        format!(", … ({count} entries)")
    } else {
        String::new()
    };
    format!("[{}{more}]", shown.join(", "))
}
