//! The product gate for a whole tensor: a matrix product or a convolution.
//!
//! z_i = f(x_i, y_i + y_{i+1}) + f(x_{i+1}, y_i) + a_i - a_{i+1} (protocols-malicious, section 2), sent chunk by chunk and logged as
//! one entry.

use std::num::Wrapping;

use tacit_mpc::ring::row_major;
use tacit_mpc::{Bilinear, Chunk, Label, Purpose, R64, Result, Tensor};

use super::circuit::Circuit;
use super::log::{Entry, Log};
use super::pair::{Pair, Words};
use super::shared::{Shared, put, shared};
use crate::rep3::share::Parts;

/// A bilinear gate on its way.
pub(super) struct Gate<'a> {
    pub(super) f: Bilinear,
    pub(super) coefficient: R64,
    pub(super) x: &'a Shared,
    pub(super) y: &'a Shared,
    /// f(x_i, y_i + y_{i+1}) + f(x_{i+1}, y_i).
    pub(super) summand: Tensor,
}

/// What a gate leaves in one chunk: z_j and a_j at this party's indices.
pub(super) struct Sent {
    label: Label,
    pub(super) z: Words,
    masks: Words,
}

/// The chunk's part of a gate: 24 bytes an output, 1 round.
pub(super) async fn send(c: &Circuit<'_>, gate: &Gate<'_>) -> Result<Sent> {
    let label = c.strand.next_gate()?;
    let (me, n, chunk) = (c.me(), c.len(), c.strand.chunk());
    let mask = |j| c.strand.draw(j, label, Purpose::Zero, n);
    let masks: Words = Pair::new(mask(me)?, mask(me + 1)?);
    let summand = &row_major(&gate.summand)[chunk.start..chunk.end];
    let masked = summand.iter().zip(masks.own.iter().zip(&*masks.next));
    let z: Vec<R64> = masked.map(|(p, (a, b))| p + a - b).collect();
    c.send_words(me + 2, label, &z)?;
    let next = c.recv_words(me + 1, label, n).await?;
    Ok(Sent {
        label,
        z: Pair::new(z, next),
        masks,
    })
}

/// What a gate's entry is made of: a_j - z_j and -a_j, put together from chunks.
pub(super) struct Kept {
    label: Option<Label>,
    left: Parts,
    right: Parts,
}

impl Kept {
    pub(super) fn new(shape: &[usize]) -> Self {
        Self {
            label: None,
            left: Parts::new(shape),
            right: Parts::new(shape),
        }
    }

    pub(super) fn put(&mut self, chunk: Chunk, sent: &Sent) {
        let left = sent.masks.minus(&sent.z);
        let right = sent.masks.times(-Wrapping(1));
        put(&mut self.left, chunk, left);
        put(&mut self.right, chunk, right);
        // The tensor's entry stands under the label of its first chunk.
        self.label = Some(self.label.map_or(sent.label, |l| l.min(sent.label)));
    }

    pub(super) fn log(self, log: &Log, gate: Gate<'_>) -> Result<()> {
        let Some(label) = self.label else {
            return Ok(()); // no output, nothing to prove
        };
        let entry = Entry::Bilinear {
            f: gate.f,
            x: gate.x.clone(),
            y: gate.y.clone(),
            left: shared(self.left)?,
            right: shared(self.right)?,
        };
        log.push(label, entry)
    }
}
