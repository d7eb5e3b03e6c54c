//! For tests: what three parties logged, checked in the clear.
//!
//! The relations of prover P_i are evaluated on what its verifiers hold, index i at P_{i-1} and index i + 1 at P_{i+1}: what an
//! honest pair would find.

use std::num::Wrapping;
use std::sync::Arc;

use tacit_mpc::net::Transport;
use tacit_mpc::simulate::simulate_seeded;
use tacit_mpc::{Bilinear, R64, Result, Session, Tensor};

use super::circuit::{Circuit, for_each_chunk};
use super::log::{Entry, Log, Rest, Weight};
use super::pair::{Pair, Words};
use super::proof::verify;
use crate::rep3::uniform::share;

/// A pair without its counts: (index me, index me + 1).
type Plain<T> = [T; 2];

/// An entry of a log, as data that may leave its thread.
#[derive(Clone, Debug)]
pub(super) enum Claim {
    Products(
        Vec<(Plain<Vec<R64>>, Plain<Vec<R64>>)>,
        Plain<Vec<R64>>,
        Plain<Vec<R64>>,
    ),
    Bilinear(Bilinear, Box<[Plain<Tensor>; 4]>),
    /// Both factors, tL at the next index, tR at the party's own.
    Ands([Plain<Vec<u64>>; 2], Plain<Vec<u64>>),
    BitDots(Dots),
}

#[derive(Clone, Debug)]
pub(super) struct Dots {
    dealer: usize,
    beta: Option<Vec<R64>>,
    gamma: Option<Vec<R64>>,
    relations: Vec<(Weight, Option<Vec<R64>>, Option<Vec<R64>>)>,
}

fn plain<T: Clone>(pair: &Pair<T>) -> Plain<T> {
    [(*pair.own).clone(), (*pair.next).clone()]
}

fn rest<T: Clone>(rest: &Rest<T>) -> (Plain<T>, Plain<T>) {
    (plain(&rest.left), plain(&rest.right))
}

/// The data of a log.
pub(super) fn claims(log: &Log) -> Vec<Claim> {
    log.look(|entry| match entry {
        Entry::Products { terms, rest: r, .. } => {
            let (left, right) = rest(r);
            let terms = terms.iter().map(|(x, y)| (plain(x), plain(y)));
            Claim::Products(terms.collect(), left, right)
        }
        Entry::Bilinear {
            f,
            x,
            y,
            left,
            right,
        } => Claim::Bilinear(
            *f,
            Box::new([plain(x), plain(y), plain(left), plain(right)]),
        ),
        Entry::Ands { x, y, left, right } => {
            Claim::Ands([plain(x), plain(y)], [left.to_vec(), right.to_vec()])
        }
        Entry::BitDots(dots) => {
            let words = |v: &Option<std::rc::Rc<Vec<R64>>>| v.as_ref().map(|v| v.to_vec());
            let relation =
                |r: &super::log::BitRelation| (r.weight, words(&r.left), words(&r.right));
            Claim::BitDots(Dots {
                dealer: dots.dealer,
                beta: words(&dots.beta),
                gamma: words(&dots.gamma),
                relations: dots.relations.iter().map(relation).collect(),
            })
        }
    })
}

/// A relation that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// Position of its entry in the log.
    pub(super) entry: usize,
    /// Whose claim it is.
    pub(super) prover: usize,
    /// What is left of it.
    pub(super) error: u64,
}

/// Every relation that does not hold: of a suspect on what its verifiers hold, of an honest prover on what it holds itself. Of AND
/// gates a prover keeps no rest: for an honest one it is by definition what makes the relation true.
///
/// # Panics
/// Where the parties' logs have different entries.
pub(super) fn violations(logs: &[Vec<Claim>], suspects: &[usize]) -> Vec<Violation> {
    let mut found = Vec::new();
    let entries = logs[0].len();
    assert!(logs.iter().all(|l| l.len() == entries), "one log");
    for (entry, prover) in (0..entries).flat_map(|e| (0..3).map(move |p| (e, p))) {
        let of = |party: usize| &logs[party % 3][entry];
        // Index `prover` and index `prover` + 1.
        let suspect = suspects.contains(&prover);
        if !suspect && matches!(of(prover), Claim::Ands(..)) {
            continue;
        }
        let halves = if suspect {
            [(of(prover + 2), 1), (of(prover + 1), 0)]
        } else {
            [(of(prover), 0), (of(prover), 1)]
        };
        let wrong = errors(halves, prover).into_iter().filter(|&e| e != 0);
        found.extend(wrong.map(|error| Violation {
            entry,
            prover,
            error,
        }));
    }
    found
}

/// What is left of the relations of one entry and prover, from two holders and the place at which each has its index.
fn errors([(left, l), (right, r)]: [(&Claim, usize); 2], prover: usize) -> Vec<u64> {
    match (left, right) {
        (Claim::Products(terms, rest, _), Claim::Products(others, _, other)) => {
            let rests = rest[l].iter().zip(&other[r]);
            let mut e: Vec<R64> = rests.map(|(l, r)| l + r).collect();
            for ((x, y), (u, v)) in terms.iter().zip(others) {
                for (k, e) in e.iter_mut().enumerate() {
                    *e += x[l][k] * v[r][k] + y[l][k] * u[r][k];
                }
            }
            e.into_iter().map(|e| e.0).collect()
        }
        (Claim::Bilinear(f, a), Claim::Bilinear(g, b)) => {
            assert_eq!(f, g, "one log");
            let apply = |x: &Tensor, y: &Tensor| f.apply(x, y).unwrap();
            let cross = apply(&a[0][l], &b[1][r]) + apply(&b[0][r], &a[1][l]);
            let e = cross + apply(&a[0][l], &a[1][l]) + &a[2][l] + &b[3][r];
            e.into_iter().map(|e| e.0).collect()
        }
        (Claim::Ands([x, y], [rest, _]), Claim::Ands([u, v], [_, other])) => {
            let terms = x[l].iter().zip(&v[r]).zip(y[l].iter().zip(&u[r]));
            let word = |(((x, v), (y, u)), (l, r))| x & v ^ y & u ^ l ^ r;
            let rests = rest.iter().zip(other);
            terms.zip(rests).map(word).collect()
        }
        (Claim::BitDots(left), Claim::BitDots(right)) => {
            assert_eq!(left.dealer, right.dealer, "one log");
            if left.dealer == prover {
                bit_dots(left, right)
            } else {
                Vec::new()
            }
        }
        _ => panic!("one log"),
    }
}

fn bit_dots(l: &Dots, r: &Dots) -> Vec<u64> {
    let (beta, gamma) = (l.beta.as_ref().unwrap(), r.gamma.as_ref().unwrap());
    let mut errors = Vec::new();
    for ((weight, left, _), (other, _, right)) in l.relations.iter().zip(&r.relations) {
        assert_eq!(weight, other, "one log");
        let (left, right) = (left.as_ref().unwrap(), right.as_ref().unwrap());
        for k in 0..beta.len() {
            let both = beta[k].0 & gamma[k].0;
            let mut e = left[k] + right[k];
            for b in (0..64).filter(|b| both >> b & 1 == 1) {
                if let Some(log2) = weight.log2(b) {
                    assert!(log2 <= 64, "weights stay below 2^65");
                    e += Wrapping(1u64.checked_shl(log2).unwrap_or(0));
                }
            }
            errors.push(e.0);
        }
    }
    errors
}

/// What a circuit gave at three parties.
pub(super) struct Outcome {
    /// The outputs, opened: the sum of the shares that the parties hold as their own.
    pub(super) outputs: Vec<Vec<u64>>,
    /// Outputs of which two holders have different copies, and the share.
    pub(super) torn: Vec<(usize, usize)>,
    /// What the parties logged.
    pub(super) logs: Vec<Vec<Claim>>,
    /// Bytes that all parties sent.
    pub(super) bytes: u64,
    /// Rounds.
    pub(super) rounds: u64,
    /// Messages before the proof, party by party.
    pub(super) messages: Vec<u64>,
    /// Whether the proof was accepted, party by party.
    pub(super) proved: Vec<bool>,
}

impl Outcome {
    /// Asserts that every relation holds, that the proof is accepted and that copies agree.
    #[track_caller]
    pub(super) fn honest(self) -> Self {
        assert_eq!(
            violations(&self.logs, &[0, 1, 2]),
            [],
            "every relation holds"
        );
        assert_eq!(self.proved, [true; 3], "the proof is accepted");
        assert_eq!(self.torn, [], "both holders of a share have the same");
        self
    }

    /// Asserts rounds and bytes a value.
    #[track_caller]
    pub(super) fn costs(&self, rounds: u64, bytes: f64) {
        let n = self.outputs[0].len() as f64;
        assert_eq!(
            (self.rounds, self.bytes as f64 / n),
            (rounds, bytes),
            "rounds and bytes a value"
        );
    }
}

/// Runs a circuit on uniform sharings of columns of words.
pub(super) fn run(
    nets: Vec<Arc<dyn Transport>>,
    seed: u64,
    inputs: &[Vec<u64>],
    gate: impl AsyncFn(&Circuit<'_>, Vec<Words>) -> Result<Vec<Words>> + Sync,
) -> Outcome {
    let n = inputs[0].len();
    let parties = simulate_seeded(nets, seed, |s: Session| {
        let log = Log::default();
        let shares: Vec<[Vec<R64>; 2]> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| [0, 1].map(|j| share(x, s.me() + j, seed ^ (k as u64) << 32)))
            .collect();
        let mut outputs: Vec<[Vec<R64>; 2]> = Vec::new();
        for_each_chunk(
            &s,
            &log,
            n,
            async |c| {
                let range = c.strand.chunk().start..c.strand.chunk().end;
                let cut = |s: &Vec<R64>| s[range.clone()].to_vec();
                let words = shares.iter().map(|[a, b]| Pair::new(cut(a), cut(b)));
                gate(c, words.collect()).await
            },
            |chunk, words| {
                outputs.resize(words.len(), [vec![Wrapping(0); n], vec![Wrapping(0); n]]);
                for (out, words) in outputs.iter_mut().zip(&words) {
                    out[0][chunk.start..chunk.end].copy_from_slice(&words.own);
                    out[1][chunk.start..chunk.end].copy_from_slice(&words.next);
                }
                Ok(())
            },
        )
        .unwrap();
        let (claims, cost) = (claims(&log), s.cost());
        (outputs, claims, cost, verify(&s, &log).is_ok())
    });
    let count = parties[0].0.len();
    let sum = |k: usize| {
        let own = |i: usize, at: usize| parties[i].0[k][0][at];
        let words = (0..n).map(|at| (own(0, at) + own(1, at) + own(2, at)).0);
        words.collect()
    };
    let differ = |k: usize, j: usize| parties[j].0[k][0] != parties[(j + 2) % 3].0[k][1];
    let all = (0..count).flat_map(|k| (0..3).map(move |j| (k, j)));
    Outcome {
        outputs: (0..count).map(sum).collect(),
        torn: all.filter(|&(k, j)| differ(k, j)).collect(),
        bytes: parties.iter().map(|p| p.2.bytes).sum(),
        rounds: parties.iter().map(|p| p.2.rounds).max().unwrap(),
        messages: parties.iter().map(|p| p.2.messages).collect(),
        proved: parties.iter().map(|p| p.3).collect(),
        logs: parties.into_iter().map(|p| p.1).collect(),
    }
}
