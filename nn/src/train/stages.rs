//! The graphs of a training, in the order in which they run: prepare, step, loss of an epoch, measure, fold.

use crate::{
    Data, Engine, Error, Graph, Layout, Result, TrainSpec, gradients, mean::RowMean, metrics,
    model::Mlp, optimizer::Sgd, released_shapes, run, standardise::Statistics,
};

/// Statistics of the training rows, on the engine.
pub(super) struct Known<V> {
    mean: V,
    inverse_deviation: V,
    inverse_weight: Option<V>,
}

/// All rows, standardised by what the training rows say. Padding becomes 0, whatever its sender put there and however
/// small the deviations are, so that no logit of it leaves the range of a table.
pub(super) fn prepare<E: Engine>(
    e: &mut E,
    data: &Data<E::Value>,
    train_rows: &[usize],
) -> Result<(Data<E::Value>, Known<E::Value>)> {
    let mut g = Graph::new();
    let x = g.input(&e.shape(&data.x));
    let rows = g.gather(x, 0, train_rows)?;
    let weights = data.weights.as_ref().map(|w| g.input(&e.shape(w)));
    let train_weights = weights.map(|w| g.gather(w, 0, train_rows)).transpose()?;
    let statistics = Statistics::of(&mut g, rows, train_weights)?;
    let x = statistics.standardise(&mut g, x)?;
    let x = weights.map_or(Ok(x), |w| g.mul(x, w))?;
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
pub(super) fn gather<E: Engine>(
    e: &mut E,
    data: &Data<E::Value>,
    rows: &[usize],
) -> Result<Vec<E::Value>> {
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
pub(super) fn step_graph(spec: &TrainSpec, batch: usize, weighted: bool) -> Result<Graph> {
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
    let gradient = gradients(&mut g, mean, &layers)?;
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
pub(super) fn epoch_loss<E: Engine>(
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
pub(super) fn measure<E: Engine>(
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
pub(super) fn fold<E: Engine>(
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
    for (k, layer) in mlp.unpack(&mut g, flat)?.into_iter().enumerate() {
        let inputs = g.shape(layer)?[0] - 1;
        let mut weight = g.slice(layer, 0, 0..inputs)?;
        let mut bias = g.slice(layer, 0, inputs..inputs + 1)?;
        if k == 0 {
            let factors = g.transpose(inverse_deviation)?;
            weight = g.mul(weight, factors)?;
            let shift = g.matmul(mean, weight)?;
            bias = g.sub(bias, shift)?;
        }
        g.output(weight);
        g.output(bias);
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
pub(super) fn exactly<V, const N: usize>(results: Vec<V>) -> Result<[V; N]> {
    let found = results.len();
    results
        .try_into()
        .map_err(|_| Error::Invalid(format!("a graph gave {found} values, {N} were expected")))
}
