//! `tacit fetch`: turns a release into files.

use std::path::Path;

use anyhow::{Context, Result};
use ndarray::ArrayD;
use serde_json::{Map, Value, json};
use tacit_nn::model_file::{Feature, Model, tensors_to_safetensors};
use tacit_party::train_job::Plan;

use crate::release::Opened;

/// The model of a release, on features as they stand in the parties' files: the public bounds go into its first layer.
pub fn model(opened: &Opened) -> Result<Model> {
    let features = opened.job.data.features.iter().map(|feature| Feature {
        name: feature.name.clone(),
        min: feature.min,
        max: feature.max,
    });
    let tensors: Vec<ArrayD<f64>> = opened.tensors.iter().map(|(_, t)| t.clone()).collect();
    Ok(Model::from_released(
        &features.collect::<Vec<_>>(),
        &tensors,
    )?)
}

/// Writes the model as safetensors and, if asked, as ONNX: the file that came with the job, with other weights, or a
/// perceptron's own.
pub fn save(opened: &Opened, safetensors: &Path, onnx: Option<&Path>) -> Result<()> {
    let file = |onnx_bytes: &dyn Fn() -> Result<Vec<u8>>| {
        onnx.map_or(Ok(()), |file| write(file, &onnx_bytes()?))
    };
    if let Plan::Model { network, .. } = Plan::of(&opened.job)? {
        write(safetensors, &tensors_to_safetensors(&opened.tensors)?)?;
        return file(&|| Ok(network.write(&opened.tensors)?));
    }
    let model = model(opened)?;
    write(safetensors, &model.to_safetensors()?)?;
    file(&|| Ok(model.to_onnx()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).with_context(|| file.display().to_string())
}

/// What was fetched, for programs.
pub fn to_json(id: &str, opened: &Opened, safetensors: &Path, onnx: Option<&Path>) -> Value {
    let metrics = opened
        .metrics
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)));
    json!({
        "id": id,
        "name": opened.job.name,
        "metrics": metrics.collect::<Map<_, _>>(),
        "safetensors": safetensors,
        "onnx": onnx,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, IxDyn};
    use tacit_api::job::JobSpec;

    use super::*;

    /// The file takes raw features: a weight of 1 on a column scaled to [-1, 1] is a weight of 1/half on the column.
    #[test]
    fn the_files_hold_the_model_on_raw_features() {
        let job = JobSpec::parse(tacit_examples::BREAST_CANCER.jobs[0]).unwrap();
        let half: Vec<f64> = job
            .data
            .features
            .iter()
            .map(|f| (f.max - f.min) / 2.0)
            .collect();
        let opened = Opened {
            tensors: vec![
                (
                    "layer0.weight".into(),
                    ArrayD::from_elem(IxDyn(&[30, 1]), 1.0),
                ),
                ("layer0.bias".into(), ArrayD::from_elem(IxDyn(&[1, 1]), 0.5)),
            ],
            metrics: vec![("accuracy".into(), 0.75)],
            coin: [0; 32],
            job,
        };
        let directory = tempfile::tempdir().unwrap();
        let [weights, onnx] = ["a.safetensors", "a.onnx"].map(|name| directory.path().join(name));
        save(&opened, &weights, Some(&onnx)).unwrap();
        assert!(onnx.metadata().unwrap().len() > 100);
        let model = Model::from_safetensors(&std::fs::read(&weights).unwrap()).unwrap();
        assert_eq!(model.features()[0], "mean_radius");
        // At the middle of every range only the bias is left; half a range above in one column adds 1.
        let mut x = Array2::from_shape_fn((2, 30), |(_, k)| half[k]);
        x[[1, 3]] += half[3];
        let z = model.logits(&x).unwrap();
        assert!(
            (z[[0, 0]] - 0.5).abs() < 1e-4 && (z[[1, 0]] - 1.5).abs() < 1e-4,
            "{z}"
        );

        let json = to_json("00ff", &opened, &weights, None);
        assert_eq!(
            (&json["metrics"]["accuracy"], &json["onnx"]),
            (&json!(0.75), &Value::Null)
        );
        assert!(save(&opened, &directory.path().join("no/such/folder"), None).is_err());
    }
}
