//! Requirement 5, continued: mistakes that the construction avoids must be forged or leak when they are made on purpose, and the
//! best attack on the fold passes as often as the analysis says.

use std::num::Wrapping;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tacit_mpc::net::{self, MemNet, Transport};
use tacit_mpc::prss::Prss;
use tacit_mpc::session::parse_frame;
use tacit_mpc::simulate::simulate_seeded;
use tacit_mpc::{Error, Label, PartyId, Purpose, R64, Result, Session, Strand};

use super::super::circuit::Circuit;
use super::super::input::input;
use super::super::log::{Entry, Log, Rest};
use super::super::pair::{Pair, Words};
use super::super::product::{Support, and, product};
use super::challenge::Coin;
use super::guess::{GUESS, Guess};
use super::privacy::{chi_squared, views};
use super::soundness::{CHEATER, carried, nets, wrong_product};
use super::strength::{QUOTIENTS, WEAKNESS, Weakness, combinations};
use super::{Relations, verify};

/// A prover that guesses the challenges of all levels hits one as often as the degrees of the levels say.
#[test]
fn req5_guessed_roots_pass_as_often_as_there_are_roots() {
    let attempts = 600;
    let weakness = Weakness {
        prime_bits: 11,
        ..Weakness::default()
    };
    let (mut passed, mut want, mut variance) = (0.0, 0.0, 0.0);
    for seed in 0..attempts {
        let error = 999;
        let results = simulate_seeded(nets(), seed, |s| {
            WEAKNESS.set(weakness);
            // E is -error modulo 2^64.
            GUESS.set((s.me() == CHEATER).then(|| Guess::new(0u64.wrapping_sub(error))));
            let log = Log::default();
            wrong_product(&s, &log, 2, error).unwrap();
            let proved = verify(&s, &log);
            (proved, GUESS.take().map(|g| g.misses))
        });
        let chance = 1.0 - results[CHEATER].1.expect("the cheater guessed");
        assert!(chance < 0.2, "{chance}");
        want += chance;
        variance += chance * (1.0 - chance);
        let honest = (0..3).filter(|&p| p != CHEATER);
        passed += f64::from(u8::from(honest.clone().all(|p| results[p].0.is_ok())));
    }
    assert!(want > 20.0, "{want} expected of {attempts}");
    // The combinations of p add at most 1/p an attempt: one in a thousand.
    assert!(
        (passed - want).abs() < 4.5 * variance.sqrt() + 1.0,
        "{passed} passed, {want} expected"
    );
}

/// Links of the cheater on which the frame with the first coin message of P_0 comes twice: once to look at, once for the proof.
struct Twice {
    inner: MemNet,
    again: Mutex<Option<Bytes>>,
}

impl Transport for Twice {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> std::result::Result<(), net::Error> {
        self.inner.send(to, frame)
    }

    fn recv(&self, from: PartyId) -> std::result::Result<Bytes, net::Error> {
        if from != 0 || self.me() != CHEATER {
            return self.inner.recv(from);
        }
        let mut again = self.again.lock().expect("no panic");
        if let Some(frame) = again.take() {
            return Ok(frame);
        }
        let frame = self.inner.recv(from)?;
        let messages = parse_frame(frame.clone()).expect("a party sends whole frames");
        if messages.iter().any(|(l, ..)| *l == COIN) {
            *again = Some(frame.clone());
        }
        Ok(frame)
    }
}

/// The first coin of a session's first proof.
const COIN: Label = Label {
    invocation: 0,
    node: (1 << 24) - 1,
    strand: 2, // of one element, which is in the last third
    gate: 0,
};

/// Which of some vectors of bits add up to nothing: there is one more than they have bits.
fn dependent(vectors: &[u64]) -> Vec<u64> {
    let mut rows: Vec<(u64, u64)> = Vec::new();
    for (g, &v) in vectors.iter().enumerate() {
        let (mut v, mut which) = (v, 1u64 << g);
        for &(row, of) in &rows {
            if v ^ row < v {
                (v, which) = (v ^ row, which ^ of);
            }
        }
        if v == 0 {
            return (0..vectors.len()).map(|g| which >> g & 1).collect();
        }
        rows.push((v, which));
        rows.sort_unstable_by_key(|r| std::cmp::Reverse(r.0));
    }
    panic!("more vectors than bits are dependent");
}

/// n products of which the cheater sends its summands last, when it has a message of the first coin from P_0 that looks like
/// its missing part: errors of 2^63 that all combinations miss.
async fn rushing_product(c: &Circuit<'_>, x: &Words) -> Result<()> {
    if c.me() != CHEATER {
        product(c, &[(x.clone(), x.clone())], Support::Full).await?;
        return Ok(());
    }
    let (label, n, me) = (c.strand.next_gate()?, x.own.len(), c.me());
    let mask = |j| c.strand.draw(j, label, Purpose::Zero, n);
    let masks = Pair::new(mask(me)?, mask(me + 1)?);
    let next = c.recv_words(me + 1, label, n).await?;
    let missing = c.strand.recv(0, COIN, 16).await?;
    let mut parts = [[0; 16]; 3];
    for j in [me, me + 1] {
        let words = c.strand.draw(j, COIN, Purpose::Coin, 2)?;
        parts[j % 3] = bytemuck::cast([words[0].0.to_le(), words[1].0.to_le()]);
    }
    parts[(me + 2) % 3].copy_from_slice(&missing);
    let coin = Coin::<Relations>::of(parts);
    let mut tau = coin.words("combinations", 0, n);
    tau.iter_mut().for_each(|t| *t &= combinations());
    let errors = dependent(&tau);
    let term = |k: usize| {
        let (x0, x1) = (x.own[k], x.next[k]);
        x0 * (x0 + x1) + x1 * x0 + masks.own[k] - masks.next[k] + Wrapping(errors[k] << 63)
    };
    let z: Vec<R64> = (0..n).map(term).collect();
    c.send_words(me + 2, label, &z)?;
    let z = Pair::new(z, next);
    let square = x.each(|x| x.iter().map(|x| x * x).collect::<Vec<_>>());
    let rest = Rest {
        left: square.plus(&masks).minus(&z),
        right: masks.times(-Wrapping(1)),
    };
    let terms = vec![(x.clone(), x.clone())];
    let support = Support::Full;
    c.log.push(
        label,
        Entry::Products {
            terms,
            support,
            rest,
        },
    )
}

/// Runs of the rushing cheater that both honest parties accept.
fn rushed(early_coin: bool, attempts: u64) -> u64 {
    let weakness = Weakness {
        sigma: 6,
        early_coin,
        ..Weakness::default()
    };
    let deadline = Duration::from_millis(if early_coin { 20_000 } else { 200 });
    let forged = (0..attempts).filter(|&seed| {
        let nets = MemNet::mesh_with_deadline(3, deadline).into_iter();
        let nets = nets.map(|inner| {
            let again = Mutex::default();
            Arc::new(Twice { inner, again }) as Arc<dyn Transport>
        });
        let results = simulate_seeded(nets.collect(), seed, |s| {
            WEAKNESS.set(weakness);
            QUOTIENTS.set((s.me() == CHEATER).then_some(carried));
            let log = Log::default();
            s.fan_out(1, async |strand: Strand<'_>| {
                let c = Circuit { strand, log: &log };
                let x: Vec<R64> = (1..8).map(Wrapping).collect();
                let x = input(&c, 0, x.len(), Some(&x)).await?;
                rushing_product(&c, &x).await
            })?;
            verify(&s, &log)
        });
        if !early_coin {
            let learnt = &results[CHEATER];
            assert!(
                matches!(learnt, Err(Error::PeerMisbehaved { peer: 0, .. })),
                "a hash in the place of the value: {learnt:?}"
            );
        }
        (0..3).all(|p| results[p].is_ok())
    });
    forged.count() as u64
}

/// Were the part of the coin that P_i lacks released by the party that does not receive P_i's messages, P_i would see the coin
/// before its last message and forge every time. Released by the right one it never comes.
#[test]
fn req5_a_coin_from_the_wrong_party_is_forged_and_one_from_the_right_party_is_not() {
    assert_eq!(rushed(true, 20), 20);
    assert_eq!(rushed(false, 4), 0);
}

/// What the right verifier of P_1 is told at the end of a proof about bits that are all zero or all one at index 1.
fn last_values(bare: bool, secret: u64) -> Vec<[u64; 3]> {
    let circuit = |s: &Session, log: &Log| {
        WEAKNESS.set(Weakness {
            bare_last_level: bare,
            ..Weakness::default()
        });
        s.fan_out(1, async |strand: Strand<'_>| {
            let c = Circuit { strand, log };
            // Bits of a chunk of one element.
            let x = c.joint(1, 40, Some(Rc::new(vec![secret & 1; 40])));
            and(&c, &x, &x).await
        })?;
        verify(s, log)
    };
    let last = |seed| {
        let view = views(|me| Prss::from_seed(me, seed), circuit).swap_remove(2);
        let of_check = view.iter().filter(|(_, l, _)| l.node > 1 << 23);
        let last = of_check.map(|(_, l, _)| *l).max().expect("a proof");
        let (_, _, body) = view
            .iter()
            .find(|(from, l, _)| *from == 0 && *l == last)
            .expect("P_0 is the left verifier of P_1, P_2 the right one");
        let word = |k: usize| u64::from_le_bytes(body[8 * k..][..8].try_into().expect("8 bytes"));
        [word(0), word(1), seed]
    };
    (0..150).map(last).collect()
}

/// Without the masking point the last values tell zeros from ones every time; with it they are uniform for both.
#[test]
fn req5_without_the_masking_point_the_last_values_tell_the_secret() {
    let bare = last_values(true, 0);
    assert!(bare.iter().all(|v| v[0] == 0), "u(r) of zeros is zero");
    let bare = last_values(true, 1);
    assert!(bare.iter().all(|v| v[0] != 0), "u(r) of ones is not");
    for secret in [0, 1] {
        let bytes = last_values(false, secret).into_iter();
        let nibbles = bytes.flat_map(|v| v[0].to_le_bytes()).map(|b| b & 15);
        let (chi, n) = chi_squared(nibbles);
        assert!(n == 1200 && chi < 45.0, "secret {secret}: χ² = {chi:.1}");
    }
}
