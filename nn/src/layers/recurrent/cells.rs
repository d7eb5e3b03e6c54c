//! One step of each recurrence. What goes into a gate is a sum of products that is rounded once.

mod steps;

use super::{Activation, Kind, Recurrent, Weights, invalid};
use crate::{Edge, Graph, Result};

/// A recurrence with its weights in place.
pub(super) struct Cell<'a> {
    how: &'a Recurrent,
    pub(super) hidden: usize,
    /// Units of the state, and the weights that lead from input and state to some gates.
    gates: Vec<Gates>,
    /// i, o, f \[directions, 1, hidden\].
    peepholes: Option<[Edge; 3]>,
}

/// The way from input and state into neighbouring gates.
#[derive(Clone, Copy)]
struct Gates {
    /// \[directions, inputs, columns\].
    w: Edge,
    /// \[directions, hidden, columns\].
    r: Edge,
    /// \[directions, 1, columns\].
    bias: Option<Edge>,
}

impl<'a> Cell<'a> {
    /// The cell, and the length of each sequence.
    pub(super) fn new(
        g: &mut Graph,
        x: Edge,
        weights: &Weights,
        how: &'a Recurrent,
    ) -> Result<(Self, Vec<usize>)> {
        let shape = g.shape(x)?.to_vec();
        let &[length, batch, inputs] = &shape[..] else {
            return Err(invalid(format!(
                "a sequence is [length, batch, inputs], not {shape:?}"
            )));
        };
        let (d, n) = (how.reverse.len(), how.kind.gates());
        let hidden = g.shape(weights.r)?.last().copied().unwrap_or(0);
        let fits = |what: &str, x: Option<Edge>, want: &[usize]| match x {
            Some(x) if g.shape(x)? != want => Err(invalid(format!(
                "{what} of the recurrent layer must be {want:?}, not {:?}",
                g.shape(x)?
            ))),
            _ => Ok(()),
        };
        fits(
            "the input weights",
            Some(weights.w),
            &[d, n * hidden, inputs],
        )?;
        fits(
            "the recurrent weights",
            Some(weights.r),
            &[d, n * hidden, hidden],
        )?;
        fits("the bias", weights.bias, &[d, 2 * n * hidden])?;
        fits("the first state", weights.h, &[d, batch, hidden])?;
        fits("the first cell", weights.c, &[d, batch, hidden])?;
        fits("the peepholes", weights.peepholes, &[d, 3 * hidden])?;
        let lengths = how.lengths.clone().unwrap_or_else(|| vec![length; batch]);
        if lengths.len() != batch || lengths.iter().any(|&n| n > length) || d == 0 || hidden == 0 {
            return Err(invalid(format!(
                "{lengths:?} are no lengths of {batch} sequences of up to {length} steps"
            )));
        }
        if how.activations.len() != d * how.kind.activations().len() {
            return Err(invalid(format!(
                "{} activations are named for {d} directions of {:?}",
                how.activations.len(),
                how.kind
            )));
        }
        let mut cell = Self {
            how,
            hidden,
            gates: Vec::new(),
            peepholes: None,
        };
        let (w, r) = (g.swap_last(weights.w)?, g.swap_last(weights.r)?);
        let bias = match weights.bias {
            None => None,
            Some(b) => {
                let b = g.reshape(b, &[d, 1, 2 * n * hidden])?;
                let (input, state) = (
                    g.slice(b, 2, 0..n * hidden)?,
                    g.slice(b, 2, n * hidden..2 * n * hidden)?,
                );
                Some((input, state))
            }
        };
        cell.place(g, w, r, bias, inputs)?;
        if let (Kind::Lstm { .. }, Some(p)) = (how.kind, weights.peepholes) {
            let p = g.reshape(p, &[d, 1, 3 * hidden])?;
            let mut part = |k: usize| g.slice(p, 2, k * hidden..(k + 1) * hidden);
            cell.peepholes = Some([part(0)?, part(1)?, part(2)?]);
        }
        Ok((cell, lengths))
    }

    /// Puts the gates together that are computed together.
    fn place(
        &mut self,
        g: &mut Graph,
        w: Edge,
        r: Edge,
        bias: Option<(Edge, Edge)>,
        inputs: usize,
    ) -> Result<()> {
        let d = self.how.reverse.len();
        let hidden = self.hidden;
        let both = match bias {
            Some((input, state)) => Some(g.add(input, state)?),
            None => None,
        };
        let mut part = |from: usize, to: usize| {
            let columns = from * hidden..to * hidden;
            Ok(Gates {
                w: g.slice(w, 2, columns.clone())?,
                r: g.slice(r, 2, columns.clone())?,
                bias: both.map(|b| g.slice(b, 2, columns.clone())).transpose()?,
            })
        };
        self.gates = match self.how.kind {
            Kind::Gru {
                linear_before_reset: false,
            } => vec![part(0, 2)?, part(2, 3)?],
            Kind::Lstm { .. } => vec![
                Gates { w, r, bias: both },
                part(0, 1)?,
                part(1, 2)?,
                part(2, 3)?,
                part(3, 4)?,
            ],
            Kind::Gru {
                linear_before_reset: true,
            } => {
                let (zr, h) = (part(0, 2)?, part(2, 3)?);
                // Of the third gate only what the state gives, in one product with the others.
                let none = g.fill(&[d, inputs, hidden], 0.0);
                let all = Gates {
                    w: g.concat(2, &[zr.w, none])?,
                    r,
                    bias: match (zr.bias, bias) {
                        (Some(zr), Some((_, state))) => {
                            let own = g.slice(state, 2, 2 * hidden..3 * hidden)?;
                            Some(g.concat(2, &[zr, own])?)
                        }
                        _ => None,
                    },
                };
                let input = match bias {
                    Some((input, _)) => Some(g.slice(input, 2, 2 * hidden..3 * hidden)?),
                    None => None,
                };
                vec![all, Gates { bias: input, ..h }]
            }
            Kind::Rnn => vec![Gates { w, r, bias: both }],
        };
        Ok(())
    }

    /// What the cell adds to a gate through its peephole.
    fn peek(&self, g: &mut Graph, which: usize, c: Option<Edge>) -> Result<Option<Edge>> {
        match (self.peepholes, c) {
            (Some(p), Some(c)) => Ok(Some(g.mul(p[which], c)?)),
            _ => Ok(None),
        }
    }

    /// x·W + h·R + more + bias.
    fn sum(
        &self,
        g: &mut Graph,
        gates: Gates,
        x: Edge,
        h: Option<Edge>,
        more: Option<Edge>,
    ) -> Result<Edge> {
        let mut terms = vec![(1, g.matmul(x, gates.w)?)];
        if let Some(h) = h {
            terms.push((1, g.matmul(h, gates.r)?));
        }
        terms.extend(more.map(|more| (1, more)));
        terms.extend(gates.bias.map(|bias| (1, bias)));
        match terms[..] {
            [(_, only)] => Ok(only),
            _ => g.linear(&terms, 0.0),
        }
    }

    /// The same, cut to where activations take it.
    fn into(
        &self,
        g: &mut Graph,
        gates: Gates,
        x: Edge,
        h: Option<Edge>,
        more: Option<Edge>,
    ) -> Result<Edge> {
        let z = self.sum(g, gates, x, h, more)?;
        self.clipped(g, z)
    }

    fn clipped(&self, g: &mut Graph, z: Edge) -> Result<Edge> {
        match self.how.clip {
            Some(c) => g.clip(z, Some(-c), Some(c)),
            None => Ok(z),
        }
    }

    /// The k-th activation of each direction.
    fn activate(&self, g: &mut Graph, k: usize, x: Edge) -> Result<Edge> {
        let each = self.how.kind.activations().len();
        let of: Vec<Activation> = (0..self.how.reverse.len())
            .map(|d| self.how.activations[d * each + k])
            .collect();
        if of.windows(2).all(|w| w[0] == w[1]) {
            return of[0].apply(g, x);
        }
        let parts = of
            .iter()
            .enumerate()
            .map(|(d, f)| {
                let part = g.slice(x, 0, d..d + 1)?;
                f.apply(g, part)
            })
            .collect::<Result<Vec<_>>>()?;
        g.concat(0, &parts)
    }

    /// The first activation of one tensor and the second of another: a sigmoid and a tangent are one function call, as
    /// tanh(x) = 2·sigmoid(2x) - 1, and so cost the rounds of one.
    fn both(&self, g: &mut Graph, x: Edge, y: Edge) -> Result<(Edge, Edge)> {
        let plain = self.how.activations.chunks(3);
        let usual = |a: &[Activation]| a[..2] == [Activation::Sigmoid, Activation::Tanh];
        if !plain.into_iter().all(usual) {
            return Ok((self.activate(g, 0, x)?, self.activate(g, 1, y)?));
        }
        let (left, right) = (g.shape(x)?[2], g.shape(y)?[2]);
        let twice = g.linear(&[(2, y)], 0.0)?;
        let all = g.concat(2, &[x, twice])?;
        let all = g.sigmoid(all)?;
        let x = g.slice(all, 2, 0..left)?;
        let y = g.slice(all, 2, left..left + right)?;
        Ok((x, g.linear(&[(2, y)], -1.0)?))
    }
}
