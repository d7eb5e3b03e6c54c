//! A small job and rows for it, for tests.

use tacit_api::job::JobSpec;

/// The file of a job of north, west and south for the analyst; `more` is put at its end.
pub(crate) fn job_toml(more: &str) -> String {
    format!(
        r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
data.dataset = "ward"
data.label = "ill"
data.classes = 2
data.features = [{{ name = "age", min = 0, max = 100 }}, {{ name = "dose", min = -1, max = 1 }}]
model.hidden = []
training.epochs = 4
training.batch = 16
training.learning_rate = 0.5
release.metrics = ["accuracy", "auc"]
release.epoch_loss = true
{more}
"#
    )
}

/// The same, parsed.
pub(crate) fn job(more: &str) -> JobSpec {
    JobSpec::parse(&job_toml(more)).unwrap()
}

/// A file of the data set: who is older than 50 is ill.
pub(crate) fn csv(rows: usize, seed: usize) -> String {
    let mut text = String::from("age,dose,ill\n");
    for row in 0..rows {
        let age = (row * 37 + seed * 11) % 101;
        let dose = ((row * 13 + seed) % 21) as f64 / 10.0 - 1.0;
        text += &format!("{age},{dose:.1},{}\n", u8::from(age > 50));
    }
    text
}
