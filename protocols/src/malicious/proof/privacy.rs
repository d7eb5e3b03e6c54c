//! What a party receives: uniform, whatever the secrets are; and nothing before its turn.

use std::collections::BTreeMap;
use std::num::Wrapping;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tacit_mpc::net::{self, MemNet, Transport};
use tacit_mpc::prss::Prss;
use tacit_mpc::session::parse_frame;
use tacit_mpc::{Label, PartyId, R64, Result, Session, Strand, kernels};

use super::super::circuit::Circuit;
use super::super::input::{input, input_planes};
use super::super::log::Log;
use super::super::product::{Support, and, product};
use super::super::tests::every::{self, PARTS};
use super::verify;

/// Every message that a party received: from whom, its label, its body.
type View = Arc<Mutex<Vec<(PartyId, Label, Bytes)>>>;

/// Writes down what arrives.
struct Watched {
    inner: MemNet,
    view: View,
}

impl Transport for Watched {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> std::result::Result<(), net::Error> {
        self.inner.send(to, frame)
    }

    fn recv(&self, from: PartyId) -> std::result::Result<Bytes, net::Error> {
        let frame = self.inner.recv(from)?;
        let messages = parse_frame(frame.clone()).expect("a party sends whole frames");
        let mut view = self.view.lock().expect("no test panics with the view");
        view.extend(
            messages
                .into_iter()
                .map(|(label, _, body)| (from, label, body)),
        );
        drop(view);
        Ok(frame)
    }
}

/// Runs a circuit at three parties with keys of this choice; what each received.
pub(super) fn views(
    prss: impl Fn(PartyId) -> Prss + Sync,
    circuit: impl Fn(&Session, &Log) -> Result<()> + Sync,
) -> Vec<Vec<(PartyId, Label, Bytes)>> {
    let views: Vec<View> = (0..3).map(|_| View::default()).collect();
    std::thread::scope(|scope| {
        for (inner, view) in MemNet::mesh(3).into_iter().zip(&views) {
            let (prss, circuit) = (&prss, &circuit);
            let watched = Watched {
                inner,
                view: Arc::clone(view),
            };
            scope.spawn(move || {
                let me = watched.me();
                let s = Session::new(Arc::new(watched), prss(me), Arc::from(kernels::cpu()));
                circuit(&s, &Log::default()).expect("honest parties accept");
            });
        }
    });
    views
        .into_iter()
        .map(|v| v.lock().expect("no test panics with the view").clone())
        .collect()
}

/// Products and AND gates of these secrets, and their proof.
fn circuit(s: &Session, log: &Log, n: usize, secret: u64) -> Result<()> {
    s.fan_out(n, async |strand: Strand<'_>| {
        let c = Circuit { strand, log };
        let x = vec![Wrapping(secret); c.len()];
        let x = input(&c, 0, c.len(), Some(&x)).await?;
        let y = product(&c, &[(x.clone(), x.clone())], Support::Full).await?;
        product(&c, &[(y, x)], Support::Full).await?;
        let bits = vec![secret; c.len().div_ceil(64)];
        let bits = input_planes(&c, 1, 1, Some(&bits)).await?;
        and(&c, &bits, &bits).await
    })?;
    verify(s, log)
}

/// Pearson's statistic of the counts of 16 values; 15 degrees of freedom, beyond 45 once in 10,000.
pub(super) fn chi_squared(nibbles: impl Iterator<Item = u8>) -> (f64, usize) {
    let mut counts = [0usize; 16];
    nibbles.for_each(|n| counts[usize::from(n)] += 1);
    let total: usize = counts.iter().sum();
    let expected = total as f64 / 16.0;
    let sum = counts
        .iter()
        .map(|&c| (c as f64 - expected).powi(2) / expected)
        .sum();
    (sum, total)
}

/// What kind of message of a check this is, by its gate: coins and what is between them, and the last comparison.
fn kind(label: Label, last: u16) -> Option<&'static str> {
    let check = label.node > (1 << 23);
    match (check, label.gate) {
        (false, _) => Some("shares"),
        (true, 1) => Some("quotients"),
        (true, gate) if gate == last => Some("last values"),
        (true, gate) if gate >= 3 && gate % 2 == 1 => Some("polynomials"),
        _ => None, // coins: public
    }
}

#[test]
fn every_message_is_uniform_for_the_worst_secrets() {
    for secret in [0, u64::MAX] {
        let mut seen: Vec<Vec<(&str, u8)>> = vec![Vec::new(); 3];
        for seed in 0..60 {
            let views = views(
                |me| Prss::from_seed(me, seed),
                |s, log| circuit(s, log, 70, secret),
            );
            for (seen, view) in seen.iter_mut().zip(views) {
                let last = view
                    .iter()
                    .map(|(_, label, _)| label)
                    .filter(|l| l.node > 1 << 23)
                    .map(|l| l.gate)
                    .max()
                    .unwrap_or(0);
                for (_, label, body) in view {
                    if let Some(kind) = kind(label, last) {
                        // The low bits of numbers modulo p are uniform up to 2^-57; their highest word bits are not.
                        let step = if kind == "shares" || kind == "quotients" {
                            1
                        } else {
                            8
                        };
                        seen.extend(body.iter().step_by(step).map(|b| (kind, b & 15)));
                    }
                }
            }
        }
        for (party, seen) in seen.iter().enumerate() {
            for of in ["shares", "quotients", "polynomials", "last values"] {
                let (chi, n) = chi_squared(seen.iter().filter(|s| s.0 == of).map(|s| s.1));
                assert!(n >= 400, "{of}: only {n}");
                assert!(
                    chi < 45.0,
                    "secret {secret:x}, party {party}, {of}: χ² = {chi:.1} of {n}"
                );
            }
        }
    }
}

/// Every gate there is, on sharings that hide nothing: each message by itself, and everything that a party receives.
#[test]
fn every_message_of_every_gate_is_uniform_for_the_worst_secrets() {
    for (part, secret) in PARTS.into_iter().flat_map(|p| [(p, 0), (p, u64::MAX)]) {
        let gates = |s: &Session, log: &Log| -> Result<()> {
            // Chunks of 64: no message has bits that are not used.
            s.fan_out(192, async |strand: Strand<'_>| {
                let c = Circuit { strand, log };
                let x = c.joint(0, c.len(), Some(Rc::new(vec![Wrapping(secret); c.len()])));
                every::circuit(&c, part, &[x.clone(), x]).await
            })?;
            Ok(())
        };
        let mut seen: Vec<BTreeMap<Label, Vec<u8>>> = vec![BTreeMap::new(); 3];
        for seed in 0..12 {
            let views = views(|me| Prss::from_seed(me, seed), gates);
            for (seen, view) in seen.iter_mut().zip(views) {
                for (_, label, body) in view {
                    let nibbles = body.iter().flat_map(|b| [b & 15, b >> 4]);
                    seen.entry(label).or_default().extend(nibbles);
                }
            }
        }
        for (party, seen) in seen.iter().enumerate() {
            assert!(seen.len() > 20, "{part:?}: {} messages", seen.len());
            for (label, nibbles) in seen {
                let (chi, n) = chi_squared(nibbles.iter().copied());
                // Beyond 60 once in four million.
                assert!(
                    n >= 192 && chi < 60.0,
                    "{part:?}, secret {secret:x}, party {party}, {label}: χ² = {chi:.1} of {n}"
                );
            }
            let (chi, n) = chi_squared(seen.values().flatten().copied());
            assert!(chi < 45.0, "{part:?}, party {party}: χ² = {chi:.1} of {n}");
        }
    }
}

/// Requirement 13: keys that a cheater made equal give no equal masks, because the index is part of the address. With equal masks
/// a_j - a_{j+1} = 0 and the summands of zeros would be zeros.
#[test]
fn req13_equal_keys_mask_as_well() {
    let views = views(
        |me| Prss::from_equal_keys(me, [42; 16]),
        |s, log| circuit(s, log, 600, 0),
    );
    for (party, view) in views.into_iter().enumerate() {
        let shares: Vec<Bytes> = view
            .into_iter()
            .filter(|(_, label, _)| kind(*label, 0) == Some("shares"))
            .map(|(_, _, body)| body)
            .collect();
        let (chi, n) = chi_squared(shares.iter().flatten().map(|b| b & 15));
        assert!(
            n > 4000 && chi < 45.0,
            "party {party}: χ² = {chi:.1} of {n}"
        );
    }
}

/// Requirement 1: P_{i-1} gives the coin to P_i only when it has all of P_i's messages. Here P_2 holds back its last product;
/// P_1, who waits for it, must not have sent its part of any coin.
#[test]
fn req1_no_coin_before_the_last_message() {
    struct Holding {
        inner: MemNet,
        hold: bool,
    }
    impl Transport for Holding {
        fn me(&self) -> PartyId {
            self.inner.me()
        }
        fn send(&self, to: PartyId, frame: Bytes) -> std::result::Result<(), net::Error> {
            if self.hold && to == 1 {
                return Ok(());
            }
            self.inner.send(to, frame)
        }
        fn recv(&self, from: PartyId) -> std::result::Result<Bytes, net::Error> {
            self.inner.recv(from)
        }
    }
    for hold in [false, true] {
        let deadline = std::time::Duration::from_millis(if hold { 300 } else { 20_000 });
        let nets = MemNet::mesh_with_deadline(3, deadline);
        let coins = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for inner in nets {
                let coins = &coins;
                scope.spawn(move || {
                    let me = inner.me();
                    let net = Holding {
                        hold: hold && me == 2,
                        inner,
                    };
                    let s = Session::new(
                        Arc::new(net),
                        Prss::from_seed(me, 9),
                        Arc::from(kernels::cpu()),
                    );
                    let before = s.cost().messages;
                    let result = one_product(&s);
                    assert_eq!(result.is_ok(), !hold, "party {me}: {result:?}");
                    if me == 1 {
                        coins
                            .lock()
                            .expect("no panic")
                            .push(s.cost().messages - before);
                    }
                });
            }
        });
        // P_1 sends its summand, and the parts of coins only if it has P_2's.
        let sent = coins.into_inner().expect("no panic")[0];
        assert_eq!(sent == 1, hold, "{sent} messages");
    }
}

fn one_product(s: &Session) -> Result<()> {
    let log = Log::default();
    s.fan_out(1, async |strand: Strand<'_>| {
        let c = Circuit { strand, log: &log };
        let x: Vec<R64> = vec![Wrapping(7)];
        let x = input(&c, 0, 1, Some(&x)).await?;
        product(&c, &[(x.clone(), x)], Support::Full).await
    })?;
    verify(s, &log)
}
