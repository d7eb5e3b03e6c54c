//! Runs the node tests of the ONNX project on any engine. A case is a folder with `model.onnx` and `test_data_set_0`, which
//! holds `input_<k>.pb` and `output_<k>.pb`, each a serialised tensor.
//!
//! Inputs are private wherever the graph can be made without knowing them, so that what is tested is the private path.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use ndarray::ArrayD;
use prost::Message;

use super::{
    Constant, Element, Error, Feed, Model, Options, Source, Value, context::SATURATION,
    format::TensorProto, tensor,
};
use crate::Graph;

/// A case as it lies in its folder.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    model: Vec<u8>,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

/// A case that does not pass, with the reason.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    /// The folder's name.
    pub case: &'static str,
    /// Whether it passes in plaintext and only a private engine is outside.
    pub private_only: bool,
    /// Why.
    pub reason: &'static str,
}

/// The cases that do not pass. It can only shrink: a test asserts that each of them still does not.
pub const OUTSIDE: &[Outside] = &[
    Outside {
        case: "test_identity_sequence",
        private_only: false,
        reason: "refused: its input is a sequence of tensors; inputs are tensors",
    },
    Outside {
        case: "test_training_dropout_default_mask",
        private_only: false,
        reason: "it expects the random mask of one generator; in inference dropout is the identity, in training the masks are drawn anew",
    },
    Outside {
        case: "test_training_dropout_mask",
        private_only: false,
        reason: "as test_training_dropout_default_mask",
    },
];

/// How a case ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every output is within the tolerance.
    Passed,
    /// An output is not, or the engine reports an error.
    Failed(String),
    /// The model is refused, with the reason.
    Refused(String),
}

/// How far a result may be from the expected one: by absolute + relative·|expected|.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The part that does not depend on the value.
    pub absolute: f64,
    /// The part in proportion to the expected value.
    pub relative: f64,
}

/// Runs a graph on inputs; its outputs, or why not.
pub type Runner<'r> = dyn FnMut(&Graph, &[ArrayD<f64>]) -> Result<Vec<ArrayD<f64>>, String> + 'r;

/// All cases in a folder, in the order of their names.
///
/// # Errors
/// What the file system reports.
pub fn cases(folder: &Path) -> io::Result<Vec<Case>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<String>>>()?;
    names.sort();
    names.retain(|name| folder.join(name).join("model.onnx").is_file());
    names
        .into_iter()
        .map(|name| {
            let at = folder.join(&name);
            let series = |kind: &str| {
                let path = |k: usize| at.join("test_data_set_0").join(format!("{kind}_{k}.pb"));
                let there = (0..).map(path).take_while(|path| path.is_file());
                there.map(fs::read).collect::<io::Result<Vec<_>>>()
            };
            Ok(Case {
                model: fs::read(at.join("model.onnx"))?,
                inputs: series("input")?,
                outputs: series("output")?,
                name,
            })
        })
        .collect()
}

/// The folder of the cases in what is shared beside the repository (or in the folder that TACIT_SHARED names); `None`, with a
/// word about it, where it is absent.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("TACIT_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data/onnx-nodes");
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "1 skipped: {} is absent (set TACIT_SHARED)",
        folder.display()
    );
    None
}

/// How the cases of a folder end.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All of them.
    pub cases: usize,
    /// Those that pass.
    pub passed: usize,
    /// The names of the others.
    pub outside: BTreeSet<String>,
}

/// Runs all cases of a folder, and prints the reason of each that does not pass, and the count.
///
/// # Errors
/// What the file system reports.
pub fn tally(folder: &Path, tolerance: Tolerance, runner: &mut Runner<'_>) -> io::Result<Tally> {
    let mut tally = Tally::default();
    for case in cases(folder)? {
        tally.cases += 1;
        let (kind, why) = match case.run(tolerance, runner) {
            Outcome::Passed => {
                tally.passed += 1;
                continue;
            }
            Outcome::Failed(why) => ("failed", why),
            Outcome::Refused(why) => ("refused", why),
        };
        let why = why.split("; supported are").next().unwrap_or_default();
        println!("{kind} {}: {why}", case.name);
        tally.outside.insert(case.name);
    }
    println!("{} of {} cases passed", tally.passed, tally.cases);
    Ok(tally)
}

impl Case {
    /// Lowers the model, runs it and compares.
    pub fn run(&self, tolerance: Tolerance, runner: &mut Runner<'_>) -> Outcome {
        match self.try_run(tolerance, runner) {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => Outcome::Failed(why),
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    fn try_run(
        &self,
        tolerance: Tolerance,
        runner: &mut Runner<'_>,
    ) -> Result<Option<String>, Error> {
        let model = Model::parse(&self.model)?;
        let inputs = decode(&self.inputs)?;
        let expected = decode(&self.outputs)?;
        let mut public = vec![false; inputs.len()];
        let lowered = loop {
            let feeds: Vec<Feed> = inputs
                .iter()
                .zip(&public)
                .map(|(x, &public)| {
                    if public || x.element() == Element::Text {
                        Feed::Public(x.clone())
                    } else {
                        Feed::Private(x.shape().to_vec())
                    }
                })
                .collect();
            match model.lower(&feeds, &Options::default()) {
                Err(Error::MustBePublic {
                    inputs: names,
                    node,
                    role,
                }) => {
                    let before = public.clone();
                    for (port, public) in model.inputs().iter().zip(&mut public) {
                        *public |= names.contains(&port.name);
                    }
                    if public == before {
                        return Err(Error::MustBePublic {
                            inputs: names,
                            node,
                            role,
                        });
                    }
                }
                result => break result?,
            }
        };
        let mut fed = Vec::with_capacity(lowered.sources.len());
        for source in &lowered.sources {
            fed.push(match source {
                Source::Input(k) => inputs
                    .get(*k)
                    .and_then(Constant::numbers)
                    .unwrap_or_default()
                    // Fixed point holds no infinity; that of a mask only has to win.
                    .mapv(|v| v.clamp(-SATURATION, SATURATION)),
                Source::Weight { value, .. } => value.clone(),
                Source::Mask { shape, .. } => ArrayD::ones(ndarray::IxDyn(shape)),
                Source::Parameter(name) => {
                    return Ok(Some(format!("no value for the parameter {name}")));
                }
            });
        }
        let results = if lowered.graph.outputs.is_empty() {
            Vec::new()
        } else {
            match runner(&lowered.graph, &fed) {
                Ok(results) => results,
                Err(why) => return Ok(Some(why)),
            }
        };
        if expected.len() != lowered.outputs.len() {
            let (want, got) = (expected.len(), lowered.outputs.len());
            return Ok(Some(format!("{want} outputs are expected, {got} came out")));
        }
        for (want, output) in expected.iter().zip(&lowered.outputs) {
            let differs = match &output.value {
                Value::Known(got) if want.element() == Element::Text => {
                    (got != want).then(|| "other text".to_string())
                }
                Value::Known(got) => difference(got.numbers().as_ref(), want, tolerance),
                Value::Edge(k) => difference(results.get(*k), want, tolerance),
            };
            if let Some(why) = differs {
                return Ok(Some(format!("{}: {why}", output.name)));
            }
            let same_kind = output.element == want.element();
            if !same_kind {
                return Ok(Some(format!(
                    "{}: {} and not {}",
                    output.name,
                    output.element,
                    want.element()
                )));
            }
        }
        Ok(None)
    }
}

fn decode(files: &[Vec<u8>]) -> Result<Vec<Constant>, Error> {
    files
        .iter()
        .map(|bytes| {
            let t = TensorProto::decode(&bytes[..]).map_err(|e| Error::Malformed(e.to_string()))?;
            tensor::decode(&t)
        })
        .collect()
}

/// The worst entry outside the tolerance.
fn difference(got: Option<&ArrayD<f64>>, want: &Constant, tolerance: Tolerance) -> Option<String> {
    let (Some(got), Some(want)) = (got, want.numbers()) else {
        return Some("there are no numbers".into());
    };
    if got.shape() != want.shape() {
        return Some(format!(
            "shape {:?} and not {:?}",
            got.shape(),
            want.shape()
        ));
    }
    let outside = |got: f64, want: f64| {
        if got.is_nan() || want.is_nan() {
            return if got.is_nan() && want.is_nan() {
                0.0
            } else {
                f64::INFINITY
            };
        }
        if got == want {
            0.0
        } else {
            (got - want).abs() - tolerance.absolute - tolerance.relative * want.abs()
        }
    };
    let pairs = got.iter().copied().zip(want.iter().copied());
    let worst = pairs.max_by(|a, b| outside(a.0, a.1).total_cmp(&outside(b.0, b.1)))?;
    let bad = got
        .iter()
        .zip(&want)
        .filter(|(g, w)| outside(**g, **w) > 0.0)
        .count();
    (bad > 0).then(|| {
        format!(
            "{bad} of {} entries differ, the worst is {} and not {}",
            want.len(),
            worst.0,
            worst.1
        )
    })
}
