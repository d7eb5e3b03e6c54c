//! The primitives of a protocol one by one, before an engine is made of them.

use std::num::Wrapping;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::{MemNet, Transport};
use tacit_mpc::prss::expand_seed;
use tacit_mpc::simulate::simulate;
use tacit_mpc::{Bilinear, Cost, PartyId, R64, Session, Strand, Tensor};
use tacit_nn::{Error, Result};

use super::{F, Shares, World};
use crate::derived::{DerivedEngine, Primitives, Shared, Term, Value, Words, share_chunks};

/// Parties that compute on the primitives of a protocol, without any that help them.
#[derive(Clone, Copy, Debug)]
pub struct OnPrimitives<P> {
    /// How many parties there are.
    pub parties: usize,
    /// The protocol at each.
    pub protocol: fn() -> P,
}

impl<P: Primitives> Shares for DerivedEngine<P> {
    fn me(&self) -> PartyId {
        self.session().me()
    }

    fn parties(&self) -> usize {
        self.protocol().parties(self.session())
    }

    fn input(&mut self, owner: PartyId, shape: &[usize], x: Option<&ArrayD<f64>>) -> Result<Value> {
        Self::input(self, owner, shape, x)
    }

    fn reveal(&mut self, x: &Value) -> Result<ArrayD<f64>> {
        Self::reveal(self, x)
    }

    fn round_exactly(&mut self, nodes: std::collections::BTreeSet<usize>) {
        Self::round_exactly(self, nodes);
    }

    fn cost(&self) -> Cost {
        self.session().cost()
    }
}

impl<P: Primitives> World for OnPrimitives<P> {
    type Engine = DerivedEngine<P>;

    fn links(&self) -> usize {
        self.parties
    }

    fn run<T: Send>(
        &self,
        nets: Vec<Arc<dyn Transport>>,
        program: impl Fn(&mut Self::Engine) -> Result<T> + Sync,
    ) -> Vec<Result<T>> {
        let results = simulate(nets, |session| {
            program(&mut DerivedEngine::new((self.protocol)(), session, F)?)
        });
        let flat = |r: tacit_mpc::Result<Result<T>>| r.map_err(|e| Error::Protocol(Box::new(e)))?;
        results.into_iter().map(flat).collect()
    }
}

impl<P: Primitives> OnPrimitives<P> {
    /// What every party got of a program on a session.
    #[track_caller]
    fn at_each<T: Send>(
        &self,
        program: impl Fn(&P, &Session) -> tacit_mpc::Result<T> + Sync,
    ) -> Vec<T> {
        let nets = MemNet::mesh(self.parties).into_iter();
        let nets = nets.map(|net| Arc::new(net) as _).collect();
        let results = simulate(nets, |session| program(&(self.protocol)(), &session));
        let results = results.into_iter().flatten();
        results.map(|result| result.unwrap()).collect()
    }

    /// What every party opened of `n` words, which `gate` makes chunk by chunk.
    #[track_caller]
    fn words(
        &self,
        n: usize,
        gate: impl AsyncFn(&P, &Strand<'_>) -> tacit_mpc::Result<Words> + Sync,
    ) -> Vec<Vec<R64>> {
        self.at_each(|protocol, session| {
            let chunks = session.fan_out(n, async |strand| {
                let x = gate(protocol, &strand).await?;
                protocol.open_words(&strand, &x).await
            })?;
            Ok(chunks.into_iter().flat_map(|(_, words)| words).collect())
        })
    }

    /// The sharing of words that everybody knows.
    fn public(protocol: &P, session: &Session, words: &[R64]) -> Words {
        let one = protocol.one(session).into_iter();
        let part = |one| match one {
            true => words.to_vec(),
            false => vec![Wrapping(0); words.len()],
        };
        Shared::new(one.map(part).collect())
    }
}

/// Makes tests of the primitives by themselves, in the order in which one would write them: `primitives_suite!(MY_WORLD);` with
/// an [`OnPrimitives`].
#[macro_export]
macro_rules! primitives_suite {
    ($world:expr) => {
        $crate::engine_suite! {
            @tests $world;
            part_1_public_words_open
            part_2_inputs_of_words_open
            part_3_products_open
            part_4_matrix_products_open
            part_5_inputs_of_bits_open
            part_6_conjunctions_open
        }
    };
}

/// Lengths: a chunk of one element, bits that do not fill a word, and several chunks.
const LENGTHS: [usize; 3] = [1, 65, 20_000];

/// Words of a seed, any of them.
fn drawn(seed: u8, n: usize) -> Vec<R64> {
    expand_seed(&[seed; 16], n)
}

/// [`Primitives::one`] and [`Primitives::open_words`]: what everybody knows opens as it is.
pub fn part_1_public_words_open<P: Primitives>(world: &OnPrimitives<P>) {
    for n in LENGTHS {
        let x = drawn(1, n);
        let got = world.words(n, async |protocol, strand| {
            let c = strand.chunk();
            let part = &x[c.start..c.end];
            Ok(OnPrimitives::public(protocol, strand.session(), part))
        });
        assert!(got.iter().all(|got| *got == x), "{n} public words");
        assert_eq!(got.len(), world.parties);
    }
}

/// [`Primitives::input_words`]: of each party alone, and of all at once.
pub fn part_2_inputs_of_words_open<P: Primitives>(world: &OnPrimitives<P>) {
    let everybody: Vec<PartyId> = (0..world.parties).collect();
    let alone = everybody.iter().map(|&owner| vec![owner]);
    for owners in alone.chain([everybody.clone()]) {
        for n in LENGTHS {
            let all: Vec<_> = everybody.iter().map(|&k| drawn(k as u8, n)).collect();
            let got = world.words(n, async |protocol, strand| {
                let (c, me) = (strand.chunk(), strand.session().me());
                let mine = owners.contains(&me).then(|| &all[me][c.start..c.end]);
                let x = protocol.input_words(strand, &owners, c.len(), mine).await?;
                let sum = |sum: Words, x: &Words| sum.plus(x);
                Ok(x[1..].iter().fold(x[0].clone(), sum))
            });
            let sum = |k| owners.iter().map(|&owner| all[owner][k]).sum::<R64>();
            let want: Vec<R64> = (0..n).map(sum).collect();
            assert!(
                got.iter().all(|got| *got == want),
                "{n} words of {owners:?}"
            );
        }
    }
}

/// [`Primitives::product`]: sums of products, of inputs of two parties.
pub fn part_3_products_open<P: Primitives>(world: &OnPrimitives<P>) {
    for n in LENGTHS {
        let (x, y) = (drawn(1, n), drawn(2, n));
        let got = world.words(n, async |protocol, strand| {
            let (c, me) = (strand.chunk(), strand.session().me());
            let mine = [&x, &y].map(|x| &x[c.start..c.end]);
            let shares = protocol.input_words(strand, &[0, 1], c.len(), mine.get(me).copied());
            let shares = shares.await?;
            let (x, y) = (&shares[0], &shares[1]);
            let terms = [(x.clone(), y.clone()), (x.clone(), x.clone())];
            protocol.product(strand, &terms).await
        });
        let want: Vec<R64> = x.iter().zip(&y).map(|(x, y)| x * y + x * x).collect();
        assert!(got.iter().all(|got| *got == want), "{n} products");
    }
}

/// [`Primitives::bilinear`]: sums of matrix products with coefficients.
pub fn part_4_matrix_products_open<P: Primitives>(world: &OnPrimitives<P>) {
    for (m, k, n) in [(1, 1, 1), (7, 30, 5), (120, 3, 100)] {
        let tensor = |seed, shape: [usize; 2]| {
            let words = drawn(seed, shape[0] * shape[1]);
            Tensor::from_shape_vec(IxDyn(&shape), words).unwrap()
        };
        let (x, y) = (tensor(1, [m, k]), tensor(2, [k, n]));
        let got = world.at_each(|protocol, session| {
            let parts = protocol.one(session).len();
            let share = |owner: PartyId, x: &Tensor| {
                let words = x.as_slice().unwrap_or_default();
                session.begin_node(owner as u32);
                share_chunks(session, x.shape(), parts, async |strand| {
                    let c = strand.chunk();
                    let mine = (session.me() == owner).then(|| &words[c.start..c.end]);
                    let owners = [owner];
                    let shares = protocol.input_words(&strand, &owners, c.len(), mine);
                    Ok(shares.await?.swap_remove(0))
                })
            };
            let (x, y) = (share(0, &x)?, share(1, &y)?);
            let term = |coefficient| Term {
                f: Bilinear::MatMul,
                coefficient: Wrapping(coefficient),
                x: &x,
                y: &y,
            };
            session.begin_node(2);
            let z = protocol.bilinear(session, &[m, n], &[term(5), term(u64::MAX)])?;
            session.begin_node(3);
            let chunks = session.fan_out(m * n, async |strand| {
                let c = strand.chunk();
                let part = |z: &Tensor| z.iter().copied().skip(c.start).take(c.len()).collect();
                protocol.open_words(&strand, &z.each(part)).await
            })?;
            Ok(chunks.into_iter().flat_map(|(_, z)| z).collect::<Vec<_>>())
        });
        let dot = |i, j| (0..k).map(|l| x[[i, l]] * y[[l, j]]).sum::<R64>() * Wrapping(4);
        let want: Vec<R64> = (0..m * n).map(|at| dot(at / n, at % n)).collect();
        assert!(got.iter().all(|got| *got == want), "{m} by {k} by {n}");
    }
}

/// [`Primitives::input_bits`] and [`Primitives::open_bits`]: of each party alone, and of all at once.
pub fn part_5_inputs_of_bits_open<P: Primitives>(world: &OnPrimitives<P>) {
    let everybody: Vec<PartyId> = (0..world.parties).collect();
    let alone = everybody.iter().map(|&owner| vec![owner]);
    for owners in alone.chain([everybody.clone()]) {
        for n in LENGTHS {
            check_bits(world, n, &owners, false, |all| {
                all.iter().fold(vec![0; all[0].len()], |sum, x| {
                    sum.iter().zip(x).map(|(sum, x)| sum ^ x).collect()
                })
            });
        }
    }
}

/// [`Primitives::and`] of bits of two parties.
pub fn part_6_conjunctions_open<P: Primitives>(world: &OnPrimitives<P>) {
    for n in LENGTHS {
        check_bits(world, n, &[0, 1], true, |all| {
            all[0].iter().zip(&all[1]).map(|(x, y)| x & y).collect()
        });
    }
}

/// Three planes of bits of each owner open to what `want` makes of them: their conjunction, or their exclusive or.
fn check_bits<P: Primitives>(
    world: &OnPrimitives<P>,
    n: usize,
    owners: &[PartyId],
    and: bool,
    want: impl Fn(&[Vec<u64>]) -> Vec<u64> + Sync,
) {
    const PLANES: usize = 3;
    let right = world.at_each(|protocol, session| {
        let chunks = session.fan_out(n, async |strand| {
            let (n, me) = (strand.chunk().len(), session.me());
            let words = n.div_ceil(64);
            let all = owners.iter().map(|&owner| {
                let drawn = drawn(owner as u8, PLANES * words);
                drawn.iter().map(|w| w.0).collect::<Vec<u64>>()
            });
            let all: Vec<Vec<u64>> = all.collect();
            let mine = owners.iter().position(|&owner| owner == me);
            let mine = mine.map(|at| &all[at][..]);
            let shares = protocol.input_bits(&strand, owners, PLANES, mine).await?;
            let z = if and {
                protocol
                    .and(&strand, PLANES, &shares[0], &shares[1])
                    .await?
            } else {
                let first = shares[0].clone();
                shares[1..].iter().fold(first, |sum, x| sum.xor(x))
            };
            let opened = protocol.open_bits(&strand, PLANES, &z).await?;
            // Bits past the last value are unspecified.
            let last = u64::MAX >> (64 * words - n);
            let mask = |k: usize| {
                if (k + 1).is_multiple_of(words) {
                    last
                } else {
                    u64::MAX
                }
            };
            let mut pairs = opened.iter().zip(want(&all)).enumerate();
            Ok(pairs.all(|(k, (got, want))| (got ^ want) & mask(k) == 0))
        })?;
        Ok(chunks.iter().all(|(_, right)| *right))
    });
    assert!(
        right.into_iter().all(|right| right),
        "{n} bits of {owners:?}"
    );
}
