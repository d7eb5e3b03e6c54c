//! The claim over F_p: products, compressed matrix products, bits of words, and the quotients.
//!
//! With λ_g = Σ_c θ_c·τ_{g,c} the σ statements S_c = 2^64·W_c become one inner product modulo p (protocols-malicious, section 4,
//! step 3):
//!     Σ_g λ_g·(products of g) + Σ_{c,b} θ_c·2^{65+b}·β_{c,b}·γ_{c,b} = cL + cR,
//!     cL = -Σ λ_g·tL_g + Σ_c 2^64·θ_c·β_c,   cR = -Σ λ_g·tR_g + Σ_c 2^64·θ_c·γ_c.
//! A_j holds first factors and B_j weighted second factors; C_j the bits β of the relations of P_j and D_j the weighted bits γ of
//! those of P_{j-1}. Bits of different provers lie at the same positions: only C_j meets D_{j+1}.

use std::num::Wrapping;
use std::rc::Rc;

use tacit_mpc::{PartyId, R64};

use super::Relations;
use super::challenge::Coin;
use super::combinations::Lambda;
use super::dot_rows::{HALF, Rows};
use super::dots::{Dots, K, Scale, first_gram};
use super::field::Field;
use super::fold::{BLOCKS, Claim, Fold, Folded, Segments};
use super::kernels;
use super::parts::{Kind, Part};
use super::prime::Prime;
use super::quotients::Quotients;
use super::strength::SIGMA;

/// Block length of the first level.
pub(super) const FIRST: usize = K;

/// The vectors of the claim, in parts.
pub(super) struct WordClaim<'l> {
    f: Prime,
    me: PartyId,
    parts: Vec<Weighted<'l>>,
    /// Bits, by their dealer.
    dots: [Vec<Dots>; 3],
    stage: Stage,
}

/// What the next level is.
enum Stage {
    /// The first.
    Words,
    /// The second: A and B folded, C and D about to be.
    Folded(Box<([Segments; 2], Rows)>),
}

struct Weighted<'l> {
    part: Part<'l>,
    lambda: Rc<Vec<u64>>,
}

/// (A, B) of some relations at this party's two indices: a whole number of blocks, or nothing where all of it is zero. B is divided
/// by 2^104 ([`Prime::weigh`]).
type Factors = [[Vec<u64>; 2]; 2];

/// Products whose factors are written down together: all stays in the first-level cache.
const PART: usize = 512;

/// The proof to be folded, with this party's shares of the right-hand side.
pub(super) fn claim<'l>(
    f: Prime,
    me: PartyId,
    parts: Vec<Part<'l>>,
    quotients: Quotients,
    combinations: &Coin<Relations>,
    coin: &Coin<Quotients>,
) -> Fold<Prime, WordClaim<'l>> {
    let theta: Vec<u64> = coin
        .words("theta", 0, 2 * SIGMA)
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&bits| f.uniform(bits))
        .collect();
    let table = Lambda::new(f, &theta);
    let parts: Vec<Weighted<'l>> = parts
        .into_iter()
        .map(|part| Weighted {
            lambda: Rc::new(table.of(part.tau(combinations))),
            part,
        })
        .collect();
    #[cfg(test)]
    super::guess::begin(f, parts.first().map(|w| w.lambda[0]));
    let claim = WordClaim {
        f,
        me,
        dots: [0, 1, 2].map(|dealer| dots(f, me, dealer, &parts, &quotients, &theta)),
        parts,
        stage: Stage::Words,
    };
    let (left, right) = claim.shares(&quotients, &theta);
    Fold::new(f, claim, left, right)
}

/// The bits of a dealer's quotients, and of its relations.
fn dots(
    f: Prime,
    me: PartyId,
    dealer: PartyId,
    parts: &[Weighted<'_>],
    quotients: &Quotients,
    theta: &[u64],
) -> Vec<Dots> {
    // β of P_d lies at index d, γ at index d + 1.
    let shares = [
        quotients.beta.at(me, dealer),
        quotients.gamma.at(me, dealer + 1),
    ];
    let halves = |w: &u128| [*w as u64, (*w >> 64) as u64].map(Wrapping);
    let shares = shares.map(|w| w.map(|w| Rc::new(w.iter().flat_map(halves).collect())));
    let weights = [65, 65 + 64].map(|e| f.power_of_two(e));
    let lambda = theta.iter().flat_map(|&t| weights.map(|w| f.mul(t, w)));
    let mut dots = vec![Dots::new(
        shares,
        vec![Scale::PLAIN],
        Rc::new(lambda.collect()),
    )];
    for Weighted { part, lambda } in parts {
        if let Kind::Dots(entry) = part.kind
            && entry.dealer == dealer
        {
            let shares = [&entry.beta, &entry.gamma].map(Option::clone);
            let relations = entry.relations.iter().map(|r| Scale::of(f, r)).collect();
            dots.push(Dots::new(shares, relations, Rc::clone(lambda)));
        }
    }
    dots
}

impl WordClaim<'_> {
    /// cL of the proof of P_{me+1} and cR of that of P_{me-1}.
    fn shares(&self, quotients: &Quotients, theta: &[u64]) -> (u64, u64) {
        let f = self.f;
        let (mut left, mut right) = (0, 0);
        let weigh = |lambda: &[u64], t: &[R64]| f.dot_words(t, lambda);
        for Weighted { part, lambda } in &self.parts {
            match &part.kind {
                Kind::Products { rest, .. } => {
                    left = f.sub(left, weigh(lambda, &rest.left.next));
                    right = f.sub(right, weigh(lambda, &rest.right.own));
                }
                Kind::Page(page) => {
                    left = f.sub(left, weigh(lambda, &page.next.left));
                    right = f.sub(right, weigh(lambda, &page.own.right));
                }
                Kind::Dots(dots) => {
                    let relations = dots.relations.iter().zip(lambda.chunks(dots.len.max(1)));
                    for (relation, lambda) in relations {
                        if dots.dealer == (self.me + 1) % 3 {
                            let t = relation.left.as_deref().map_or(&[][..], Vec::as_slice);
                            left = f.sub(left, weigh(lambda, t));
                        }
                        if (dots.dealer + 1) % 3 == self.me {
                            let t = relation.right.as_deref().map_or(&[][..], Vec::as_slice);
                            right = f.sub(right, weigh(lambda, t));
                        }
                    }
                }
            }
        }
        let word = f.power_of_two(64);
        let weigh = |w: &[u128; SIGMA]| {
            let sum = f.dot(theta.iter().copied(), w.iter().map(|&w| f.wide(w)));
            f.mul(word, sum)
        };
        (
            f.add(left, weigh(&quotients.beta.next)),
            f.add(right, weigh(&quotients.gamma.own)),
        )
    }

    /// Calls `visit` with the factors of all products, some at a time, and with how many these are.
    fn for_each_product(&self, mut visit: impl FnMut(usize, &Factors)) {
        let f = self.f;
        let mut factors = Factors::default();
        for Weighted { part, lambda } in &self.parts {
            match &part.kind {
                Kind::Products { terms, support, .. } => {
                    for (x, y) in *terms {
                        for start in (0..lambda.len()).step_by(PART) {
                            let range = start..lambda.len().min(start + PART);
                            let len = range.len().next_multiple_of(K);
                            let indices = [(&x.own, &y.own), (&x.next, &y.next)];
                            let indices = (self.me..).zip(factors.iter_mut().zip(indices));
                            for (index, ([a, b], (x, y))) in indices {
                                a.clear();
                                if !support.is_empty_at(false, index) {
                                    f.lift_all(&x[range.clone()], a);
                                    a.resize(len, 0);
                                }
                                b.clear();
                                if !support.is_empty_at(true, index) {
                                    f.weigh(&y[range.clone()], &lambda[range.clone()], b);
                                    b.resize(len, 0);
                                }
                            }
                            visit(len, &factors);
                        }
                    }
                }
                Kind::Page(page) => {
                    // Row i meets Σ_j λ_ij·(row j of the other).
                    let len = page.own.x.len().next_multiple_of(K);
                    for ([a, b], page) in factors.iter_mut().zip([&page.own, &page.next]) {
                        a.clear();
                        f.lift_all(&page.x, a);
                        *b = f.weigh_rows(lambda, &page.y, page.inner);
                        a.resize(len, 0);
                        b.resize(len, 0);
                    }
                    visit(len, &factors);
                }
                Kind::Dots(_) => {}
            }
        }
    }

    /// Elements of A and B at the first level, with what fills up blocks of the second.
    fn products(&self) -> usize {
        let of = |w: &Weighted<'_>| match &w.part.kind {
            Kind::Products { terms, .. } => terms.len() * w.lambda.len().next_multiple_of(K),
            Kind::Page(page) => (page.own.rows * page.own.inner).next_multiple_of(K),
            Kind::Dots(_) => 0,
        };
        self.parts.iter().map(of).sum::<usize>() + K * HALF
    }

    /// Elements of C and D after the second level: those of the dealer that has most.
    fn halves(&self) -> usize {
        let of = |dots: &Vec<Dots>| dots.iter().map(Dots::halves).sum();
        self.dots.iter().map(of).max().unwrap_or(0)
    }
}

impl Claim<Prime> for WordClaim<'_> {
    fn block(&self) -> usize {
        match self.stage {
            Stage::Words => K,
            Stage::Folded(..) => {
                const {
                    assert!(BLOCKS[0] == HALF);
                    HALF
                }
            }
        }
    }

    fn gram(&self) -> Vec<u64> {
        let f = self.f;
        let own = &self.dots[self.me];
        match &self.stage {
            Stage::Words => {
                let mut sums = vec![<Prime as Field>::Sum::default(); K * K];
                self.for_each_product(|_, [own, next]| {
                    for (u, v) in [(&own[0], &next[1]), (&own[1], &next[0])] {
                        if !u.is_empty() && !v.is_empty() {
                            f.gram(u, v, K, &mut sums);
                        }
                    }
                });
                let products = kernels::symmetric(f, sums, K).into_iter();
                let products = products.map(|m| f.mul(m, f.radix()));
                let bits = first_gram(f, own);
                products.zip(bits).map(|(x, y)| f.add(x, y)).collect()
            }
            Stage::Folded(folded) => {
                let ([this, next], rows) = &**folded;
                let mut sums = vec![<Prime as Field>::Sum::default(); HALF * HALF];
                f.gram(&this.a, &next.b, HALF, &mut sums);
                f.gram(&this.b, &next.a, HALF, &mut sums);
                rows.gram(own, &mut sums);
                kernels::symmetric(f, sums, HALF)
            }
        }
    }

    fn fold(mut self, lagrange: &[u64]) -> Folded<Self> {
        let f = self.f;
        match std::mem::replace(&mut self.stage, Stage::Words) {
            Stage::Words => {
                let room = || Vec::with_capacity(self.products().div_ceil(K));
                let mut folded = [(); 2].map(|()| Segments {
                    a: room(),
                    b: room(),
                    ..Segments::default()
                });
                let raised: Vec<u64> = lagrange.iter().map(|&c| f.mul(c, f.radix())).collect();
                self.for_each_product(|len, indices| {
                    for (segments, [a, b]) in folded.iter_mut().zip(indices) {
                        for (x, c, folded) in [
                            (a, lagrange, &mut segments.a),
                            (b, &raised, &mut segments.b),
                        ] {
                            if x.is_empty() {
                                folded.resize(folded.len() + len / K, 0);
                            } else {
                                f.combine(x, c, folded);
                            }
                        }
                    }
                });
                for s in &mut folded {
                    for part in [&mut s.a, &mut s.b] {
                        part.resize(part.len().next_multiple_of(HALF), 0);
                    }
                }
                let rows = Rows::new(f, &std::array::from_fn(|j| lagrange[j]));
                self.parts = Vec::new();
                self.stage = Stage::Folded(Box::new((folded, rows)));
                Folded::Claim(self)
            }
            Stage::Folded(folded) => {
                let (segments, rows) = *folded;
                let c = std::array::from_fn(|j| lagrange[j]);
                let [mut own, mut next] = segments.map(|s| {
                    let fold = |x: &[u64]| {
                        let mut folded = Vec::with_capacity(x.len() / HALF);
                        f.combine(x, lagrange, &mut folded);
                        folded
                    };
                    let bits = || Vec::with_capacity(self.halves());
                    Segments {
                        a: fold(&s.a),
                        b: fold(&s.b),
                        c: bits(),
                        d: bits(),
                    }
                });
                let by = |ahead: usize| &self.dots[(self.me + ahead) % 3];
                rows.fold_beta(by(0), &c, &mut own.c);
                rows.fold_gamma(by(0), &c, &mut next.d);
                rows.fold_beta(by(1), &c, &mut next.c);
                rows.fold_gamma(by(2), &c, &mut own.d);
                for bits in [&mut own.c, &mut own.d, &mut next.c, &mut next.d] {
                    bits.resize(self.halves(), 0);
                }
                Folded::Segments([own, next])
            }
        }
    }
}
