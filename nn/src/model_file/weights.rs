//! Models as safetensors: `layer0.weight`, `layer0.bias`, ... in 32-bit floats, and the names of the features in the
//! metadata, one a line.

use std::collections::HashMap;

use ndarray::{Array2, ArrayD};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Dense, Model};
use crate::{Error, Result};

/// The key of the feature names in the metadata.
const FEATURES: &str = "features";

impl Model {
    /// The model as a safetensors file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the format cannot hold it.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .layers
            .iter()
            .enumerate()
            .flat_map(|(k, layer)| {
                [("weight", &layer.weight), ("bias", &layer.bias)].map(|(part, m)| {
                    let name = format!("layer{k}.{part}");
                    (name, m.shape().to_vec(), bytes(m.iter().copied()))
                })
            })
            .collect();
        let metadata = HashMap::from([(FEATURES.to_string(), self.features.join("\n"))]);
        serialize(&tensors, Some(metadata))
    }

    /// The model of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file is malformed or holds something else.
    pub fn from_safetensors(file: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(file).map_err(malformed)?;
        let names = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(FEATURES));
        let names = names.ok_or_else(|| malformed("the metadata do not name the features"))?;
        let tensors = SafeTensors::deserialize(file).map_err(malformed)?;
        if tensors.len() % 2 == 1 {
            return Err(malformed("weights and biases are not in pairs"));
        }
        let part = |name: String| {
            let tensor = tensors.tensor(&name).map_err(malformed)?;
            let (&[rows, columns], Dtype::F32) = (tensor.shape(), tensor.dtype()) else {
                return Err(malformed(format!(
                    "{name} is not a matrix of 32-bit floats"
                )));
            };
            let values = tensor
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            Array2::from_shape_vec((rows, columns), values).map_err(malformed)
        };
        let layer = |k| {
            Ok(Dense {
                weight: part(format!("layer{k}.weight"))?,
                bias: part(format!("layer{k}.bias"))?,
            })
        };
        let layers: Result<Vec<Dense>> = (0..tensors.len() / 2).map(layer).collect();
        Self::new(names.split('\n').map(String::from).collect(), layers?)
    }
}

/// Tensors by name as a safetensors file of 32-bit floats.
///
/// # Errors
/// [`Error::Invalid`] where the format cannot hold them.
pub fn tensors_to_safetensors(tensors: &[(String, ArrayD<f64>)]) -> Result<Vec<u8>> {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, x)| {
            let data = bytes(x.iter().map(|&v| v as f32));
            (name.clone(), x.shape().to_vec(), data)
        })
        .collect();
    serialize(&tensors, None)
}

fn bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}

fn serialize(
    tensors: &[(String, Vec<usize>, Vec<u8>)],
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>> {
    let views: Result<Vec<(&str, TensorView<'_>)>> = tensors
        .iter()
        .map(|(name, shape, data)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), data);
            Ok((name.as_str(), view.map_err(malformed)?))
        })
        .collect();
    safetensors::serialize(views?, metadata).map_err(malformed)
}

fn malformed(why: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("the safetensors file is not a model: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model_file::tests::model;

    #[test]
    fn files_hold_the_whole_model() {
        for widths in [
            &[1, 1][..],
            &[3, 4, 1],
            &[3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3],
        ] {
            let model = model(widths);
            let file = model.to_safetensors().unwrap();
            assert_eq!(Model::from_safetensors(&file).unwrap(), model);
            assert_eq!(
                model.to_safetensors().unwrap(),
                file,
                "the same model gives the same bytes"
            );
        }
    }

    #[test]
    fn tensors_of_any_shape_keep_their_names() {
        let x = ArrayD::from_shape_fn(vec![2, 1, 3], |i| (i[0] * 3 + i[2]) as f64 / 4.0);
        let file = tensors_to_safetensors(&[("conv.weight".into(), x)]).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let tensor = tensors.tensor("conv.weight").unwrap();
        assert_eq!(
            (tensor.shape(), tensor.dtype()),
            (&[2, 1, 3][..], Dtype::F32)
        );
        assert_eq!(tensor.data()[4..8], 0.25f32.to_le_bytes());
    }

    #[test]
    fn cut_files_are_refused() {
        let file = model(&[3, 4, 1]).to_safetensors().unwrap();
        for end in 0..file.len() {
            assert!(
                matches!(
                    Model::from_safetensors(&file[..end]),
                    Err(Error::Invalid(_))
                ),
                "{end}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_files_never_panic(at in 0usize..2000, byte: u8) {
            let mut file = model(&[3, 4, 1]).to_safetensors().unwrap();
            let at = at % file.len();
            file[at] = byte;
            let _ = Model::from_safetensors(&file);
        }
    }
}
