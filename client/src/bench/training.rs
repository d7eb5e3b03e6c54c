//! The training that is measured: the first job of the demo, its rows shared by three parties.

use anyhow::{Context, Result};
use ndarray::{ArrayD, Axis, Slice};
use tacit_api::job::JobSpec;
use tacit_nn::train::{Data, Released, Split, TrainSpec, train};
use tacit_nn::{Engine, Plain};
use tacit_party::train_job;
use tacit_protocols::Replicated;
use tacit_protocols::cost::{CostEngine, Prices};

/// Rows and job, known to every party here: what they are does not change what the training costs.
pub(super) struct Training {
    spec: TrainSpec,
    x: ArrayD<f64>,
    y: ArrayD<f64>,
    split: Split,
}

impl Training {
    /// Reads the breast cancer table as a party would.
    pub(super) fn new() -> Result<Self> {
        let dataset = tacit_examples::BREAST_CANCER;
        let job = JobSpec::parse(dataset.jobs[0])?;
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        let file = directory.path().join("rows.csv");
        std::fs::write(&file, dataset.csv).with_context(|| file.display().to_string())?;
        let rows = tacit_party::data::read(&file, &job.data)?;
        let mut spec = train_job::spec(&job);
        // 540 rows, 170 steps: as many as in the published figures of other systems.
        spec.recipe.test_fraction = 0.05;
        // A session tosses a coin; measurements are better repeatable.
        let split = Split::new(spec.recipe.test_fraction, [1; 32], rows.len());
        Ok(Self {
            spec,
            x: rows.x.clone().into_dyn(),
            y: rows.y.clone().into_dyn(),
            split,
        })
    }

    /// Each party shares a third of the rows, then all train. What they would seal is made, but not opened.
    pub(super) fn on_shares<E: Replicated>(
        &self,
        e: &mut E,
    ) -> tacit_nn::Result<Released<E::Value>> {
        let data = Data {
            x: contribute(e, &self.x)?,
            y: contribute(e, &self.y)?,
            weights: None,
        };
        let released = train(e, &self.spec, &data, &self.split, &mut |_, _, _| Ok(()))?;
        let values = released.model.iter().chain(&released.metrics);
        e.release(&values.map(|(_, value)| value).collect::<Vec<_>>())?;
        Ok(released)
    }

    /// The same where it is only counted.
    pub(super) fn counted<P: Prices>(&self, cost: &mut CostEngine<P>) -> tacit_nn::Result<()> {
        let mut shared = |rows: &ArrayD<f64>| {
            let parts = thirds(rows);
            let parts = parts
                .iter()
                .map(|(owner, part)| cost.input(*owner, part.shape()));
            let parts = parts.collect::<tacit_nn::Result<Vec<_>>>()?;
            cost.concat(0, &parts.iter().collect::<Vec<_>>())
        };
        let data = Data {
            x: shared(&self.x)?,
            y: shared(&self.y)?,
            weights: None,
        };
        let released = train(cost, &self.spec, &data, &self.split, &mut |_, _, _| Ok(()))?;
        let values = released.model.iter().chain(&released.metrics);
        cost.release(&values.map(|(_, value)| value).collect::<Vec<_>>())
    }

    /// The tensors of the model that the same training gives in plaintext.
    pub(super) fn in_plaintext(&self) -> tacit_nn::Result<Vec<ArrayD<f64>>> {
        let data = Data {
            x: Plain.public(&self.x)?,
            y: Plain.public(&self.y)?,
            weights: None,
        };
        let released = train(
            &mut Plain,
            &self.spec,
            &data,
            &self.split,
            &mut |_, _, _| Ok(()),
        )?;
        let tensors = released.model.into_iter();
        Ok(tensors.map(|(_, value)| value.mapv(f64::from)).collect())
    }
}

/// The third of the rows that each party has.
fn thirds(rows: &ArrayD<f64>) -> Vec<(usize, ArrayD<f64>)> {
    let n = rows.shape()[0];
    let third = |owner: usize| {
        let part = rows.slice_axis(Axis(0), Slice::from(owner * n / 3..(owner + 1) * n / 3));
        (owner, part.to_owned())
    };
    (0..3).map(third).collect()
}

/// Every party shares a third of the rows.
fn contribute<E: Replicated>(e: &mut E, rows: &ArrayD<f64>) -> tacit_nn::Result<E::Value> {
    let parts = thirds(rows).into_iter().map(|(owner, part)| {
        let mine = (e.session().me() == owner).then_some(&part);
        e.input(owner, part.shape(), mine)
    });
    let parts = parts.collect::<tacit_nn::Result<Vec<E::Value>>>()?;
    e.concat(0, &parts.iter().collect::<Vec<_>>())
}
