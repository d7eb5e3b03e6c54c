//! Training on any engine: prepare the rows, descend, measure, and hand out what was trained.

mod course;
mod stages;
#[cfg(test)]
mod tests;

pub use crate::spec::{Recipe, Split, TrainSpec, released_shapes, released_shapes_of};
use crate::{Engine, Error, Result, model::Mlp, network::Network};

/// The rows of all contributors.
#[derive(Clone, Debug)]
pub struct Data<V> {
    /// Features, \[rows, features\]; for a perceptron in [-1, 1].
    pub x: V,
    /// Labels: 0 or 1, \[rows, 1\], or one-hot, \[rows, classes\], for more than two classes. Numbers \[rows, outputs\]
    /// where the loss is one of numbers.
    pub y: V,
    /// 1 for a row that counts and 0 for padding, \[rows, 1\]; `None` where every row counts.
    pub weights: Option<V>,
}

/// What a training gives out, still on the engine. Shapes and order are those of [`released_shapes`].
#[derive(Clone, Debug)]
pub struct Released<V> {
    /// Names and tensors of the model.
    pub model: Vec<(String, V)>,
    /// Names and values of the metrics on the held-out rows.
    pub metrics: Vec<(String, V)>,
}

/// Called after every epoch with its number, from 1 on, and the mean training loss during it, if the recipe shows that; it
/// may stop the training by an error.
pub type EpochObserver<'o, E> =
    dyn FnMut(&mut E, usize, Option<&<E as Engine>::Value>) -> Result<()> + 'o;

/// Trains a multilayer perceptron on the training rows of `split` and measures it on those held out.
///
/// Features are standardised; their statistics are folded into the first layer before anything is released, so that the
/// model takes features in [-1, 1] as they came.
///
/// # Errors
/// A specification or data that do not fit, and whatever the engine or the observer reports.
pub fn train<E: Engine>(
    e: &mut E,
    spec: &TrainSpec,
    data: &Data<E::Value>,
    split: &Split,
    observer: &mut EpochObserver<'_, E>,
) -> Result<Released<E::Value>> {
    spec.validate()?;
    let rows = e.shape(&data.x).first().copied().unwrap_or_default();
    fits(e, &data.x, &[rows, spec.features])?;
    fits(e, &data.y, &spec.label_shape(rows))?;
    check_rows(e, data, split)?;
    let (data, inverse_weight, statistics) = stages::standardise(e, data, &split.train)?;
    let mlp = Mlp::of(spec);
    let trained = course::descend(
        e,
        &mlp,
        &spec.recipe,
        &data,
        inverse_weight,
        split,
        observer,
    )?;
    let metrics = stages::measure(e, &mlp, &spec.recipe, &data, &split.test, &trained)?;
    let model = stages::fold(e, spec, statistics, trained.parameters)?;
    Ok(Released { model, metrics })
}

/// Trains any network on the training rows of `split`, features as they are, and measures it on those held out. The model
/// that is released is its parameters and its state.
///
/// # Errors
/// As for [`train`]. A network with running statistics does not train on padded rows, which would count in them.
pub fn train_network<E: Engine>(
    e: &mut E,
    network: &dyn Network,
    recipe: &Recipe,
    data: &Data<E::Value>,
    split: &Split,
    observer: &mut EpochObserver<'_, E>,
) -> Result<Released<E::Value>> {
    recipe.validate()?;
    check_rows(e, data, split)?;
    if data.weights.is_some() && !network.state()?.is_empty() {
        return Err(Error::Invalid(
            "statistics over a batch would count padded rows: train this network without padding"
                .into(),
        ));
    }
    let (data, inverse_weight) = stages::mask(e, data, &split.train)?;
    let trained = course::descend(e, network, recipe, &data, inverse_weight, split, observer)?;
    let metrics = stages::measure(e, network, recipe, &data, &split.test, &trained)?;
    let model = stages::tensors(e, network, trained)?;
    Ok(Released { model, metrics })
}

fn fits<E: Engine>(e: &E, x: &E::Value, wanted: &[usize]) -> Result<()> {
    let left = e.shape(x);
    if left == wanted {
        return Ok(());
    }
    Err(Error::Shape {
        op: "training data",
        left,
        right: wanted.to_vec(),
    })
}

/// Labels and weights for every row of features, and a split of these rows.
fn check_rows<E: Engine>(e: &E, data: &Data<E::Value>, split: &Split) -> Result<()> {
    let rows = e.shape(&data.x).first().copied().unwrap_or_default();
    let columns = e.shape(&data.y).get(1).copied().unwrap_or_default();
    fits(e, &data.y, &[rows, columns])?;
    if let Some(weights) = &data.weights {
        fits(e, weights, &[rows, 1])?;
    }
    let Split { train, test, .. } = split;
    match (
        train.iter().chain(test).max(),
        train.is_empty() || test.is_empty(),
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
