//! A trained model in the clear, on features as they are measured: what a recipient keeps.

mod onnx;
#[cfg(test)]
pub(crate) mod tests;
mod weights;

use ndarray::{Array2, ArrayD, Axis, Ix2};

pub use weights::tensors_to_safetensors;

use crate::{Error, Result, evaluate};

/// A column of the data, and the public bounds by which it was scaled to [-1, 1] for training.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The lower bound.
    pub min: f64,
    /// The upper bound.
    pub max: f64,
}

/// One fully connected layer: x·weight + bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// \[in, out\].
    pub weight: Array2<f32>,
    /// \[1, out\].
    pub bias: Array2<f32>,
}

/// A multilayer perceptron with relu between its layers. One logit stands for two classes, by a sigmoid; several stand for
/// as many classes, by a softmax.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    layers: Vec<Dense>,
    features: Vec<String>,
}

impl Model {
    /// Checks that the layers fit each other and the features, and that every number is finite.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the layer that does not fit.
    pub fn new(features: Vec<String>, layers: Vec<Dense>) -> Result<Self> {
        let mut width = features.len();
        for (k, Dense { weight, bias }) in layers.iter().enumerate() {
            if weight.nrows() != width || weight.ncols() == 0 || bias.dim() != (1, weight.ncols()) {
                let (w, b) = (weight.shape(), bias.shape());
                return Err(Error::Invalid(format!(
                    "layer {k}: weight {w:?} and bias {b:?} do not fit {width} inputs"
                )));
            }
            if !weight.iter().chain(bias).all(|v| v.is_finite()) {
                return Err(Error::Invalid(format!(
                    "layer {k} holds a number that is not finite"
                )));
            }
            width = weight.ncols();
        }
        if layers.is_empty() || features.is_empty() {
            return Err(Error::Invalid("a model needs a layer and a feature".into()));
        }
        if let Some(name) = features.iter().find(|name| name.contains('\n')) {
            return Err(Error::Invalid(format!(
                "the feature name {name:?} spans lines"
            )));
        }
        Ok(Self { layers, features })
    }

    /// The model of released tensors: weight and bias of each layer in turn, on features in [-1, 1]. The scaling
    /// (x - middle)/half goes into the first layer.
    ///
    /// # Errors
    /// [`Error::Invalid`] where tensors or bounds do not make a model.
    pub fn from_released(features: &[Feature], tensors: &[ArrayD<f64>]) -> Result<Self> {
        let matrix = |t: &ArrayD<f64>| {
            let misfit = |_| {
                Error::Invalid(format!(
                    "a released tensor has shape {:?}, not two axes",
                    t.shape()
                ))
            };
            t.clone().into_dimensionality::<Ix2>().map_err(misfit)
        };
        let mut matrices = tensors
            .iter()
            .map(matrix)
            .collect::<Result<Vec<Array2<f64>>>>()?;
        if let [weight, bias, ..] = &mut matrices[..] {
            if weight.nrows() != features.len() || bias.dim() != (1, weight.ncols()) {
                let (w, b) = (weight.shape(), bias.shape());
                let n = features.len();
                return Err(Error::Invalid(format!(
                    "layer 0: weight {w:?} and bias {b:?} do not fit {n} inputs"
                )));
            }
            for (feature, mut row) in features.iter().zip(weight.rows_mut()) {
                let (middle, half) = (
                    (feature.min + feature.max) / 2.0,
                    (feature.max - feature.min) / 2.0,
                );
                if !(half > 0.0 && half.is_finite()) {
                    return Err(Error::Invalid(format!(
                        "feature {}: its bounds leave no range",
                        feature.name
                    )));
                }
                row /= half;
                bias.row_mut(0).scaled_add(-middle, &row);
            }
        }
        if matrices.len() % 2 == 1 {
            return Err(Error::Invalid(format!(
                "{} tensors are not weights and biases in turn",
                matrices.len()
            )));
        }
        let single = |m: &Array2<f64>| m.mapv(|v| v as f32);
        let layers = matrices.chunks(2).map(|pair| Dense {
            weight: single(&pair[0]),
            bias: single(&pair[1]),
        });
        Self::new(
            features.iter().map(|f| f.name.clone()).collect(),
            layers.collect(),
        )
    }

    /// The layers, from the features to the logits.
    #[must_use]
    pub fn layers(&self) -> &[Dense] {
        &self.layers
    }

    /// The names of the features, in the order in which the model takes them.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.outputs().max(2)
    }

    /// The logits of rows of features.
    ///
    /// # Errors
    /// [`Error::Shape`] where `x` has other columns than the model has features.
    pub fn logits(&self, x: &Array2<f64>) -> Result<Array2<f64>> {
        if x.ncols() != self.features.len() {
            return Err(Error::Shape {
                op: "model",
                left: x.shape().to_vec(),
                right: vec![self.features.len()],
            });
        }
        let mut x = x.clone();
        for (k, layer) in self.layers.iter().enumerate() {
            if k > 0 {
                x.mapv_inplace(|v| v.max(0.0));
            }
            x = x.dot(&layer.weight.mapv(f64::from)) + layer.bias.mapv(f64::from);
        }
        Ok(x)
    }

    /// The probability of each class, \[rows, classes\].
    ///
    /// # Errors
    /// As for [`Model::logits`].
    pub fn probabilities(&self, x: &Array2<f64>) -> Result<Array2<f64>> {
        let logits = self.logits(x)?;
        let mut p = Array2::zeros((x.nrows(), self.classes()));
        for (z, mut p) in logits.rows().into_iter().zip(p.rows_mut()) {
            // A single logit is that of class 1, against 0 for class 0.
            let offset = p.len() - z.len();
            let max = z.fold(if offset == 1 { 0.0 } else { f64::MIN }, |a, &b| a.max(b));
            p.iter_mut().enumerate().for_each(|(c, p)| {
                *p = (if c < offset {
                    -max
                } else {
                    z[c - offset] - max
                })
                .exp()
            });
            let sum = p.sum();
            p /= sum;
        }
        Ok(p)
    }

    /// The most probable class of each row.
    ///
    /// # Errors
    /// As for [`Model::logits`].
    pub fn predict(&self, x: &Array2<f64>) -> Result<Vec<usize>> {
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            let (class, _) =
                row.iter().enumerate().fold(
                    (0, f64::MIN),
                    |a, (c, &p)| if p >= a.1 { (c, p) } else { a },
                );
            class
        };
        Ok(self
            .probabilities(x)?
            .axis_iter(Axis(0))
            .map(best)
            .collect())
    }

    /// The part of the rows whose label is the predicted class.
    ///
    /// # Errors
    /// As for [`Model::logits`].
    pub fn accuracy(&self, x: &Array2<f64>, labels: &[usize]) -> Result<f64> {
        Ok(evaluate::accuracy(
            &self.logits(x)?,
            &self.targets(labels, x.nrows())?,
        ))
    }

    /// The area under the ROC curve, as [`evaluate::auc`] defines it.
    ///
    /// # Errors
    /// As for [`Model::logits`].
    pub fn auc(&self, x: &Array2<f64>, labels: &[usize]) -> Result<f64> {
        Ok(evaluate::auc(
            &self.logits(x)?,
            &self.targets(labels, x.nrows())?,
        ))
    }

    fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.weight.ncols())
    }

    /// Labels in the form in which they are trained on.
    fn targets(&self, labels: &[usize], rows: usize) -> Result<Array2<f64>> {
        let bad = labels.iter().find(|&&label| label >= self.classes());
        if labels.len() != rows || bad.is_some() {
            let classes = self.classes();
            return Err(Error::Invalid(format!(
                "{rows} rows need as many labels below {classes}"
            )));
        }
        let first = self.classes() - self.outputs();
        Ok(Array2::from_shape_fn((rows, self.outputs()), |(i, c)| {
            f64::from(u8::from(labels[i] == c + first))
        }))
    }
}
