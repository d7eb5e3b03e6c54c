//! What the training of a job file will cost.

use anyhow::{Result, ensure};
use tacit_api::job::{JobSpec, Kind};
use tacit_nn::Engine;
use tacit_nn::train::{Data, Split};
use tacit_party::train_job::Plan;
use tacit_protocols::cost::{CostEngine, Prices, Value};

use super::Work;

/// A training on so many rows, of which every contributor has as many.
pub(super) struct Training {
    pub(super) job: JobSpec,
    plan: Plan,
    split: Split,
    /// Rows of each contributor, and the computing party that shares them.
    parts: Vec<(usize, usize)>,
}

impl Training {
    /// Of a checked job.
    pub(super) fn new(job: JobSpec, rows: usize) -> Result<Self> {
        ensure!(
            job.kind == Kind::Train,
            "this job trains nothing: forecast the model that it serves, by --model and --batch"
        );
        let (plan, contributors) = (Plan::of(&job)?, job.contributors.len());
        ensure!(
            rows >= contributors,
            "{rows} rows for {contributors} contributors: each has at least one"
        );
        let parts = job.contributors.iter().enumerate().map(|(k, name)| {
            let computing = job.compute.iter().position(|other| other == name);
            let part = rows * (k + 1) / contributors - rows * k / contributors;
            (computing.unwrap_or(k % 3), part)
        });
        let parts = parts.collect();
        // Which rows are held out changes nothing.
        let split = Split::new(job.training.test_fraction, [1; 32], rows);
        Ok(Self {
            job,
            plan,
            split,
            parts,
        })
    }

    fn shared<P: Prices>(&self, cost: &mut CostEngine<P>, width: usize) -> tacit_nn::Result<Value> {
        let parts = self.parts.iter();
        let parts = parts.map(|&(owner, rows)| cost.input(owner, &[rows, width]));
        let parts = parts.collect::<tacit_nn::Result<Vec<_>>>()?;
        cost.concat(0, &parts.iter().collect::<Vec<_>>())
    }
}

impl Work for Training {
    /// From the sharing of the rows to the release of the model, as `tacit train --local` does it.
    fn count<P: Prices>(&self, cost: &mut CostEngine<P>) -> tacit_nn::Result<()> {
        let columns = &self.job.data;
        let data = Data {
            x: self.shared(cost, columns.features.len())?,
            y: self.shared(cost, columns.label_width())?,
            weights: None,
        };
        let each_epoch = &mut |cost: &mut CostEngine<P>, _: usize, loss: Option<&Value>| {
            loss.map_or(Ok(()), |loss| cost.release(&[loss]))
        };
        let released = self.plan.train(cost, &data, &self.split, each_epoch)?;
        let values = released.model.iter().chain(&released.metrics);
        cost.release(&values.map(|(_, value)| value).collect::<Vec<_>>())
    }
}
