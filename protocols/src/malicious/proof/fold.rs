//! Folding: a proof that ⟨U_i, V_{i+1}⟩ = cL + cR of logarithmic length, for the three provers P_i at once.
//!
//! U_i and cL are known to the left verifier P_{i-1}, V_{i+1} and cR to the right one P_{i+1} (Boneh, Boyle, Corrigan-Gibbs,
//! Gilboa, Ishai, CRYPTO 2019, section 5). The vectors are cut into blocks of k; U(t), V(t) interpolate through each block at
//! the points 0..k-1, and q(t) = ⟨U(t), V(t)⟩ has degree 2k - 2. The prover shares q(1..2k-2) between its verifiers, each of
//! which sets q(0) = c - q(1) - … - q(k-1) on its own share; a public r is drawn, and U(r), V(r), q(r) take the place of U, V, c.
//! At the end every entry is a block of its own, with one more point at which both sides are masked by draws that the other
//! verifier does not have; the verifiers exchange u(r), v(r) and their shares of q(r), and both check u·v = q.
//!
//! All three proofs use the same r. The vectors are U_j = (A_j, B_j, C_j), V_j = (B_j, A_j, D_j): a product is symmetric in its
//! operands, so each party folds the four parts of its two indices once, for all its roles.
//!
//! Soundness: a false claim survives a level with probability (2k - 2)/(|F| - k), the last with 2k/(|F| - 2k - 1).

use super::field::Field;
use super::kernels;
use super::lagrange::Points;

/// The parts of U_j and V_j at one index.
#[derive(Clone, Default)]
pub(super) struct Segments {
    /// First factors.
    pub(super) a: Vec<u64>,
    /// Weighted second factors.
    pub(super) b: Vec<u64>,
    /// Bits at the left verifier.
    pub(super) c: Vec<u64>,
    /// Weighted bits at the right one.
    pub(super) d: Vec<u64>,
}

impl Segments {
    /// U_j, as a list.
    fn left(&self) -> impl Iterator<Item = u64> {
        [&self.a, &self.b, &self.c].into_iter().flatten().copied()
    }

    /// V_j, as a list.
    fn right(&self) -> impl Iterator<Item = u64> {
        [&self.b, &self.a, &self.d].into_iter().flatten().copied()
    }

    /// The length of U_j and V_j.
    fn len(&self) -> usize {
        self.a.len() + self.b.len() + self.c.len()
    }

    fn parts(&mut self) -> [&mut Vec<u64>; 4] {
        [&mut self.a, &mut self.b, &mut self.c, &mut self.d]
    }
}

/// Vectors of that length or shorter go into the last level.
pub(super) const LAST: usize = 64;
/// Block lengths of the levels after the first.
pub(super) const BLOCKS: [usize; 2] = [8, 16];
/// Both in one number.
pub(super) const SCHEDULE: u64 = (LAST << 16 | BLOCKS[0] << 8 | BLOCKS[1]) as u64;

/// What a claim is before its vectors are written down, for which they may be too long: folded once or more often.
pub(super) trait Claim<F: Field>: Sized {
    /// The block length of the next level.
    fn block(&self) -> usize;

    /// M_jl = Σ u_j·v_l over the blocks of U_me and V_{me+1}, row by row, or the same sums M_jl + M_lj.
    fn gram(&self) -> Vec<u64>;

    /// The vectors of this party's two indices, each block replaced by Σ_j L_j·x_j.
    fn fold(self, lagrange: &[u64]) -> Folded<Self>;
}

/// A claim after a level.
pub(super) enum Folded<C> {
    /// Not yet written down.
    Claim(C),
    /// The vectors at both indices.
    Segments([Segments; 2]),
}

/// A proof on its way.
pub(super) struct Fold<F, C> {
    f: F,
    vectors: Option<Folded<C>>,
    /// This party's share of the claim of P_{me+1}, whose left verifier it is.
    left: u64,
    /// This party's share of the claim of P_{me-1}, whose right verifier it is.
    right: u64,
    levels: usize,
}

/// Draws for the masking point of the last level.
#[derive(Clone, Copy)]
pub(super) struct Nodes {
    /// u* of this party's own proof and of that of P_{me+1}.
    pub(super) u: [[u64; 2]; 2],
    /// v* of this party's own proof and of that of P_{me-1}.
    pub(super) v: [[u64; 2]; 2],
}

/// A level before its challenge.
pub(super) struct Level {
    /// Block length; the number of entries at the last level; 0 where there are no blocks.
    pub(super) k: usize,
    last: bool,
    /// q(1), q(2), … of this party's own proof.
    pub(super) values: Vec<u64>,
}

impl Level {
    /// A level whose polynomial is not one of a line.
    pub(super) fn of_cube(values: Vec<u64>) -> Self {
        Self {
            k: 0,
            last: false,
            values,
        }
    }

    /// Points at which q is known, 0 among them.
    fn points(&self) -> usize {
        self.values.len() + 1
    }

    /// The points at which the challenge must not lie: at one of them a block would be opened.
    pub(super) fn forbidden(&self) -> usize {
        if self.last { self.points() } else { self.k }
    }
}

/// What the last level leaves at a party to send and to compare.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    /// u(r) and q(r), this party's share, of the proof of P_{me+1}.
    pub(super) left: (u64, u64),
    /// v(r) and q(r), this party's share, of the proof of P_{me-1}.
    pub(super) right: (u64, u64),
}

impl<F: Field, C: Claim<F>> Fold<F, C> {
    /// A claim with this party's shares of what it should be.
    pub(super) fn new(f: F, claim: C, left: u64, right: u64) -> Self {
        Self {
            f,
            vectors: Some(Folded::Claim(claim)),
            left,
            right,
            levels: 0,
        }
    }

    /// The prover's part of the next level; `None` after the last.
    pub(super) fn level(&self, nodes: &Nodes) -> Option<Level> {
        let f = self.f;
        let [own, next] = match self.vectors.as_ref()? {
            Folded::Claim(claim) => {
                let k = claim.block();
                return Some(Level {
                    k,
                    last: false,
                    values: values(f, &claim.gram(), k),
                });
            }
            Folded::Segments(vectors) => vectors,
        };
        let k = own.len();
        if k <= LAST {
            // The entries, and a point of the mask alone.
            let u: Vec<u64> = own.left().chain([f.uniform(nodes.u[0])]).collect();
            let v: Vec<u64> = next.right().chain([f.uniform(nodes.v[0])]).collect();
            let values = last_values(f, &u, &v);
            return Some(Level {
                k,
                last: true,
                values,
            });
        }
        let k = BLOCKS[(self.levels - 1).min(BLOCKS.len() - 1)];
        let mut gram = vec![F::Sum::default(); k * k];
        for (u, v) in [(&own.a, &next.b), (&own.b, &next.a), (&own.c, &next.d)] {
            f.gram(u, v, k, &mut gram);
        }
        let values = values(f, &kernels::symmetric(f, gram, k), k);
        Some(Level {
            k,
            last: false,
            values,
        })
    }

    /// Goes on with the challenge `r` of a level, given this party's shares of the other two polynomials: `left` of P_{me+1}'s,
    /// which came from it, `right` of P_{me-1}'s, which is drawn.
    pub(super) fn absorb(
        &mut self,
        level: &Level,
        left: &[u64],
        right: &[u64],
        r: u64,
        nodes: &Nodes,
    ) -> Option<Last> {
        let (f, k) = (self.f, level.k);
        let weights = Points::new(f, level.points()).at(r);
        // q(0) = c - q(1) - … - q(k-1); then q(r).
        let claim = |c: u64, q: &[u64]| {
            let zero = q[..k - 1].iter().fold(c, |c, &q| f.sub(c, q));
            let rest = f.dot(weights[1..].iter().copied(), q.iter().copied());
            f.add(f.mul(weights[0], zero), rest)
        };
        self.left = claim(self.left, left);
        self.right = claim(self.right, right);
        self.levels += 1;
        let vectors = self.vectors.take()?;
        if let (Folded::Segments([own, next]), true) = (&vectors, level.last) {
            let weights = Points::new(f, k + 1).at(r);
            let at = |x: &mut dyn Iterator<Item = u64>, node| {
                f.dot(weights.iter().copied(), x.chain([f.uniform(node)]))
            };
            return Some(Last {
                left: (at(&mut next.left(), nodes.u[1]), self.left),
                right: (at(&mut own.right(), nodes.v[1]), self.right),
            });
        }
        let weights = Points::new(f, k).at(r);
        let mut folded = match vectors {
            Folded::Claim(claim) => match claim.fold(&weights) {
                Folded::Segments(segments) => segments,
                claim => {
                    self.vectors = Some(claim);
                    return None;
                }
            },
            Folded::Segments(segments) => segments.map(|mut s| {
                for part in s.parts() {
                    let mut folded = Vec::with_capacity(part.len() / k);
                    f.combine(part, &weights, &mut folded);
                    *part = folded;
                }
                s
            }),
        };
        // Blocks of the next level are whole.
        if folded[0].len() > LAST {
            let k = BLOCKS[(self.levels - 1).min(BLOCKS.len() - 1)];
            for part in folded.iter_mut().flat_map(Segments::parts) {
                part.resize(part.len().next_multiple_of(k), 0);
            }
        }
        self.vectors = Some(Folded::Segments(folded));
        None
    }
}

impl Level {
    /// A challenge outside of the points where blocks lie, from uniform words.
    pub(super) fn challenge<F: Field>(
        &self,
        f: F,
        mut words: impl FnMut(usize) -> [u64; 2],
    ) -> u64 {
        let outside = |r: u64| (0..self.forbidden()).all(|i| f.point(i) != r);
        (0..)
            .map(|i| f.uniform(words(i)))
            .find(|&r| outside(r))
            .unwrap_or_default()
    }
}

/// q(1) … q(2k-2) from M: q(t) = Σ_jl L_j(t)·L_l(t)·M_jl; at a point below k it is M_tt.
fn values<F: Field>(f: F, gram: &[u64], k: usize) -> Vec<u64> {
    let points = Points::new(f, k);
    let value = |t: usize| {
        if t < k {
            return gram[t * k + t];
        }
        let weights = points.at(f.point(t));
        let rows = gram
            .chunks(k)
            .map(|row| f.dot(row.iter().copied(), weights.iter().copied()));
        f.dot(rows, weights.iter().copied())
    };
    (1..2 * k - 1).map(value).collect()
}

/// q(1) … q(2k) of the last level, whose k entries and mask are the blocks.
fn last_values<F: Field>(f: F, u: &[u64], v: &[u64]) -> Vec<u64> {
    let (n, points) = (u.len(), Points::new(f, u.len()));
    let value = |t: usize| {
        if t < n {
            return f.mul(u[t], v[t]);
        }
        let weights = points.at(f.point(t));
        let at = |x: &[u64]| f.dot(x.iter().copied(), weights.iter().copied());
        f.mul(at(u), at(v))
    };
    (1..2 * n - 1).map(value).collect()
}
