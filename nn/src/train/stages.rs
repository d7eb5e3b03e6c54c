//! What runs before and after the steps of a training: prepare, loss of an epoch, measure, fold.

use super::{Data, Recipe, TrainSpec, course::Trained};
use crate::{
    Edge, Engine, Error, Graph, Layout, Result,
    mean::RowMean,
    metrics::{self, Metric},
    model::Mlp,
    network::{Network, Pass, unpack},
    released_shapes, run,
    standardise::Statistics,
};

/// Values of one pass over held-out rows, at most, to bound memory.
const MOST_VALUES: usize = 1 << 25;

/// Statistics of the training rows, on the engine.
pub(super) struct Known<V> {
    mean: V,
    inverse_deviation: V,
}

/// All rows, standardised by what the training rows say. Padding becomes 0, whatever its sender put there and however
/// small the deviations are, so that no logit of it leaves the range of a table. Also gives what
/// [`RowMean`] needs for the training rows.
pub(super) fn standardise<E: Engine>(
    e: &mut E,
    data: &Data<E::Value>,
    train_rows: &[usize],
) -> Result<(Data<E::Value>, Option<E::Value>, Known<E::Value>)> {
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
    let mut results = run(&g, e, &features_and_weights(data))?;
    let inverse_weight = results.drain(3..).next();
    let [x, mean, inverse_deviation] = exactly(results)?;
    let known = Known {
        mean,
        inverse_deviation,
    };
    Ok((Data { x, ..data.clone() }, inverse_weight, known))
}

/// All rows as they are, padding as 0, and what [`RowMean`] needs for the training rows.
pub(super) fn mask<E: Engine>(
    e: &mut E,
    data: &Data<E::Value>,
    train_rows: &[usize],
) -> Result<(Data<E::Value>, Option<E::Value>)> {
    let Some(weights) = &data.weights else {
        return Ok((data.clone(), None));
    };
    let mut g = Graph::new();
    let x = g.input(&e.shape(&data.x));
    let weights = g.input(&e.shape(weights));
    let x = g.mul(x, weights)?;
    let train_weights = g.gather(weights, 0, train_rows)?;
    let rows = RowMean::new(&mut g, train_rows.len(), Some(train_weights))?;
    [x].into_iter()
        .chain(rows.inverse_weight)
        .for_each(|y| g.output(y));
    let [x, inverse_weight] = exactly(run(&g, e, &features_and_weights(data))?)?;
    Ok((Data { x, ..data.clone() }, Some(inverse_weight)))
}

fn features_and_weights<V: Clone>(data: &Data<V>) -> Vec<V> {
    let inputs = [&data.x].into_iter().chain(&data.weights);
    inputs.cloned().collect()
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

/// The mean loss of the rows that count, from the sums of the batches.
pub(super) fn epoch_loss<E: Engine>(
    e: &mut E,
    sums: &[E::Value],
    inverse_weight: Option<E::Value>,
    rows: usize,
) -> Result<E::Value> {
    let terms: Vec<(i64, &E::Value)> = sums.iter().map(|sum| (1, sum)).collect();
    let total = e.linear(&terms, 0.0)?;
    let mut g = Graph::new();
    let sum = g.input(&[1, 1]);
    let mean = RowMean {
        rows,
        inverse_weight: inverse_weight.as_ref().map(|_| g.input(&[1, 1])),
    }
    .of_sum(&mut g, sum)?;
    g.output(mean);
    let inputs: Vec<E::Value> = [total].into_iter().chain(inverse_weight).collect();
    let [mean] = exactly(run(&g, e, &inputs)?)?;
    Ok(mean)
}

/// The metrics that the recipe asks for.
pub(super) fn measure<E: Engine>(
    e: &mut E,
    network: &dyn Network,
    recipe: &Recipe,
    data: &Data<E::Value>,
    test_rows: &[usize],
    trained: &Trained<E::Value>,
) -> Result<Vec<(String, E::Value)>> {
    if recipe.metrics.is_empty() {
        return Ok(Vec::new());
    }
    let mut inputs = gather(e, data, test_rows)?;
    inputs[0] = outputs(e, network, &inputs[0], trained)?;
    let mut g = Graph::new();
    let edges: Vec<Edge> = inputs.iter().map(|x| g.input(&e.shape(x))).collect();
    let (z, y, weights) = (edges[0], edges[1], edges.get(2).copied());
    let n = test_rows.len();
    let rows = RowMean::new(&mut g, n, weights)?;
    for metric in &recipe.metrics {
        let value = match metric {
            Metric::Accuracy => metrics::accuracy(&mut g, z, y, weights, rows)?,
            Metric::Auc => {
                let first = 0..n.min(metrics::MOST_AUC_ROWS);
                let weights = weights.map(|w| g.slice(w, 0, first.clone())).transpose()?;
                let (z, y) = (g.slice(z, 0, first.clone())?, g.slice(y, 0, first)?);
                metrics::auc(&mut g, z, y, weights)?
            }
            Metric::Loss => {
                let losses = recipe.loss.of_rows(&mut g, z, y)?;
                metrics::mean(&mut g, losses, weights, rows)?
            }
            Metric::Rmse => metrics::rmse(&mut g, z, y, weights, rows)?,
        };
        g.output(value);
    }
    let names = recipe.metrics.iter().map(|metric| metric.name().into());
    Ok(names.zip(run(&g, e, &inputs)?).collect())
}

/// What the trained network says about rows of features, as many at a time as memory allows.
fn outputs<E: Engine>(
    e: &mut E,
    network: &dyn Network,
    x: &E::Value,
    trained: &Trained<E::Value>,
) -> Result<E::Value> {
    let shape = e.shape(x);
    let graph = |rows: usize| inference_graph(network, &[rows, shape[1]]);
    let values = |g: Graph| -> Result<usize> {
        let sizes = g.nodes.iter().map(|node| node.shape.iter().product());
        Ok(sizes.fold(0, |a: usize, b: usize| a.saturating_add(b)))
    };
    let each = values(graph(2)?)?.saturating_sub(values(graph(1)?)?).max(1);
    let at_once = (MOST_VALUES / each).clamp(1, shape[0].max(1));
    let mut parts = Vec::new();
    for start in (0..shape[0]).step_by(at_once) {
        let end = shape[0].min(start + at_once);
        let slice = Layout::Slice {
            axis: 0,
            start,
            end,
        };
        let mut inputs = vec![e.layout(&slice, x)?, trained.parameters.clone()];
        inputs.extend(trained.state.iter().cloned());
        let [part] = exactly(run(&graph(end - start)?, e, &inputs)?)?;
        parts.push(part);
    }
    e.concat(0, &parts.iter().collect::<Vec<_>>())
}

/// The network on rows of this shape. Inputs: the rows, the parameters in one vector, the state.
fn inference_graph(network: &dyn Network, rows: &[usize]) -> Result<Graph> {
    let (tensors, held) = (network.parameters()?, network.state()?);
    let mut g = Graph::new();
    let x = g.input(rows);
    let n = tensors.iter().map(|tensor| tensor.value.len()).sum();
    let parameters = g.input(&[n]);
    let state: Vec<_> = held.iter().map(|t| g.input(t.value.shape())).collect();
    let parameters = unpack(&mut g, &tensors, parameters)?;
    let pass = Pass {
        x,
        parameters: &parameters,
        state: &state,
        training: false,
    };
    let outputs = network.apply(&mut g, &pass)?.outputs;
    g.output(outputs);
    Ok(g)
}

/// Parameters and state by name.
pub(super) fn tensors<E: Engine>(
    e: &mut E,
    network: &dyn Network,
    trained: Trained<E::Value>,
) -> Result<Vec<(String, E::Value)>> {
    let tensors = network.parameters()?;
    let mut g = Graph::new();
    let flat = g.input(&e.shape(&trained.parameters));
    for tensor in unpack(&mut g, &tensors, flat)? {
        g.output(tensor);
    }
    let values = run(&g, e, &[trained.parameters])?;
    let named = tensors.into_iter().chain(network.state()?);
    Ok(named
        .map(|tensor| tensor.name)
        .zip(values.into_iter().chain(trained.state))
        .collect())
}

/// The perceptron on features as they came: W' = diag(1/σ)·W and b' = b - (µ/σ)·W in the first layer.
pub(super) fn fold<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    statistics: Known<E::Value>,
    parameters: E::Value,
) -> Result<Vec<(String, E::Value)>> {
    let tensors = Mlp::of(spec).parameters()?;
    let mut g = Graph::new();
    let flat = g.input(&e.shape(&parameters));
    let mean = g.input(&[1, spec.features]);
    let inverse_deviation = g.input(&[1, spec.features]);
    for (k, layer) in unpack(&mut g, &tensors, flat)?.into_iter().enumerate() {
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
    let inputs = [parameters, statistics.mean, statistics.inverse_deviation];
    let names = released_shapes(spec).0.into_iter().map(|(name, _)| name);
    Ok(names.zip(run(&g, e, &inputs)?).collect())
}

/// The results of a graph whose number is known.
pub(super) fn exactly<V, const N: usize>(results: Vec<V>) -> Result<[V; N]> {
    let found = results.len();
    results
        .try_into()
        .map_err(|_| Error::Invalid(format!("a graph gave {found} values, {N} were expected")))
}
