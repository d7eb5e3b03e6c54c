//! Replicated shares, inputs and openings.

use std::fmt;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::ring::row_major;
use tacit_mpc::wire::{Packer, Unpacker, packed_len};
use tacit_mpc::{Chunk, Error, PartyId, Purpose, R64, Result, Session, Strand, Tensor};

/// A replicated sharing of a tensor: P_i holds x_i (`a`) and x_{i+1} (`b`) of x = x_0 + x_1 + x_2.
#[derive(Clone)]
pub struct Rep3 {
    pub(crate) a: Tensor,
    pub(crate) b: Tensor,
}

impl fmt::Debug for Rep3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rep3")
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}

impl Rep3 {
    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.a.shape()
    }

    /// A public tensor as a sharing: share 0 is the tensor, the others are zero. No communication.
    #[must_use]
    pub fn public(me: PartyId, x: &Tensor) -> Self {
        let zero = || ArrayD::from_elem(x.raw_dim(), R64::default());
        match me {
            0 => Self {
                a: x.clone(),
                b: zero(),
            },
            2 => Self {
                a: zero(),
                b: x.clone(),
            },
            _ => Self {
                a: zero(),
                b: zero(),
            },
        }
    }

    /// The same local linear map on both components.
    pub(crate) fn each<E>(
        &self,
        f: impl Fn(&Tensor) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        Ok(Self {
            a: f(&self.a)?,
            b: f(&self.b)?,
        })
    }

    /// Adds a public constant to every element, by share 0.
    pub(crate) fn add_public(&mut self, me: PartyId, c: R64) {
        match me {
            0 => self.a.iter_mut().for_each(|w| *w += c),
            2 => self.b.iter_mut().for_each(|w| *w += c),
            _ => {}
        }
    }
}

/// Puts the chunks' shares (x_i, x_{i+1}) together.
pub(crate) fn assemble(shape: &[usize], parts: Vec<(Chunk, (Vec<R64>, Vec<R64>))>) -> Result<Rep3> {
    let n = shape.iter().product();
    let (mut a, mut b) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for (_, (x, y)) in parts {
        a.extend(x);
        b.extend(y);
    }
    let tensor = |v: Vec<R64>| {
        let len = v.len();
        ArrayD::from_shape_vec(IxDyn(shape), v).map_err(|_| Error::Shape {
            op: "assemble",
            left: vec![len],
            right: shape.to_vec(),
        })
    };
    Ok(Rep3 {
        a: tensor(a)?,
        b: tensor(b)?,
    })
}

/// P_owner shares a tensor of its own: x_owner = F(k_owner), x_{owner+1} = x - x_owner goes to P_{owner+1}, the third share is
/// zero. `x` is given at the owner and ignored elsewhere. 8 bytes a value, 1 round.
///
/// # Errors
/// The owner gave no tensor of this shape, or a link or peer failed.
pub fn input(s: &Session, owner: PartyId, shape: &[usize], x: Option<&Tensor>) -> Result<Rep3> {
    let n = shape.iter().product();
    let me = s.me();
    let words = x.filter(|_| me == owner).map(row_major).unwrap_or_default();
    if me == owner && (words.len() != n) {
        return Err(Error::Shape {
            op: "input",
            left: vec![words.len()],
            right: shape.to_vec(),
        });
    }
    let parts = s.fan_out(n, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        let chunk = strand.chunk();
        let zero = || vec![R64::default(); chunk.len()];
        if me == owner {
            let r = strand.draw(me, label, Purpose::Input, chunk.len())?;
            let rest: Vec<R64> = words[chunk.start..chunk.end]
                .iter()
                .zip(&r)
                .map(|(&x, &r)| x - r)
                .collect();
            let mut packer = Packer::with_capacity(64 * rest.len());
            packer.push(&rest, 64);
            strand.send(s.next(), label, &packer.finish())?;
            Ok((r, rest))
        } else if me == (owner + 1) % 3 {
            let rest = strand
                .recv(owner, label, packed_len(chunk.len(), 64))
                .await?;
            Ok((Unpacker::new(&rest).words(chunk.len(), 64), zero()))
        } else {
            Ok((
                zero(),
                strand.draw(owner, label, Purpose::Input, chunk.len())?,
            ))
        }
    })?;
    assemble(shape, parts)
}

/// Opens a tensor to all three: P_{i+1} sends P_i the one share it lacks. 24 bytes and 1 round a value.
///
/// # Errors
/// A link or peer failed.
pub fn open(s: &Session, x: &Rep3) -> Result<Tensor> {
    let (own, next) = (row_major(&x.a), row_major(&x.b));
    let parts = s.fan_out(own.len(), async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        let range = strand.chunk().start..strand.chunk().end;
        let mut packer = Packer::with_capacity(64 * range.len());
        packer.push(&next[range.clone()], 64);
        strand.send(s.prev(), label, &packer.finish())?;
        let missing = strand
            .recv(s.next(), label, packed_len(range.len(), 64))
            .await?;
        let missing = Unpacker::new(&missing).words(range.len(), 64);
        Ok(own[range.clone()]
            .iter()
            .zip(&next[range])
            .zip(missing)
            .map(|((&x, &y), z)| x + y + z)
            .collect::<Vec<R64>>())
    })?;
    let words: Vec<R64> = parts.into_iter().flat_map(|(_, w)| w).collect();
    ArrayD::from_shape_vec(IxDyn(x.shape()), words).map_err(|_| Error::Shape {
        op: "open",
        left: x.shape().to_vec(),
        right: x.shape().to_vec(),
    })
}
