//! What the private model is held against: the same training in plaintext, on all rows and on those of one institution.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ndarray::{Array2, ArrayD, Axis, concatenate};
use tacit_api::job::JobSpec;
use tacit_nn::model_file::Model;
use tacit_nn::train::{Data, Split, TrainSpec, train};
use tacit_nn::{Engine, Metric, Plain};
use tacit_party::{data, train_job};

/// How good a model is on the held-out rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score {
    /// The share of rows whose class is predicted.
    pub(super) accuracy: f64,
    /// The area under the ROC curve.
    pub(super) auc: f64,
}

/// The rows of all institutions in one place: what nobody has outside a demo.
pub(super) struct Pooled {
    spec: TrainSpec,
    /// Features as they are in the files, and class numbers.
    raw: (Array2<f64>, Vec<usize>),
    data: Data<ArrayD<f32>>,
    /// Each row's institution, by its place in the job.
    owner: Vec<usize>,
    split: Split,
}

impl Pooled {
    /// Puts the files of the institutions together, in the order of the job's parties, and splits the rows by the coin of
    /// a session: both as the session did.
    pub(super) fn read(job: &JobSpec, files: &[PathBuf], coin: [u8; 32]) -> Result<Self> {
        let spec = train_job::spec(job);
        let (mut x, mut y, mut owner) = (Vec::new(), Vec::new(), Vec::new());
        let mut raw = (Vec::new(), Vec::new());
        for (institution, file) in files.iter().enumerate() {
            let rows = data::read(file, &job.data)?;
            owner.extend(std::iter::repeat_n(institution, rows.len()));
            x.push(rows.x.clone());
            y.push(rows.y.clone());
            append(&mut raw, file).with_context(|| file.display().to_string())?;
        }
        let pool = |parts: Vec<Array2<f64>>| {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            Ok::<_, anyhow::Error>(concatenate(Axis(0), &views)?.into_dyn())
        };
        let data = Data {
            x: Plain.public(&pool(x)?)?,
            y: Plain.public(&pool(y)?)?,
            weights: None,
        };
        let split = Split::new(spec.recipe.test_fraction, coin, owner.len());
        let raw_x = Array2::from_shape_vec((owner.len(), spec.features), raw.0)?;
        Ok(Self {
            spec,
            raw: (raw_x, raw.1),
            data,
            owner,
            split,
        })
    }

    /// The job's training on the training rows of everybody.
    pub(super) fn joint(&self) -> Result<Score> {
        self.train(&self.split)
    }

    /// The job's training on the training rows of one institution; held out are the rows of everybody, as for the others.
    pub(super) fn alone(&self, institution: usize) -> Result<Score> {
        let own = |&row: &usize| self.owner[row] == institution;
        self.train(&Split {
            train: self.split.train.iter().copied().filter(own).collect(),
            ..self.split.clone()
        })
    }

    fn train(&self, split: &Split) -> Result<Score> {
        let mut spec = self.spec.clone();
        spec.recipe.metrics = [Metric::Accuracy, Metric::Auc].into();
        spec.recipe.epoch_loss = false;
        let done = train(&mut Plain, &spec, &self.data, split, &mut |_, _, _| Ok(()))?;
        let metric = |name: &str| {
            let found = done.metrics.iter().find(|(other, _)| other == name);
            let value = found.and_then(|(_, value)| value.first().copied());
            value
                .map(f64::from)
                .with_context(|| format!("the training gave no {name}"))
        };
        Ok(Score {
            accuracy: metric("accuracy")?,
            auc: metric("auc")?,
        })
    }

    /// Reads a model's file and measures it in plaintext, on the held-out rows as they stand in the institutions' files.
    pub(super) fn measure(&self, safetensors: &Path) -> Result<Score> {
        let shown = || safetensors.display().to_string();
        let model = Model::from_safetensors(&std::fs::read(safetensors).with_context(shown)?)?;
        let held_out = &self.split.test;
        let x = self.raw.0.select(Axis(0), held_out);
        let labels: Vec<usize> = held_out.iter().map(|&row| self.raw.1[row]).collect();
        Ok(Score {
            accuracy: model.accuracy(&x, &labels)?,
            auc: model.auc(&x, &labels)?,
        })
    }
}

/// Appends the numbers of a file, whose last column is the class.
fn append(raw: &mut (Vec<f64>, Vec<usize>), file: &Path) -> Result<()> {
    for line in std::fs::read_to_string(file)?.lines().skip(1) {
        let (features, class) = line
            .rsplit_once(',')
            .context("a line has one column only")?;
        for cell in features.split(',') {
            raw.0.push(cell.parse()?);
        }
        raw.1.push(class.parse()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tacit_examples::BREAST_CANCER;

    use super::*;
    use crate::demo::split::{Skew, split};

    #[test]
    fn pooled_rows_beat_those_of_one_institution() {
        let directory = tempfile::tempdir().unwrap();
        let skew = Skew {
            column: "mean_radius",
            weight: 0.65,
        };
        let files: Vec<_> = (split(&BREAST_CANCER, skew).unwrap().iter().enumerate())
            .map(|(k, lines)| {
                let file = directory.path().join(format!("{k}.csv"));
                let text = format!("{}\n{}\n", BREAST_CANCER.header(), lines.join("\n"));
                std::fs::write(&file, text).unwrap();
                file
            })
            .collect();
        let job = JobSpec::parse(BREAST_CANCER.jobs[0]).unwrap();
        let pooled = Pooled::read(&job, &files, [1; 32]).unwrap();
        assert_eq!(pooled.owner.len(), 569);
        assert_eq!(pooled.raw.0.shape(), [569, 30]);
        let joint = pooled.joint().unwrap();
        assert!(joint.accuracy > 0.94 && joint.auc > 0.98, "{joint:?}");
        let alone: Vec<f64> = (0..3).map(|k| pooled.alone(k).unwrap().accuracy).collect();
        assert!(
            joint.accuracy > alone.iter().sum::<f64>() / 3.0,
            "{joint:?} {alone:?}"
        );
    }
}
