//! Replicated shares, inputs and openings.

use std::collections::BTreeMap;
use std::fmt;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::ring::row_major;
use tacit_mpc::wire::{append, packed_len, unpacked};
use tacit_mpc::{Chunk, Error, Label, PartyId, Purpose, R64, Result, Session, Strand, Tensor};

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

    /// Both components.
    pub(crate) fn both(&self) -> [&Tensor; 2] {
        [&self.a, &self.b]
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

/// Runs `gate` for every chunk of a tensor of this shape and puts the shares (x_i, x_{i+1}) that it gives together.
pub(crate) fn share_chunks<'s>(
    s: &'s Session,
    shape: &[usize],
    gate: impl AsyncFn(Strand<'s>) -> Result<(Vec<R64>, Vec<R64>)>,
) -> Result<Rep3> {
    let mut x = Parts::new(shape);
    s.for_each_chunk(shape.iter().product(), gate, |chunk, (a, b)| {
        x.put(chunk, a, b);
        Ok(())
    })?;
    x.finish()
}

/// A sharing that grows by chunks, whatever their order.
pub(crate) struct Parts {
    shape: Vec<usize>,
    a: Vec<R64>,
    b: Vec<R64>,
    /// Chunks before which others are missing.
    early: BTreeMap<usize, (Vec<R64>, Vec<R64>)>,
}

impl Parts {
    /// Nothing of this shape yet.
    pub(crate) fn new(shape: &[usize]) -> Self {
        let n = shape.iter().product();
        Self {
            shape: shape.to_vec(),
            a: Vec::with_capacity(n),
            b: Vec::with_capacity(n),
            early: BTreeMap::new(),
        }
    }

    /// A chunk's shares (x_i, x_{i+1}), one word an element.
    pub(crate) fn put(&mut self, chunk: Chunk, a: Vec<R64>, b: Vec<R64>) {
        self.early.insert(chunk.start, (a, b));
        while let Some((a, b)) = self.early.remove(&self.a.len()) {
            self.a.extend_from_slice(&a);
            self.b.extend_from_slice(&b);
        }
    }

    /// The sharing.
    pub(crate) fn finish(self) -> Result<Rep3> {
        Ok(Rep3 {
            a: tensor(&self.shape, self.a)?,
            b: tensor(&self.shape, self.b)?,
        })
    }
}

fn tensor(shape: &[usize], words: Vec<R64>) -> Result<Tensor> {
    let len = words.len();
    ArrayD::from_shape_vec(IxDyn(shape), words).map_err(|_| Error::Shape {
        op: "assemble",
        left: vec![len],
        right: shape.to_vec(),
    })
}

/// P_owner shares a tensor of its own: x_owner = F(k_owner), x_{owner+1} = x - x_owner goes to P_{owner+1}, the third share is
/// zero. `x` is given at the owner and ignored elsewhere. 8 bytes a value, 1 round.
///
/// # Errors
/// The owner gave no tensor of this shape, or a link or peer failed.
pub fn input(s: &Session, owner: PartyId, shape: &[usize], x: Option<&Tensor>) -> Result<Rep3> {
    let n: usize = shape.iter().product();
    let me = s.me();
    let words = x.filter(|_| me == owner).map(row_major).unwrap_or_default();
    if me == owner && (words.len() != n) {
        return Err(Error::Shape {
            op: "input",
            left: vec![words.len()],
            right: shape.to_vec(),
        });
    }
    share_chunks(s, shape, async |strand: Strand<'_>| {
        input_chunk(&strand, owner, &words).await
    })
}

/// [`input`] of one chunk, from all words at the owner.
pub(crate) async fn input_chunk(
    strand: &Strand<'_>,
    owner: PartyId,
    words: &[R64],
) -> Result<(Vec<R64>, Vec<R64>)> {
    let label = strand.next_gate()?;
    let (chunk, me) = (strand.chunk(), strand.session().me());
    let zero = || vec![R64::default(); chunk.len()];
    if me == owner {
        let r = strand.draw(me, label, Purpose::Input, chunk.len())?;
        let rest: Vec<R64> = words[chunk.start..chunk.end]
            .iter()
            .zip(&r)
            .map(|(&x, &r)| x - r)
            .collect();
        send_words(strand, strand.session().next(), label, &rest)?;
        Ok((r, rest))
    } else if me == (owner + 1) % 3 {
        Ok((recv_words(strand, owner, label).await?, zero()))
    } else {
        Ok((
            zero(),
            strand.draw(owner, label, Purpose::Input, chunk.len())?,
        ))
    }
}

/// Sends whole words, one an element of the chunk.
pub(crate) fn send_words(
    strand: &Strand<'_>,
    to: PartyId,
    label: Label,
    words: &[R64],
) -> Result<()> {
    let len = packed_len(words.len(), 64);
    strand.send(to, label, len, |out| append(words, 64, out))
}

/// Whole words from a peer, one an element of the chunk.
pub(crate) async fn recv_words(
    strand: &Strand<'_>,
    from: PartyId,
    label: Label,
) -> Result<Vec<R64>> {
    let n = strand.chunk().len();
    let bytes = strand.recv(from, label, packed_len(n, 64)).await?;
    Ok(unpacked(&bytes, 64, n))
}

/// Opens a tensor to all three: P_{i+1} sends P_i the one share it lacks. 24 bytes and 1 round a value.
///
/// # Errors
/// A link or peer failed.
pub fn open(s: &Session, x: &Rep3) -> Result<Tensor> {
    let (own, next) = (row_major(&x.a), row_major(&x.b));
    let mut opened = vec![R64::default(); own.len()];
    let gate = async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        let range = strand.chunk().start..strand.chunk().end;
        send_words(&strand, s.prev(), label, &next[range])?;
        recv_words(&strand, s.next(), label).await
    };
    s.for_each_chunk(own.len(), gate, |chunk, missing| {
        let range = chunk.start..chunk.end;
        let known = own[range.clone()].iter().zip(&next[range.clone()]);
        opened[range]
            .iter_mut()
            .zip(known.zip(missing))
            .for_each(|(o, ((&x, &y), z))| *o = x + y + z);
        Ok(())
    })?;
    tensor(x.shape(), opened)
}
