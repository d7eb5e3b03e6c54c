//! Recurrent layers: RNN, GRU and LSTM, unrolled. Both directions advance together, and a sequence that has ended takes no
//! further part, so that a step costs what its live sequences need.

mod activation;
mod cells;

pub use activation::Activation;

use cells::Cell;

use super::invalid;
use crate::{Edge, Graph, Result};

/// The recurrence. Gates are ordered as in ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// h = f(x·W + h·R + b).
    Rnn,
    /// Gates z, r, h (Cho et al., arXiv 1406.1078).
    Gru {
        /// Whether the reset gate acts after the recurrent product instead of before it.
        linear_before_reset: bool,
    },
    /// Gates i, o, f, c (Hochreiter and Schmidhuber 1997).
    Lstm {
        /// Whether the forget gate is one minus the input gate.
        input_forget: bool,
    },
}

impl Kind {
    /// Gates of a cell.
    #[must_use]
    pub fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }

    /// The activations where none are named.
    #[must_use]
    pub fn activations(self) -> &'static [Activation] {
        use Activation::{Sigmoid, Tanh};
        match self {
            Self::Rnn => &[Tanh],
            Self::Gru { .. } => &[Sigmoid, Tanh],
            Self::Lstm { .. } => &[Sigmoid, Tanh, Tanh],
        }
    }
}

/// Public parameters of a recurrent layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// The recurrence.
    pub kind: Kind,
    /// For each direction whether it goes from the end of a sequence to its beginning; one or two.
    pub reverse: Vec<bool>,
    /// As many a direction as [`Kind::activations`] has.
    pub activations: Vec<Activation>,
    /// What goes into an activation is cut to this magnitude.
    pub clip: Option<f64>,
    /// The length of each sequence, if not all are as long as the tensor.
    pub lengths: Option<Vec<usize>>,
}

/// The tensors of a recurrent layer, with the axes that ONNX gives them.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// \[directions, gates·hidden, inputs\].
    pub w: Edge,
    /// \[directions, gates·hidden, hidden\].
    pub r: Edge,
    /// \[directions, 2·gates·hidden\]: for the input, then for the state.
    pub bias: Option<Edge>,
    /// The first state \[directions, batch, hidden\]; zero if not given.
    pub h: Option<Edge>,
    /// The first cell of an LSTM.
    pub c: Option<Edge>,
    /// Peepholes i, o, f of an LSTM \[directions, 3·hidden\].
    pub peepholes: Option<Edge>,
}

/// What a recurrent layer gives.
#[derive(Clone, Copy, Debug)]
pub struct States {
    /// The state after every step \[length, directions, batch, hidden\]; 0 after the end of a sequence.
    pub y: Edge,
    /// The last state \[directions, batch, hidden\].
    pub h: Edge,
    /// The last cell of an LSTM.
    pub c: Option<Edge>,
}

/// The state of a cell; nothing stands for zero.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    h: Option<Edge>,
    c: Option<Edge>,
}

/// Runs the layer over `x` \[length, batch, inputs\].
///
/// # Errors
/// Shapes that do not fit.
pub fn recurrent(g: &mut Graph, x: Edge, weights: &Weights, how: &Recurrent) -> Result<States> {
    let (cell, lengths) = Cell::new(g, x, weights, how)?;
    let shape = g.shape(x)?.to_vec();
    let (length, batch, inputs) = (shape[0], shape[1], shape[2]);
    let (directions, hidden) = (how.reverse.len(), cell.hidden);
    let rows = g.reshape(x, &[length * batch, inputs])?;
    let mut state = State {
        h: weights.h,
        c: weights.c,
    };
    // The states of all steps one below the other, and where those of a step begin.
    let mut outputs = Vec::new();
    let mut starts = Vec::new();
    let mut height = 0;
    for step in 0..lengths.iter().copied().max().unwrap_or(0) {
        let live: Vec<usize> = (0..batch).filter(|&b| lengths[b] > step).collect();
        let at = |reverse: bool, b: usize| {
            let time = if reverse { lengths[b] - 1 - step } else { step };
            time * batch + b
        };
        let index: Vec<usize> = how
            .reverse
            .iter()
            .flat_map(|&reverse| live.iter().map(move |&b| at(reverse, b)))
            .collect();
        let now = g.gather(rows, 0, &index)?;
        let now = g.reshape(now, &[directions, live.len(), inputs])?;
        let before = State {
            h: taken(g, state.h, &live, batch)?,
            c: taken(g, state.c, &live, batch)?,
        };
        let after = cell.step(g, now, before)?;
        if let Some(h) = after.h {
            outputs.push(g.reshape(h, &[directions * live.len(), hidden])?);
        }
        starts.push(height);
        height += directions * live.len();
        let full = [directions, batch, hidden];
        state = State {
            h: put_back(g, state.h, after.h, &live, &full)?,
            c: put_back(g, state.c, after.c, &live, &full)?,
        };
    }
    // One more row of zeros for what comes after the end of a sequence.
    outputs.push(g.fill(&[1, hidden], 0.0));
    let all = g.concat(0, &outputs)?;
    let mut index = Vec::with_capacity(length * directions * batch);
    for time in 0..length {
        for (d, &reverse) in how.reverse.iter().enumerate() {
            for b in 0..batch {
                index.push(if time < lengths[b] {
                    let step = if reverse { lengths[b] - 1 - time } else { time };
                    let live = |b: &usize| lengths[*b] > step;
                    let (all, before) = ((0..batch).filter(live), (0..b).filter(live));
                    starts[step] + d * all.count() + before.count()
                } else {
                    height
                });
            }
        }
    }
    let y = g.gather(all, 0, &index)?;
    let zero = |g: &mut Graph| g.fill(&[directions, batch, hidden], 0.0);
    let h = state.h.unwrap_or_else(|| zero(g));
    let c = match how.kind {
        Kind::Lstm { .. } => Some(state.c.unwrap_or_else(|| zero(g))),
        _ => None,
    };
    Ok(States {
        y: g.reshape(y, &[length, directions, batch, hidden])?,
        h,
        c,
    })
}

/// The live sequences of a state.
fn taken(g: &mut Graph, x: Option<Edge>, live: &[usize], batch: usize) -> Result<Option<Edge>> {
    match x {
        Some(x) if live.len() < batch => Ok(Some(g.gather(x, 1, live)?)),
        x => Ok(x),
    }
}

/// The state of a whole batch, of which the live sequences have gone on.
fn put_back(
    g: &mut Graph,
    old: Option<Edge>,
    new: Option<Edge>,
    live: &[usize],
    full: &[usize],
) -> Result<Option<Edge>> {
    let batch = full[1];
    let Some(new) = new else { return Ok(old) };
    if live.len() == batch {
        return Ok(Some(new));
    }
    let old = old.unwrap_or_else(|| g.fill(full, 0.0));
    let both = g.concat(1, &[old, new])?;
    let index: Vec<usize> = (0..batch)
        .map(|b| live.binary_search(&b).map_or(b, |k| batch + k))
        .collect();
    Ok(Some(g.gather(both, 1, &index)?))
}

#[cfg(test)]
mod tests;
