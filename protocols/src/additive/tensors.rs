//! Σ coefficient·f(x, y) of whole tensors by triples of their own shape: for random A, B and C = f(A, B), D = X - A and E = Y - B are opened, and
//! f(X, Y) = C + f(D, B) + f(A, E) + f(D, E). Only operands are opened, 8 bytes an entry, whatever the size of the result.

use std::cell::RefCell;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::ring::{into_row_major, row_major};
use tacit_mpc::{Chunk, Error, R64, Result, Session, Strand, Tensor};

use super::forms::Form;
use super::open::open;
use super::products::{Factors, words_times_words};
use super::{Additive, Source};
use crate::derived::Term;

/// Numbers of several operands one after the other.
struct Operands<'a>(Vec<&'a Tensor>);

impl Operands<'_> {
    fn len(&self) -> usize {
        self.0.iter().map(|x| x.len()).sum()
    }

    /// Flat words, cut into tensors of the same shapes.
    fn tensors(&self, flat: &[R64]) -> Result<Vec<Tensor>> {
        let mut at = 0;
        let cut = self.0.iter().map(|x| {
            let words = flat[at..at + x.len()].to_vec();
            at += x.len();
            tensor(x.shape(), words)
        });
        cut.collect()
    }
}

fn tensor(shape: &[usize], words: Vec<R64>) -> Result<Tensor> {
    let len = words.len();
    ArrayD::from_shape_vec(IxDyn(shape), words).map_err(|_| Error::Shape {
        op: "product of tensors",
        left: shape.to_vec(),
        right: vec![len],
    })
}

/// The part of a matrix triple's making that is one chunk's.
fn overlap(chunk: Chunk, from: usize, len: usize) -> Option<(usize, usize)> {
    let (start, end) = (chunk.start.max(from), chunk.end.min(from + len));
    (start < end).then(|| (start - from, end - from))
}

impl Additive {
    /// This party's share of the sum. Online 8 bytes an entry of each operand from each party to each other, 1 round; by a dealer 8 bytes an entry of
    /// the result before, by transfers 256 bytes an entry of whichever operand chooses, and 260 for each column that it meets.
    pub(super) fn tensor_product(
        &self,
        s: &Session,
        shape: &[usize],
        terms: &[Term<'_>],
    ) -> Result<Tensor> {
        let operands = terms
            .iter()
            .flat_map(|t| [&t.x.parts()[0], &t.y.parts()[0]]);
        let operands = Operands(operands.collect());
        let (masks, opened) = self.masked(s, &operands)?;
        let (masks, opened) = (operands.tensors(&masks)?, operands.tensors(&opened)?);
        let pairs = || masks.as_chunks::<2>().0.iter().zip(terms);
        let mut sum = tensor(shape, vec![R64::default(); shape.iter().product()])?;
        let by_transfers = matches!(self.source, Source::Transfers { .. });
        for (([a, b], term), [d, e]) in pairs().zip(opened.as_chunks::<2>().0) {
            if self.deals(s) {
                break;
            }
            // f(D, B + E) + f(A, E) at P_0, f(D, B) + f(A, E) elsewhere; its own f(A, B) where nobody deals.
            let right = if s.me() == 0 { b + e } else { b.clone() };
            let with = if by_transfers { b + e } else { e.clone() };
            let z = s.bilinear(term.f, &[(d, &right), (a, &with)])?;
            sum = sum + scaled(z, term.coefficient);
        }
        match &self.source {
            Source::Dealer(table) => {
                let mut known = tensor(shape, vec![R64::default(); sum.len()])?;
                if self.deals(s) {
                    for ([a, b], term) in pairs() {
                        known = known + scaled(s.bilinear(term.f, &[(a, b)])?, term.coefficient);
                    }
                }
                let known = row_major(&known);
                let mut words = into_row_major(sum);
                let part = async |strand: Strand<'_>| {
                    let Chunk { start, end, .. } = strand.chunk();
                    let known = || Ok(known[start..end].to_vec());
                    strand
                        .offline(table.words(&strand, end - start, known))
                        .await
                };
                s.for_each_chunk(words.len(), part, |chunk, part| {
                    let all = words[chunk.start..chunk.end].iter_mut().zip(part);
                    all.for_each(|(z, c)| *z += c);
                    Ok(())
                })?;
                tensor(shape, words)
            }
            Source::Transfers { links, set_up_in } => {
                let links = Self::links(links, *set_up_in, s)?;
                let forms = pairs().map(|([a, b], term)| {
                    let form = Form::new(term.f, a.shape(), b.shape());
                    let (x, y) = (row_major(a), row_major(b));
                    let len = form.shape.batch * form.shape.m * form.shape.n;
                    let z = RefCell::new(vec![R64::default(); len]);
                    (form, form.left(&x, &y), form.right(&x, &y), z)
                });
                let forms: Vec<_> = forms.collect();
                let all = forms.iter().map(|f| f.0.shape.entries()).sum();
                s.for_each_chunk(
                    all,
                    async |strand: Strand<'_>| {
                        let mut from = 0;
                        for (form, left, right, z) in &forms {
                            let entries = form.shape.entries();
                            if let Some(range) = overlap(strand.chunk(), from, entries) {
                                let factors = Factors {
                                    shape: form.shape,
                                    left,
                                    right,
                                };
                                let making = words_times_words(&strand, links, &factors, range, z);
                                strand.offline(making).await?;
                            }
                            from += entries;
                        }
                        Ok(())
                    },
                    |_, ()| Ok(()),
                )?;
                for ((form, _, _, z), term) in forms.iter().zip(terms) {
                    let z = tensor(shape, form.result(&z.borrow()))?;
                    sum = sum + scaled(z, term.coefficient);
                }
                Ok(sum)
            }
        }
    }

    /// Random masks of all operands and what the operands less their masks are opened to.
    fn masked(&self, s: &Session, operands: &Operands<'_>) -> Result<(Vec<R64>, Vec<R64>)> {
        let flat: Vec<R64> = operands
            .0
            .iter()
            .flat_map(|x| row_major(x).into_owned())
            .collect();
        let mut masks = vec![R64::default(); operands.len()];
        let mut opened = masks.clone();
        let gate = async |strand: Strand<'_>| {
            let Chunk { start, end, .. } = strand.chunk();
            let mask = match &self.source {
                Source::Dealer(table) => {
                    let label = strand.next_gate()?;
                    table.drawn(&strand, label, end - start, |x, y| x + y)?
                }
                Source::Transfers { .. } => {
                    let words = self.private.words(end - start)?.into_iter();
                    words.map(std::num::Wrapping).collect()
                }
            };
            let masked: Vec<R64> = flat[start..end]
                .iter()
                .zip(&mask)
                .map(|(x, a)| x - a)
                .collect();
            let opened = open(&strand, self.computing, masked).await?;
            Ok((mask, opened))
        };
        s.for_each_chunk(flat.len(), gate, |chunk, (mask, words)| {
            masks[chunk.start..chunk.end].copy_from_slice(&mask);
            opened[chunk.start..chunk.end].copy_from_slice(&words);
            Ok(())
        })?;
        Ok((masks, opened))
    }
}

fn scaled(x: Tensor, c: R64) -> Tensor {
    if c.0 == 1 { x } else { x.mapv(|w| c * w) }
}
