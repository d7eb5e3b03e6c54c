//! What a job file must satisfy beyond its syntax.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::job::{
    Bounds, Comparison, DataSpec, JobError, JobSpec, Kind, Loss, Metric, Optimizer, Protocol,
    ProtocolSpec, Schedule, TrainingSpec, Weights,
};
use crate::name;
use crate::roster::COORDINATOR;

/// Magnitudes beyond this one leave no precision for the difference of two bounds.
const MAX_BOUND: f64 = 1e12;

/// Features that are not scaled stay below this: products with weights must be representable.
const MAX_RAW: f64 = 65_536.0;

/// Numbers that are learned stay below this: squares of differences must be representable.
const MAX_LABEL: f64 = 1000.0;

/// Checks every field; the error names the first that is wrong.
pub(crate) fn check(job: &JobSpec) -> Result<(), JobError> {
    named("name", &job.name)?;
    members(job)?;
    model(job)?;
    protocol(job)?;
    if job.kind == Kind::Serve {
        return service(job);
    }
    if job.service.is_some() {
        return Err(wrong("service", "a job that trains serves nothing".into()));
    }
    columns(&job.data)?;
    network(job)?;
    training(&job.training)?;
    let classes = job.data.classes > 0;
    for metric in &job.release.metrics {
        let by_class = matches!(metric, Metric::Accuracy | Metric::Auc);
        if *metric != Metric::Loss && by_class != classes {
            let of = if classes { "numbers" } else { "classes" };
            let problem = format!("{metric} is for labels that are {of}");
            return Err(wrong("release.metrics", problem));
        }
    }
    unique("release.metrics", job.release.metrics.iter())
}

fn protocol(job: &JobSpec) -> Result<(), JobError> {
    let ProtocolSpec {
        name,
        comparison,
        verify_every_mib,
    } = job.protocol;
    if name == Protocol::Rep3 {
        if verify_every_mib.is_some() {
            let problem = format!("is for {}: {name} proves nothing", Protocol::Rep3Malicious);
            return Err(wrong("protocol.verify_every_mib", problem));
        }
        return Ok(());
    }
    if comparison != Comparison::Auto {
        let problem = format!("is for rep3: {name} has one comparison");
        return Err(wrong("protocol.comparison", problem));
    }
    Ok(())
}

fn network(job: &JobSpec) -> Result<(), JobError> {
    let model = &job.model;
    if model.onnx.is_none() {
        within("model.hidden (number of layers)", model.hidden.len(), 0..=8)?;
        for &width in &model.hidden {
            within("model.hidden", width, 1..=4096)?;
        }
        for (given, field) in [
            (model.output.is_some(), "model.output"),
            (!job.training.train.is_empty(), "training.train"),
        ] {
            if given {
                return Err(wrong(field, "is for a model file, model.onnx".into()));
            }
        }
        let problem = match job.training.loss {
            _ if job.data.classes == 0 => "a number is learned by a model file, model.onnx",
            None | Some(Loss::CrossEntropy) => return Ok(()),
            Some(_) => "a perceptron is trained by its cross-entropy",
        };
        return Err(wrong("model.hidden", problem.into()));
    }
    // Features are not scaled for a model file, and fixed point holds them as they are.
    for feature in &job.data.features {
        let field = format!("the bounds of {:?} in data.features", feature.name);
        within(&field, feature.min, -MAX_RAW..=MAX_RAW)?;
        within(&field, feature.max, -MAX_RAW..=MAX_RAW)?;
    }
    let classes = job.data.classes > 0;
    match job.training.loss {
        Some(loss) if classes != (loss == Loss::CrossEntropy) => {
            let problem = "cross-entropy is for classes, the others are for numbers";
            Err(wrong("training.loss", problem.into()))
        }
        _ => Ok(()),
    }
}

fn training(training: &TrainingSpec) -> Result<(), JobError> {
    within("training.epochs", training.epochs, 1..=10_000)?;
    within("training.batch", training.batch, 1..=65_536)?;
    let rate = training.step_size();
    within("training.learning_rate", rate, 1e-5..=10.0)?;
    within(
        "training.momentum",
        training.momentum.unwrap_or(0.0),
        0.0..=0.99,
    )?;
    within("training.weight_decay", training.weight_decay, 0.0..=1.0)?;
    within(
        "training.warmup_steps",
        training.warmup_steps,
        0..=1_000_000,
    )?;
    within("training.beta1", training.beta1.unwrap_or(0.9), 0.0..=0.99)?;
    within(
        "training.beta2",
        training.beta2.unwrap_or(0.999),
        0.5..=0.9995,
    )?;
    within(
        "training.epsilon",
        training.epsilon.unwrap_or(1e-3),
        1e-5..=1.0,
    )?;
    within(
        "training.clip_norm",
        training.clip_norm.unwrap_or(1.0),
        1e-3..=1000.0,
    )?;
    if let Some(Loss::Huber { delta }) = training.loss {
        within("training.loss (delta)", delta, 1e-3..=1e6)?;
    }
    match training.schedule {
        Schedule::Step { epochs, factor } => {
            within("training.schedule (epochs)", epochs, 1..=10_000)?;
            within("training.schedule (factor)", factor, 1e-3..=1.0)?;
        }
        Schedule::Exponential { factor } => {
            within("training.schedule (factor)", factor, 1e-3..=1.0)?;
        }
        Schedule::Constant | Schedule::Cosine {} => {}
    }
    let sgd = training.optimizer == Optimizer::Sgd;
    for (given, field, of_sgd) in [
        (training.momentum.is_some(), "training.momentum", true),
        (training.nesterov, "training.nesterov", true),
        (training.beta1.is_some(), "training.beta1", false),
        (training.beta2.is_some(), "training.beta2", false),
        (training.epsilon.is_some(), "training.epsilon", false),
    ] {
        if given && of_sgd != sgd {
            let of = if of_sgd {
                "sgd"
            } else {
                "adam, amsgrad and adamw"
            };
            return Err(wrong(field, format!("is for the optimizer {of}")));
        }
    }
    within(
        "training.train (number of names)",
        training.train.len(),
        0..=10_000,
    )?;
    within("training.test_fraction", training.test_fraction, 0.01..=0.9)?;
    within("training.fraction_bits", training.fraction_bits, 12..=20)
}

fn model(job: &JobSpec) -> Result<(), JobError> {
    if job.model.onnx.is_some() && !job.model.hidden.is_empty() {
        let problem = "the network is either model.onnx or model.hidden".into();
        return Err(wrong("model.hidden", problem));
    }
    if let Some(file) = &job.model.onnx {
        let printable = !file.chars().any(char::is_control);
        if file.is_empty() || file.len() > 1000 || !printable {
            return Err(wrong("model.onnx", format!("{file:?} is no file name")));
        }
    }
    match &job.model.weights {
        Weights::Owner(owner) if !job.compute.contains(owner) => {
            let problem = format!("{owner:?} is neither \"public\" nor a party that computes");
            Err(wrong("model.weights", problem))
        }
        Weights::Owner(_) if job.kind != Kind::Serve => {
            let problem = "only a model that is served may have an owner".into();
            Err(wrong("model.weights", problem))
        }
        _ => Ok(()),
    }
}

fn service(job: &JobSpec) -> Result<(), JobError> {
    let missing = || {
        wrong(
            "service",
            "a job that serves says to whom and how long".into(),
        )
    };
    let service = job.service.as_ref().ok_or_else(missing)?;
    if job.model.onnx.is_none() {
        return Err(wrong(
            "model.onnx",
            "a job that serves names a model file".into(),
        ));
    }
    if !job.contributors.is_empty() {
        let problem = "nobody contributes rows to a job that serves".into();
        return Err(wrong("contributors", problem));
    }
    within(
        "service.clients (number of them)",
        service.clients.len(),
        1..=1000,
    )?;
    for client in &service.clients {
        named("service.clients", client)?;
    }
    unique("service.clients", service.clients.iter())?;
    within("service.gather_ms", service.gather_ms, 0..=10_000)?;
    within("service.minutes", service.minutes, 1..=60 * 24 * 31)?;
    check_service(
        "service",
        service.max_rows,
        service.fraction_bits,
        &service.bounds,
    )
}

/// Checks what a model is served within: in a job, or in the configuration of the party that owns its weights. `table` is where
/// it stands.
///
/// # Errors
/// [`JobError::Field`] with the first field that is wrong.
pub fn check_service(
    table: &str,
    max_rows: usize,
    fraction_bits: u32,
    bounds: &[[f64; 2]],
) -> Result<(), JobError> {
    within(&format!("{table}.max_rows"), max_rows, 1..=65_536)?;
    // Some functions, and the proof that no number wraps, are made for this precision.
    within(&format!("{table}.fraction_bits"), fraction_bits, 18..=18)?;
    for &[lo, hi] in bounds {
        // Written so that NaN fails it.
        if !(lo < hi && lo.abs() <= MAX_BOUND && hi.abs() <= MAX_BOUND) {
            let problem = format!(
                "[{lo}, {hi}] is no range: the lower bound first, both within ±{MAX_BOUND:e}"
            );
            return Err(wrong(&format!("{table}.bounds"), problem));
        }
    }
    Ok(())
}

fn members(job: &JobSpec) -> Result<(), JobError> {
    named("recipient", &job.recipient)?;
    for (field, names) in [
        ("compute", &job.compute[..]),
        ("contributors", &job.contributors),
    ] {
        for member in names {
            named(field, member)?;
        }
        unique(field, names.iter())?;
        // A session's computing parties and contributors are few; the bound keeps a hostile file from naming thousands.
        within(field, names.len(), 0..=256)?;
    }
    Ok(())
}

/// Checks the data table.
pub(crate) fn columns(data: &DataSpec) -> Result<(), JobError> {
    named("data.dataset", &data.dataset)?;
    within(
        "data.features (number of them)",
        data.features.len(),
        1..=10_000,
    )?;
    let columns = data.features.iter().map(|feature| &feature.name);
    unique(
        "data.features and data.label",
        columns.clone().chain([&data.label]),
    )?;
    for column in columns.chain([&data.label]) {
        if column.is_empty() || column.len() > 200 || column.chars().any(char::is_control) {
            return Err(wrong(
                "data.features and data.label",
                format!("{column:?} is no column name: use 1 to 200 printable characters"),
            ));
        }
    }
    for feature in &data.features {
        let field = format!("the bounds of {:?} in data.features", feature.name);
        within(&field, feature.min, -MAX_BOUND..=MAX_BOUND)?;
        within(&field, feature.max, -MAX_BOUND..=MAX_BOUND)?;
        if feature.min >= feature.max {
            return Err(wrong(&field, "min must be less than max".into()));
        }
    }
    match data.label_bounds {
        None => within("data.classes", data.classes, 2..=1000)?,
        Some(_) if data.classes != 0 => {
            let problem = "the label is either one of data.classes or a number with bounds";
            return Err(wrong("data.label_bounds", problem.into()));
        }
        Some(Bounds { min, max }) => {
            within("data.label_bounds", min, -MAX_LABEL..=MAX_LABEL)?;
            within("data.label_bounds", max, -MAX_LABEL..=MAX_LABEL)?;
            if min >= max {
                return Err(wrong(
                    "data.label_bounds",
                    "min must be less than max".into(),
                ));
            }
        }
    }
    if let Some(rows) = data.pad_rows {
        within("data.pad_rows", rows, 1..=10_000_000)?;
    }
    Ok(())
}

fn named(field: &str, value: &str) -> Result<(), JobError> {
    name::check(value).map_err(|problem| wrong(field, problem))?;
    if value == COORDINATOR {
        return Err(wrong(field, format!("{COORDINATOR:?} is reserved")));
    }
    Ok(())
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), JobError> {
    // NaN compares as outside every range.
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    Err(wrong(field, format!("{value} is outside {low} to {high}")))
}

fn unique<T: std::hash::Hash + Eq + std::fmt::Display>(
    field: &str,
    values: impl Iterator<Item = T>,
) -> Result<(), JobError> {
    let mut seen = HashSet::new();
    for value in values {
        let text = value.to_string();
        if !seen.insert(value) {
            return Err(wrong(field, format!("{text:?} occurs twice")));
        }
    }
    Ok(())
}

fn wrong(field: &str, problem: String) -> JobError {
    JobError::Field {
        field: field.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
contributors = ["north", "east"]
[data]
dataset = "d"
label = "y"
classes = 2
features = [{ name = "x", min = 0, max = 1 }, { name = "z", min = -1, max = 1 }]
[model]
hidden = [8]
[training]
epochs = 3
"#;

    #[test]
    fn a_job_that_serves_says_what_to_whom_and_how_long() {
        const SERVE: &str = r#"
name = "triage"
kind = "serve"
recipient = "analyst"
compute = ["north", "west", "south"]
[model]
onnx = "triage.onnx"
weights = "west"
[service]
clients = ["clinic"]
minutes = 60
"#;
        let job = JobSpec::parse(SERVE).unwrap();
        let service = job.service.unwrap();
        assert_eq!(
            (service.max_rows, service.gather_ms, service.fraction_bits),
            (128, 5, 18)
        );
        assert_eq!(job.model.weights, Weights::Owner("west".into()));
        assert!(job.contributors.is_empty());
        for (from, to, field) in [
            ("onnx = \"triage.onnx\"", "hidden = [3]", "model.onnx"),
            (
                "onnx = \"triage.onnx\"",
                "onnx = \"a\"\nhidden = [3]",
                "model.hidden",
            ),
            ("\"west\"\n", "\"clinic\"\n", "model.weights"),
            ("[\"clinic\"]", "[]", "service.clients (number of them)"),
            (
                "[\"clinic\"]",
                "[\"clinic\", \"clinic\"]",
                "service.clients",
            ),
            ("minutes = 60", "minutes = 0", "service.minutes"),
            (
                "minutes = 60",
                "minutes = 60\nbounds = [[0, 1], [1, 1]]",
                "service.bounds",
            ),
            (
                "minutes = 60",
                "minutes = 60\nbounds = [[0, nan]]",
                "service.bounds",
            ),
            (
                "minutes = 60",
                "minutes = 60\nbounds = [[-1e13, 0]]",
                "service.bounds",
            ),
            (
                "[model]",
                "contributors = [\"east\"]\n[model]",
                "contributors",
            ),
            (
                "[service]\nclients = [\"clinic\"]\nminutes = 60",
                "",
                "service",
            ),
        ] {
            let text = SERVE.replacen(from, to, 1);
            match JobSpec::parse(&text).unwrap_err() {
                JobError::Field { field: found, .. } => assert_eq!(found, field, "{text}"),
                error => panic!("{to}: {error}"),
            }
        }
    }

    #[test]
    fn every_field_is_held_to_its_range_and_named() {
        JobSpec::parse(JOB).unwrap();
        for (from, to, field) in [
            ("name = \"trial\"", "name = \"Trial 1\"", "name"),
            ("\"analyst\"", "\"coordinator\"", "recipient"),
            ("\"west\"", "\"north\"", "compute"),
            ("\"east\"", "\"north\"", "contributors"),
            ("\"east\"", "\"../east\"", "contributors"),
            ("\"d\"", "\"d/e\"", "data.dataset"),
            ("classes = 2", "classes = 1", "data.classes"),
            ("classes = 2", "classes = 2\npad_rows = 0", "data.pad_rows"),
            ("\"y\"", "\"z\"", "data.features and data.label"),
            ("\"z\"", "\"z\\u0007\"", "data.features and data.label"),
            ("-1", "1", "the bounds of \"z\" in data.features"),
            ("-1", "nan", "the bounds of \"z\" in data.features"),
            ("-1", "-inf", "the bounds of \"z\" in data.features"),
            ("[8]", "[0]", "model.hidden"),
            (
                "[8]",
                "[1,1,1,1,1,1,1,1,1]",
                "model.hidden (number of layers)",
            ),
            ("epochs = 3", "epochs = 0", "training.epochs"),
            ("epochs = 3", "batch = 0", "training.batch"),
            ("epochs = 3", "learning_rate = 0", "training.learning_rate"),
            ("epochs = 3", "momentum = 1", "training.momentum"),
            ("epochs = 3", "clip_norm = 0", "training.clip_norm"),
            ("epochs = 3", "weight_decay = -1", "training.weight_decay"),
            ("epochs = 3", "beta1 = 0.5", "training.beta1"),
            (
                "epochs = 3",
                "optimizer = \"adam\"\nmomentum = 0.5",
                "training.momentum",
            ),
            ("epochs = 3", "train = [\"fc\"]", "training.train"),
            ("epochs = 3", "loss = \"mse\"", "model.hidden"),
            (
                "hidden = [8]",
                "hidden = [8]\nonnx = \"m.onnx\"",
                "model.hidden",
            ),
            (
                "hidden = [8]",
                "hidden = [8]\noutput = \"y\"",
                "model.output",
            ),
            ("hidden = [8]", "onnx = \"\"", "model.onnx"),
            (
                "classes = 2",
                "classes = 2\nlabel_bounds = { min = 0, max = 1 }",
                "data.label_bounds",
            ),
            (
                "classes = 2",
                "label_bounds = { min = 1, max = 1 }",
                "data.label_bounds",
            ),
            (
                "classes = 2",
                "label_bounds = { min = 0, max = 1 }",
                "model.hidden",
            ),
            (
                "[model]",
                "[release]\nmetrics = [\"rmse\"]\n[model]",
                "release.metrics",
            ),
            (
                "epochs = 3",
                "test_fraction = nan",
                "training.test_fraction",
            ),
            ("epochs = 3", "fraction_bits = 40", "training.fraction_bits"),
            (
                "[model]",
                "[release]\nmetrics = [\"auc\", \"auc\"]\n[model]",
                "release.metrics",
            ),
        ] {
            let text = JOB.replacen(from, to, 1);
            match JobSpec::parse(&text).unwrap_err() {
                JobError::Field { field: found, .. } => assert_eq!(found, field, "{text}"),
                error => panic!("{to}: {error}"),
            }
        }
    }
}
