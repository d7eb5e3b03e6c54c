//! The recurrences themselves.

use super::super::{Kind, State};
use super::Cell;
use crate::{Edge, Graph, Result};

impl Cell<'_> {
    /// The state after one more step.
    pub(in crate::layers::recurrent) fn step(
        &self,
        g: &mut Graph,
        x: Edge,
        before: State,
    ) -> Result<State> {
        match self.how.kind {
            Kind::Rnn => {
                let z = self.into(g, self.gates[0], x, before.h, None)?;
                Ok(State {
                    h: Some(self.activate(g, 0, z)?),
                    c: None,
                })
            }
            Kind::Gru {
                linear_before_reset,
            } => self.gru(g, x, before.h, linear_before_reset),
            Kind::Lstm { input_forget } => self.lstm(g, x, before, input_forget),
        }
    }

    fn gru(
        &self,
        g: &mut Graph,
        x: Edge,
        h: Option<Edge>,
        linear_before_reset: bool,
    ) -> Result<State> {
        let n = self.hidden;
        let first = self.sum(g, self.gates[0], x, h, None)?;
        let zr = g.slice(first, 2, 0..2 * n)?;
        let zr = self.clipped(g, zr)?;
        let zr = self.activate(g, 0, zr)?;
        let z = g.slice(zr, 2, 0..n)?;
        let candidate = if linear_before_reset {
            let recurrent = g.slice(first, 2, 2 * n..3 * n)?;
            let r = g.slice(zr, 2, n..2 * n)?;
            let reset = g.mul(r, recurrent)?;
            self.into(g, self.gates[1], x, None, Some(reset))?
        } else {
            let reset = match h {
                Some(h) => {
                    let r = g.slice(zr, 2, n..2 * n)?;
                    Some(g.mul(r, h)?)
                }
                None => None,
            };
            self.into(g, self.gates[1], x, reset, None)?
        };
        let candidate = self.activate(g, 1, candidate)?;
        // (1 - z)·candidate + z·h with one product.
        let h = match h {
            Some(h) => {
                let change = g.sub(h, candidate)?;
                let change = g.mul(z, change)?;
                g.add(candidate, change)?
            }
            None => {
                let rest = g.linear(&[(-1, z)], 1.0)?;
                g.mul(rest, candidate)?
            }
        };
        Ok(State {
            h: Some(h),
            c: None,
        })
    }

    fn lstm(&self, g: &mut Graph, x: Edge, before: State, input_forget: bool) -> Result<State> {
        let n = self.hidden;
        let (i, o, f, candidate);
        if self.peepholes.is_none() {
            let z = self.into(g, self.gates[0], x, before.h, None)?;
            let gates = g.slice(z, 2, 0..3 * n)?;
            let cell = g.slice(z, 2, 3 * n..4 * n)?;
            let (gates, cell) = self.both(g, gates, cell)?;
            i = g.slice(gates, 2, 0..n)?;
            o = Some(g.slice(gates, 2, n..2 * n)?);
            f = g.slice(gates, 2, 2 * n..3 * n)?;
            candidate = cell;
        } else {
            let mut gate = |k: usize, which: usize| {
                let peek = self.peek(g, which, before.c)?;
                let z = self.into(g, self.gates[1 + k], x, before.h, peek)?;
                self.activate(g, 0, z)
            };
            i = gate(0, 0)?;
            f = gate(2, 2)?;
            o = None;
            let z = self.into(g, self.gates[4], x, before.h, None)?;
            candidate = self.activate(g, 1, z)?;
        }
        let f = if input_forget {
            g.linear(&[(-1, i)], 1.0)?
        } else {
            f
        };
        let input = g.mul(i, candidate)?;
        let c = match before.c {
            Some(c) => {
                let kept = g.mul(f, c)?;
                g.add(kept, input)?
            }
            None => input,
        };
        // With a peephole, the output gate looks at the new cell.
        let o = match o {
            Some(o) => o,
            None => {
                let peek = self.peek(g, 1, Some(c))?;
                let z = self.into(g, self.gates[2], x, before.h, peek)?;
                self.activate(g, 0, z)?
            }
        };
        let shown = self.activate(g, 2, c)?;
        Ok(State {
            h: Some(g.mul(o, shown)?),
            c: Some(c),
        })
    }
}
