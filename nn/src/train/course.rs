//! Descending: one graph a batch size, run for every step.

use std::collections::{BTreeMap, btree_map::Entry};

use ndarray::{ArrayD, IxDyn};

use super::{Data, EpochObserver, Recipe, Split, stages};
use crate::{
    Engine, Graph, Result, gradients,
    network::{Mask, Network, Parameter, Pass, flat, pack, unpack},
    optimizer::{self, Step},
    random::Stream,
    run,
};

/// A network after its training, on the engine.
pub(super) struct Trained<V> {
    /// All parameters in one vector.
    pub(super) parameters: V,
    /// The state, tensor by tensor.
    pub(super) state: Vec<V>,
}

/// A step for one batch size.
struct StepGraph {
    graph: Graph,
    masks: Vec<Mask>,
}

/// Takes all steps of all epochs. `inverse_weight` is that of [`crate::mean::RowMean`] for the training rows.
pub(super) fn descend<E: Engine>(
    e: &mut E,
    network: &dyn Network,
    recipe: &Recipe,
    data: &Data<E::Value>,
    inverse_weight: Option<E::Value>,
    split: &Split,
    observer: &mut EpochObserver<'_, E>,
) -> Result<Trained<E::Value>> {
    let (tensors, held) = (network.parameters()?, network.state()?);
    let start = flat(&tensors);
    let mut carried = vec![e.public(&optimizer::master(&start))?];
    for _ in 0..recipe.optimizer.slots() {
        carried.push(e.public(&ArrayD::zeros(start.raw_dim()))?);
    }
    for tensor in &held {
        carried.push(e.public(&tensor.value)?);
    }
    // One graph for full batches and one for the rest.
    let mut graphs: BTreeMap<usize, StepGraph> = BTreeMap::new();
    let mut steps = 0;

    for epoch in 1..=recipe.epochs {
        let mut losses: Vec<E::Value> = Vec::new();
        for rows in split.order(epoch).chunks(recipe.batch) {
            let mut inputs = stages::gather(e, data, rows)?;
            let step = match graphs.entry(rows.len()) {
                Entry::Occupied(built) => built.into_mut(),
                Entry::Vacant(slot) => {
                    let shapes: Vec<_> = inputs.iter().map(|x| e.shape(x)).collect();
                    slot.insert(step_graph(network, recipe, &tensors, &held, &shapes)?)
                }
            };
            let clock = recipe.clock(steps, split.train.len());
            let many = carried.len();
            inputs.append(&mut carried);
            for factor in recipe.optimizer.factors(clock)? {
                inputs.push(e.public(&ArrayD::from_elem(IxDyn(&[1]), factor))?);
            }
            let mut drawn = Stream::new(&recipe.seed, &format!("masks of step {steps}"));
            for mask in &step.masks {
                inputs.push(e.public(&draw(&mut drawn, mask))?);
            }
            carried = run(&step.graph, e, &inputs)?;
            losses.extend(carried.drain(many..));
            steps += 1;
        }
        let loss = if recipe.epoch_loss {
            let rows = split.train.len();
            Some(stages::epoch_loss(
                e,
                &losses,
                inverse_weight.clone(),
                rows,
            )?)
        } else {
            None
        };
        observer(e, epoch, loss.as_ref())?;
    }
    let state = carried.split_off(1 + recipe.optimizer.slots());
    let mut g = Graph::new();
    let master = g.input(&[start.len()]);
    let parameters = optimizer::parameters(&mut g, master)?;
    g.output(parameters);
    let [parameters] = stages::exactly(run(&g, e, &carried[..1])?)?;
    Ok(Trained { parameters, state })
}

/// One step. Inputs: features, labels and weights (if there are any) in these shapes, the parameters, what the optimizer
/// remembers, the state, the factors of the step and the masks. Outputs: parameters, memory and state, and, if the recipe
/// shows it, the summed loss of the batch.
fn step_graph(
    network: &dyn Network,
    recipe: &Recipe,
    tensors: &[Parameter],
    held: &[Parameter],
    rows: &[Vec<usize>],
) -> Result<StepGraph> {
    let optimizer = &recipe.optimizer;
    let mut g = Graph::new();
    let rows: Vec<_> = rows.iter().map(|shape| g.input(shape)).collect();
    let (x, y, weights) = (rows[0], rows[1], rows.get(2).copied());
    let batch = g.shape(x)?[0];
    let n = flat(tensors).len();
    let master = g.input(&[n]);
    let slots: Vec<_> = (0..optimizer.slots()).map(|_| g.input(&[n])).collect();
    let state: Vec<_> = held.iter().map(|t| g.input(t.value.shape())).collect();
    let count = optimizer.factors(recipe.clock(0, batch))?.len();
    let factors: Vec<_> = (0..count).map(|_| g.input(&[1])).collect();

    let parameters = optimizer::parameters(&mut g, master)?;
    let parameters = unpack(&mut g, tensors, parameters)?;
    let applied = network.apply(
        &mut g,
        &Pass {
            x,
            parameters: &parameters,
            state: &state,
            training: true,
        },
    )?;
    g.set_origin("loss");
    let losses = recipe.loss.of_rows(&mut g, applied.outputs, y)?;
    let losses = weights.map_or(Ok(losses), |w| g.mul(losses, w))?;
    let sum = g.sum(losses, 0)?;
    let scaled = g.scale(sum, optimizer.loss_scale() / batch as f64)?;
    let gradient = gradients(&mut g, scaled, &parameters)?;
    let gradient = pack(&mut g, tensors, &gradient)?;
    let step = Step {
        master,
        slots: &slots,
        factors: &factors,
    };
    let (master, slots) = optimizer.step(&mut g, &step, gradient)?;
    g.output(master);
    slots
        .into_iter()
        .chain(applied.state)
        .for_each(|x| g.output(x));
    if recipe.epoch_loss {
        g.output(sum);
    }
    Ok(StepGraph {
        graph: g,
        masks: applied.masks,
    })
}

/// Zeros and ones.
fn draw(stream: &mut Stream, mask: &Mask) -> ArrayD<f64> {
    ArrayD::from_shape_simple_fn(IxDyn(&mask.shape), || {
        f64::from(u8::from((stream.symmetric() + 1.0) / 2.0 < mask.keep))
    })
}
