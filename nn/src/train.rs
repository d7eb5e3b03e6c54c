//! Training on any engine: standardise, descend, measure, and hand out a model on the features as they came.

use std::collections::{BTreeMap, btree_map::Entry};

use ndarray::{ArrayD, IxDyn};

pub use crate::spec::{TrainSpec, released_shapes, split};
use crate::{
    Edge, Engine, Error, Graph, Layout, Result, gradients, mean::RowMean, metrics, model::Mlp,
    optimizer::Sgd, run, standardise::Statistics,
};

/// The rows of all contributors.
#[derive(Clone, Debug)]
pub struct Data<V> {
    /// Features in [-1, 1], \[rows, features\].
    pub x: V,
    /// Labels: 0 or 1, \[rows, 1\], or one-hot, \[rows, classes\], for more than two classes.
    pub y: V,
    /// 1 for a row that counts and 0 for padding, \[rows, 1\]; `None` where every row counts.
    pub weights: Option<V>,
}

/// What a training gives out, still on the engine. Shapes and order are those of [`released_shapes`].
#[derive(Clone, Debug)]
pub struct Released<V> {
    /// Names and tensors of the model, on features in [-1, 1].
    pub model: Vec<(String, V)>,
    /// Names and values of the metrics on the held-out rows.
    pub metrics: Vec<(String, V)>,
}

/// Trains a multilayer perceptron on `train_rows` of the data and measures it on `test_rows`.
///
/// Statistics of the features are folded into the first layer before anything is released. `observer` is called after every
/// epoch with its number, from 1 on, and the mean training loss during it, if the job shows that; it may stop the training by an
/// error.
///
/// # Errors
/// A specification or data that do not fit, and whatever the engine or the observer reports.
pub fn train<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    data: &Data<E::Value>,
    train_rows: &[usize],
    test_rows: &[usize],
    observer: &mut dyn FnMut(&mut E, usize, Option<&E::Value>) -> Result<()>,
) -> Result<Released<E::Value>> {
    spec.validate()?;
    check_data(e, spec, data, train_rows, test_rows)?;
    let (data, statistics) = prepare(e, data, train_rows)?;
    let mlp = Mlp::of(spec);
    let mut parameters = e.public(&mlp.initial(spec))?;
    let mut velocity = e.public(&ArrayD::zeros(IxDyn(&[mlp.parameters()])))?;
    // One graph for full batches and one for the rest.
    let mut steps: BTreeMap<usize, Graph> = BTreeMap::new();

    for epoch in 1..=spec.epochs {
        let order = spec
            .stream(&format!("epoch {epoch}"))
            .permutation(train_rows.len());
        let mut losses: Vec<E::Value> = Vec::new();
        for batch in order.chunks(spec.batch) {
            let rows: Vec<usize> = batch.iter().map(|&k| train_rows[k]).collect();
            let step = match steps.entry(rows.len()) {
                Entry::Occupied(built) => built.into_mut(),
                Entry::Vacant(slot) => {
                    slot.insert(step_graph(spec, rows.len(), data.weights.is_some())?)
                }
            };
            let mut inputs = gather(e, &data, &rows)?;
            inputs.extend([parameters, velocity]);
            let mut results = run(step, e, &inputs)?;
            losses.extend(results.drain(2..));
            [parameters, velocity] = exactly(results)?;
        }
        let loss = if spec.epoch_loss {
            Some(epoch_loss(e, &losses, &statistics, train_rows.len())?)
        } else {
            None
        };
        observer(e, epoch, loss.as_ref())?;
    }
    let metrics = measure(e, spec, &data, test_rows, &parameters)?;
    let model = fold(e, spec, statistics, parameters)?;
    Ok(Released { model, metrics })
}

/// Statistics of the training rows, on the engine.
struct Known<V> {
    mean: V,
    inverse_deviation: V,
    inverse_weight: Option<V>,
}

fn check_data<E: Engine>(
    e: &E,
    spec: &TrainSpec,
    data: &Data<E::Value>,
    train_rows: &[usize],
    test_rows: &[usize],
) -> Result<()> {
    let shape = e.shape(&data.x);
    let rows = shape.first().copied().unwrap_or_default();
    let mut wanted = vec![
        (shape, vec![rows, spec.features]),
        (e.shape(&data.y), spec.label_shape(rows)),
    ];
    wanted.extend(data.weights.as_ref().map(|w| (e.shape(w), vec![rows, 1])));
    if let Some((left, right)) = wanted.into_iter().find(|(has, wants)| has != wants) {
        return Err(Error::Shape {
            op: "training data",
            left,
            right,
        });
    }
    match (
        train_rows.iter().chain(test_rows).max(),
        train_rows.is_empty() || test_rows.is_empty(),
    ) {
        (_, true) => Err(Error::Invalid(
            "there must be rows to train on and rows to hold out: contribute more".into(),
        )),
        (Some(&row), _) if row >= rows => Err(Error::Invalid(format!(
            "there is no row {row}, the data has {rows}"
        ))),
        _ => Ok(()),
    }
}

/// All rows, standardised by what the training rows say.
fn prepare<E: Engine>(
    e: &mut E,
    data: &Data<E::Value>,
    train_rows: &[usize],
) -> Result<(Data<E::Value>, Known<E::Value>)> {
    let mut g = Graph::new();
    let x = g.input(&e.shape(&data.x));
    let rows = g.gather(x, 0, train_rows)?;
    let weights = match &data.weights {
        Some(w) => {
            let w = g.input(&e.shape(w));
            Some(g.gather(w, 0, train_rows)?)
        }
        None => None,
    };
    let statistics = Statistics::of(&mut g, rows, weights)?;
    let x = statistics.standardise(&mut g, x)?;
    let always = [x, statistics.mean, statistics.inverse_deviation];
    always
        .into_iter()
        .chain(statistics.rows.inverse_weight)
        .for_each(|y| g.output(y));
    let inputs: Vec<E::Value> = [&data.x]
        .into_iter()
        .chain(&data.weights)
        .cloned()
        .collect();
    let mut results = run(&g, e, &inputs)?;
    let inverse_weight = results.drain(3..).next();
    let [x, mean, inverse_deviation] = exactly(results)?;
    let data = Data {
        x,
        y: data.y.clone(),
        weights: data.weights.clone(),
    };
    Ok((
        data,
        Known {
            mean,
            inverse_deviation,
            inverse_weight,
        },
    ))
}

/// The rows at public positions: features, labels and, if there are any, weights.
fn gather<E: Engine>(e: &mut E, data: &Data<E::Value>, rows: &[usize]) -> Result<Vec<E::Value>> {
    let layout = Layout::Gather {
        axis: 0,
        index: rows.to_vec(),
    };
    [&data.x, &data.y]
        .into_iter()
        .chain(&data.weights)
        .map(|v| e.layout(&layout, v))
        .collect()
}

/// One step of gradient descent: inputs x, y, weights (if weighted), parameters, velocity; outputs the next parameters, the
/// next velocity and, if the job shows it, the summed loss of the batch.
fn step_graph(spec: &TrainSpec, batch: usize, weighted: bool) -> Result<Graph> {
    let mlp = Mlp::of(spec);
    let mut g = Graph::new();
    let x = g.input(&[batch, spec.features]);
    let y = g.input(&spec.label_shape(batch));
    let weights = weighted.then(|| g.input(&[batch, 1]));
    let parameters = g.input(&[mlp.parameters()]);
    let velocity = g.input(&[mlp.parameters()]);

    let layers = mlp.unpack(&mut g, parameters)?;
    let logits = mlp.logits(&mut g, x, &layers)?;
    let losses = mlp.loss(&mut g, logits, y)?;
    let losses = weights.map_or(Ok(losses), |w| g.mul(losses, w))?;
    let sum = g.sum(losses, 0)?;
    let mean = g.scale(sum, 1.0 / batch as f64)?;
    let wrt: Vec<Edge> = layers
        .iter()
        .flat_map(|layer| [layer.weight, layer.bias])
        .collect();
    let gradient = gradients(&mut g, mean, &wrt)?;
    let gradient = mlp.pack(&mut g, &gradient)?;
    let sgd = Sgd {
        learning_rate: spec.learning_rate,
        momentum: spec.momentum,
    };
    let (parameters, velocity) = sgd.step(&mut g, parameters, velocity, gradient)?;
    g.output(parameters);
    g.output(velocity);
    if spec.epoch_loss {
        g.output(sum);
    }
    Ok(g)
}

/// The mean loss of the rows that count, from the sums of the batches.
fn epoch_loss<E: Engine>(
    e: &mut E,
    sums: &[E::Value],
    statistics: &Known<E::Value>,
    rows: usize,
) -> Result<E::Value> {
    let terms: Vec<(i64, &E::Value)> = sums.iter().map(|sum| (1, sum)).collect();
    let total = e.linear(&terms, 0.0)?;
    let mut g = Graph::new();
    let sum = g.input(&[1, 1]);
    let inverse_weight = statistics.inverse_weight.as_ref().map(|_| g.input(&[1, 1]));
    let mean = RowMean {
        rows,
        inverse_weight,
    }
    .of_sum(&mut g, sum)?;
    g.output(mean);
    let inputs: Vec<E::Value> = [total]
        .into_iter()
        .chain(statistics.inverse_weight.clone())
        .collect();
    let [mean] = exactly(run(&g, e, &inputs)?)?;
    Ok(mean)
}

/// The metrics that the job releases.
fn measure<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    data: &Data<E::Value>,
    test_rows: &[usize],
    parameters: &E::Value,
) -> Result<Vec<(String, E::Value)>> {
    let (mlp, n) = (Mlp::of(spec), test_rows.len());
    let mut g = Graph::new();
    let x = g.input(&[n, spec.features]);
    let y = g.input(&spec.label_shape(n));
    let weights = data.weights.as_ref().map(|_| g.input(&[n, 1]));
    let flat = g.input(&[mlp.parameters()]);
    let layers = mlp.unpack(&mut g, flat)?;
    let logits = mlp.logits(&mut g, x, &layers)?;
    let rows = RowMean::new(&mut g, n, weights)?;
    let accuracy = metrics::accuracy(&mut g, logits, y, weights, rows)?;
    g.output(accuracy);
    if spec.auc {
        let first = 0..n.min(metrics::MOST_AUC_ROWS);
        let weights = weights.map(|w| g.slice(w, 0, first.clone())).transpose()?;
        let (logits, y) = (g.slice(logits, 0, first.clone())?, g.slice(y, 0, first)?);
        let auc = metrics::auc(&mut g, logits, y, weights)?;
        g.output(auc);
    }
    let mut inputs = gather(e, data, test_rows)?;
    inputs.push(parameters.clone());
    Ok(released_shapes(spec)
        .1
        .into_iter()
        .zip(run(&g, e, &inputs)?)
        .collect())
}

/// The model on features as they came: W' = diag(1/σ)·W and b' = b - (µ/σ)·W in the first layer.
fn fold<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    statistics: Known<E::Value>,
    parameters: E::Value,
) -> Result<Vec<(String, E::Value)>> {
    let mlp = Mlp::of(spec);
    let mut g = Graph::new();
    let flat = g.input(&[mlp.parameters()]);
    let mean = g.input(&[1, spec.features]);
    let inverse_deviation = g.input(&[1, spec.features]);
    let mut layers = mlp.unpack(&mut g, flat)?;
    if let Some(first) = layers.first_mut() {
        let factors = g.transpose(inverse_deviation)?;
        first.weight = g.mul(first.weight, factors)?;
        let shift = g.matmul(mean, first.weight)?;
        first.bias = g.sub(first.bias, shift)?;
    }
    for layer in layers {
        g.output(layer.weight);
        g.output(layer.bias);
    }
    let tensors = run(
        &g,
        e,
        &[parameters, statistics.mean, statistics.inverse_deviation],
    )?;
    Ok(released_shapes(spec)
        .0
        .into_iter()
        .map(|(name, _)| name)
        .zip(tensors)
        .collect())
}

/// The results of a graph whose number is known.
fn exactly<V, const N: usize>(results: Vec<V>) -> Result<[V; N]> {
    let found = results.len();
    results
        .try_into()
        .map_err(|_| Error::Invalid(format!("a graph gave {found} values, {N} were expected")))
}
