//! What a skeleton tells, listed.

use crate::onnx::{Constant, Model, node::Attribute};

/// Something that stays readable in a skeleton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// Whether there are real numbers in it; otherwise integers, truth values and words.
    pub real: bool,
    /// Where: an initializer, or an attribute of a node.
    pub place: String,
    /// What, in full: a table of integers may be long, and may be what its owner would not have told.
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
        Attribute::Ints(v) => (false, joined(v.iter())),
        Attribute::Floats(v) => (true, joined(v.iter())),
        Attribute::Texts(v) => (false, joined(v.iter())),
        Attribute::Tensor(v) => of_constant(v),
    }
}

fn of_constant(value: &Constant) -> (bool, String) {
    match value {
        Constant::Float(x) => (true, joined(x.iter())),
        Constant::Int(x) => (false, joined(x.iter())),
        Constant::Bool(x) => (false, joined(x.iter())),
        Constant::Text(x) => (false, joined(x.iter())),
    }
}

fn joined<T: ToString>(entries: impl Iterator<Item = T>) -> String {
    let entries: Vec<String> = entries.map(|v| v.to_string()).collect();
    format!("[{}]", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;

    use super::*;

    #[test]
    fn long_lists_are_told_to_the_end() {
        let table: Vec<i64> = (100..1100).collect();
        let (real, content) = of_attribute(&Attribute::Ints(table.clone()));
        assert!(!real && content.split(", ").count() == 1000);
        assert!(content.starts_with("[100, ") && content.ends_with(", 1099]"));
        let table = ArrayD::from_shape_vec(vec![1000], table).unwrap();
        assert_eq!(of_constant(&Constant::Int(table)), (false, content));
    }
}
