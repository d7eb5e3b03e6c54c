//! A model without its weights: what somebody needs who computes with shares of them.

use std::collections::BTreeSet;

use ndarray::ArrayD;

use super::{Dim, Error, Feed, Lowered, Model, Options, Source, Weights};

impl Model {
    /// The same file with zeros for every private weight. It lowers, with [`Weights::Private`], to the same graph with other
    /// values of [`Source::Weight`]. Kept are single numbers and those that decide what the graph is, such as the scales of a
    /// Resize.
    ///
    /// # Errors
    /// The model does not lower with private inputs and weights.
    pub fn skeleton(&self) -> Result<Vec<u8>, Error> {
        let private: Vec<(String, ArrayD<f64>)> = self
            .parameters()
            .into_iter()
            .filter(|(_, value)| value.len() > 1)
            .map(|(name, value)| (name, ArrayD::zeros(value.raw_dim())))
            .collect();
        let mut kept = BTreeSet::new();
        let blank = |kept: &BTreeSet<String>| {
            let zeros = private.iter().filter(|(name, _)| !kept.contains(name));
            self.with_parameters(&zeros.cloned().collect::<Vec<_>>())
        };
        let own = self.lower_private()?;
        let finished = |bytes: Vec<u8>| {
            let told = Self::parse(&bytes)?.lower_private()?;
            match tells(&own, &told) {
                None => Ok(bytes),
                Some(name) => Err(Error::Feature {
                    what: format!("the private weight {name} that the file holds inside a node"),
                    advice: "export it as an initializer, or serve the model with public weights"
                        .into(),
                }),
            }
        };
        let same = |bytes: &[u8]| {
            let other = Self::parse(bytes).and_then(|model| model.lower_private());
            other.is_ok_and(|other| same_structure(&own, &other))
        };
        let all = blank(&kept)?;
        if same(&all) {
            return finished(all);
        }
        // Some weight decides the structure: find out which.
        for one in &private {
            if !same(&self.with_parameters(std::slice::from_ref(one))?) {
                kept.insert(one.0.clone());
            }
        }
        let rest = blank(&kept)?;
        if same(&rest) {
            finished(rest)
        } else {
            Err(Error::Feature {
                what: "a model whose weights decide together what is computed".into(),
                advice: "serve it with public weights".into(),
            })
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

/// A private weight of more than one number that the other file still tells.
fn tells(own: &Lowered, told: &Lowered) -> Option<String> {
    let pairs = own.sources.iter().zip(&told.sources);
    pairs
        .filter_map(|pair| match pair {
            (Source::Weight { name, value }, Source::Weight { value: other, .. }) => {
                Some((name, value, other))
            }
            _ => None,
        })
        .find(|(_, value, other)| {
            value.len() > 1 && value == other && value.iter().any(|&v| v != 0.0)
        })
        .map(|(name, ..)| name.clone())
}

/// Whether two graphs differ in nothing but the values of private weights.
fn same_structure(a: &Lowered, b: &Lowered) -> bool {
    let kind = |source: &Source| match source {
        Source::Weight { name, value } => Err((name.clone(), value.shape().to_vec())),
        other => Ok(other.clone()),
    };
    a.graph.same_as(&b.graph) && a.sources.iter().map(kind).eq(b.sources.iter().map(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::tests::model;

    #[test]
    fn a_skeleton_has_the_shapes_and_none_of_the_weights() {
        let full = Model::parse(&model(&[3, 4, 1]).to_onnx()).unwrap();
        let skeleton = Model::parse(&full.skeleton().unwrap()).unwrap();
        let (ours, theirs) = (full.parameters(), skeleton.parameters());
        assert!(
            ours.iter()
                .any(|(_, value)| value.iter().any(|&v| v != 0.0))
        );
        for ((name, ours), (other, theirs)) in ours.iter().zip(&theirs) {
            assert_eq!((name, ours.shape()), (other, theirs.shape()));
            assert!(
                ours.len() == 1 || theirs.iter().all(|&v| v == 0.0),
                "{name}"
            );
        }
        let (a, b) = (
            full.lower_private().unwrap(),
            skeleton.lower_private().unwrap(),
        );
        assert!(same_structure(&a, &b));
    }
}
