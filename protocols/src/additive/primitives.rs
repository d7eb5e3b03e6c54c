//! What an engine is derived from, on additive shares.

use std::cell::RefCell;
use std::num::Wrapping;

use tacit_mpc::{Error, PartyId, Purpose, R64, Result, Session, Strand, Tensor};

use super::dealer::Table;
use super::open::{Planes, open};
use super::products::{Factors, Matrices, bits_and_bits, words_times_words};
use super::triples::{BitTriples, WordTriples};
use super::{Additive, Source};
use crate::derived::{
    Bits, Circuit, Correlated, Correlation, Primitives, Shared, Term, Words, generate,
};

/// The one component of a share.
fn own<T>(x: &Shared<T>) -> &T {
    &x.parts()[0]
}

impl Primitives for Additive {
    fn name(&self) -> &'static str {
        match self.source {
            Source::Dealer(_) => "additive-dealer",
            Source::Transfers { .. } => "additive",
        }
    }

    fn parties(&self, _: &Session) -> usize {
        self.computing
    }

    fn one(&self, session: &Session) -> Vec<bool> {
        vec![session.me() == 0]
    }

    /// x_j = F(k_oj) for every other party, x_o = x - Σ x_j. No communication.
    async fn input_words(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        n: usize,
        mine: Option<&[R64]>,
    ) -> Result<Vec<Words>> {
        let minus = |x: R64, y: R64| x - y;
        let all = owners.iter().map(|&owner| {
            let x = self.input(strand, owner, n, mine, minus)?;
            Ok(Words::new(vec![x]))
        });
        all.collect()
    }

    async fn input_bits(
        &self,
        strand: &Strand<'_>,
        owners: &[PartyId],
        planes: usize,
        mine: Option<&[u64]>,
    ) -> Result<Vec<Bits>> {
        let n = planes * strand.chunk().len().div_ceil(64);
        let mine: Option<Vec<R64>> = mine.map(|x| x.iter().map(|&w| Wrapping(w)).collect());
        let all = owners.iter().map(|&owner| {
            let x = self.input(strand, owner, n, mine.as_deref(), |x, y| x ^ y)?;
            Ok(Bits::new(vec![x.into_iter().map(|w| w.0).collect()]))
        });
        all.collect()
    }

    async fn open_words(&self, strand: &Strand<'_>, x: &Words) -> Result<Vec<R64>> {
        open(strand, self.computing, own(x).clone()).await
    }

    async fn open_bits(&self, strand: &Strand<'_>, planes: usize, x: &Bits) -> Result<Vec<u64>> {
        self.open_planes(strand, planes, own(x).clone()).await
    }

    async fn product(&self, strand: &Strand<'_>, terms: &[(Words, Words)]) -> Result<Words> {
        let n = terms.first().map_or(0, |(x, _)| x.len());
        let triples = strand
            .offline(self.word_triples(strand, terms.len(), n))
            .await?;
        let left = terms.iter().flat_map(|(x, _)| own(x)).copied();
        let right = terms.iter().flat_map(|(_, y)| own(y)).copied();
        let masked = triples.mask(left, right);
        let opened = open(strand, self.computing, masked).await?;
        let z = triples.spend(&opened, strand.session().me() == 0);
        Ok(Words::new(vec![z]))
    }

    async fn and(&self, strand: &Strand<'_>, planes: usize, x: &Bits, y: &Bits) -> Result<Bits> {
        let triples = strand.offline(self.bit_triples(strand, planes)).await?;
        let masked = triples.mask(own::<Vec<u64>>(x), own::<Vec<u64>>(y));
        let opened = self.open_planes(strand, 2 * planes, masked).await?;
        let z = triples.spend(&opened, strand.session().me() == 0);
        Ok(Bits::new(vec![z]))
    }

    fn bilinear(
        &self,
        session: &Session,
        shape: &[usize],
        terms: &[Term<'_>],
    ) -> Result<Shared<Tensor>> {
        let z = self.tensor_product(session, shape, terms)?;
        Ok(Shared::new(vec![z]))
    }

    /// From the dealer, all that is asked for; by transfers, as every protocol makes them.
    async fn correlated(&self, c: &Circuit<'_, Self>, what: &Correlation) -> Result<Correlated> {
        let Source::Dealer(table) = &self.source else {
            return generate(c, what).await;
        };
        let (strand, n) = (c.strand(), c.len());
        let dealt = if self.deals(strand.session()) {
            Some(what.deal(n, |out| c.private().fill(out))?)
        } else {
            None
        };
        let (words, bits) = dealt.map_or_else(Default::default, |d| (d.words, d.bits));
        let words = table.words(strand, what.words() * n, || Ok(words)).await?;
        let bits = table.planes(strand, what.planes(), || Ok(bits)).await?;
        Ok(Correlated {
            words: Words::new(vec![words]),
            bits: Bits::new(vec![bits]),
        })
    }
}

impl Additive {
    /// This party's share of what `owner` gives in.
    fn input(
        &self,
        strand: &Strand<'_>,
        owner: PartyId,
        n: usize,
        mine: Option<&[R64]>,
        minus: impl Fn(R64, R64) -> R64,
    ) -> Result<Vec<R64>> {
        let label = strand.next_gate()?;
        let me = strand.session().me();
        if self.deals(strand.session()) {
            return Ok(vec![R64::default(); n]);
        }
        if me != owner {
            return strand.draw_with(owner, label, Purpose::Input, n);
        }
        let mut share = mine.unwrap_or_default().to_vec();
        if share.len() != n {
            return Err(Error::Shape {
                op: "input",
                left: vec![share.len()],
                right: vec![n],
            });
        }
        for peer in (0..self.computing).filter(|&p| p != me) {
            let part = strand.draw_with(peer, label, Purpose::Input, n)?;
            share
                .iter_mut()
                .zip(part)
                .for_each(|(x, y)| *x = minus(*x, y));
        }
        Ok(share)
    }

    async fn open_planes(
        &self,
        strand: &Strand<'_>,
        count: usize,
        words: Vec<u64>,
    ) -> Result<Vec<u64>> {
        let n = strand.chunk().len();
        let shares = Planes { count, n, words };
        Ok(open(strand, self.computing, shares).await?.words)
    }

    /// Triples for Σ over `terms` products of `n` words. By a dealer 8 bytes a word to one party, 1 round; by transfers 516 bytes a term and
    /// word from each party to each other, 2 rounds.
    pub(super) async fn word_triples(
        &self,
        strand: &Strand<'_>,
        terms: usize,
        n: usize,
    ) -> Result<WordTriples> {
        let s = strand.session();
        match &self.source {
            Source::Dealer(table) => {
                let label = strand.next_gate()?;
                let mut a = table.drawn(strand, label, 2 * terms * n, |x, y| x + y)?;
                let b = a.split_off(terms * n);
                let c = table
                    .words(strand, n, || Ok(sum_of_products(&a, &b, n)))
                    .await?;
                Ok(without_dealer(table, s, WordTriples { a, b, c }))
            }
            Source::Transfers { links, set_up_in } => {
                let links = Self::links(links, *set_up_in, s)?;
                let words = |w: Vec<u64>| w.into_iter().map(Wrapping).collect::<Vec<R64>>();
                let a = words(self.private.words(terms * n)?);
                let b = words(self.private.words(terms * n)?);
                let factors = Factors {
                    shape: Matrices::elementwise(terms * n),
                    left: &a,
                    right: &b,
                };
                let all = a.iter().zip(&b).map(|(a, b)| a * b).collect();
                let all = RefCell::new(all);
                words_times_words(strand, links, &factors, (0, terms * n), &all).await?;
                let mut all = all.into_inner();
                let mut c = all.split_off(terms.saturating_sub(1) * n);
                for term in all.chunks(n.max(1)) {
                    c.iter_mut().zip(term).for_each(|(c, z)| *c += z);
                }
                Ok(WordTriples { a, b, c })
            }
        }
    }

    /// Triples for so many planes of conjunctions. By a dealer 1 bit each to one party, 1 round; by transfers 33 bits each from each party to each other, 2
    /// rounds.
    pub(super) async fn bit_triples(
        &self,
        strand: &Strand<'_>,
        planes: usize,
    ) -> Result<BitTriples> {
        let s = strand.session();
        let n = planes * strand.chunk().len().div_ceil(64);
        match &self.source {
            Source::Dealer(table) => {
                let label = strand.next_gate()?;
                let drawn = table.drawn(strand, label, 2 * n, |x, y| x ^ y)?;
                let mut a: Vec<u64> = drawn.into_iter().map(|w| w.0).collect();
                let b = a.split_off(n);
                let and = || Ok(a.iter().zip(&b).map(|(a, b)| a & b).collect());
                let c = table.planes(strand, planes, and).await?;
                Ok(BitTriples { a, b, c })
            }
            Source::Transfers { links, set_up_in } => {
                let links = Self::links(links, *set_up_in, s)?;
                let (a, b) = (self.private.words(n)?, self.private.words(n)?);
                let mut c: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a & b).collect();
                bits_and_bits(strand, links, &a, &b, &mut c).await?;
                Ok(BitTriples { a, b, c })
            }
        }
    }
}

/// Σ a·b over terms of `n` words.
fn sum_of_products(a: &[R64], b: &[R64], n: usize) -> Vec<R64> {
    let mut sum = vec![R64::default(); n];
    for (a, b) in a.chunks(n.max(1)).zip(b.chunks(n.max(1))) {
        sum.iter_mut()
            .zip(a.iter().zip(b))
            .for_each(|(s, (a, b))| *s += a * b);
    }
    sum
}

/// The triples; at the dealer, who spends none, all zeros.
fn without_dealer(table: &Table, s: &Session, mut triples: WordTriples) -> WordTriples {
    if s.me() == table.dealer {
        triples.a.fill(R64::default());
        triples.b.fill(R64::default());
    }
    triples
}
