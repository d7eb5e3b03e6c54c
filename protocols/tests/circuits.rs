//! Boolean circuits on shares: results, rounds and bytes, by both engines.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tacit_circuits::{Circuit, Clear, Plan, shared};
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Cost, Session};
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::Rep3Engine;
use tacit_protocols::{BooleanEngine, Replicated};

type Planes = Vec<Vec<u64>>;

/// Pseudo-random planes, with zeros past their end.
fn planes(seed: u64, width: usize, instances: usize) -> Planes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut plane = || {
        let words = (0..instances.div_ceil(64)).map(|k| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bits = (instances - 64 * k).min(64);
            state & (u64::MAX >> (64 - bits))
        });
        words.collect()
    };
    (0..width).map(|_| plane()).collect()
}

/// What every party opens of a circuit whose inputs are shared by different parties, and what each spent on the circuit alone.
fn on_shares<E: BooleanEngine + Replicated>(
    start: impl Fn(Session) -> E + Sync,
    circuit: &Circuit,
    inputs: &[Planes],
    instances: usize,
) -> Vec<(Vec<Planes>, Cost)> {
    let plan = Plan::new(circuit);
    simulate_seeded(mem(), 5, |session| {
        let mut e = start(session);
        let me = e.session().me();
        let shared: Vec<_> = (0..)
            .zip(inputs)
            .map(|(owner, x)| {
                let mine = (me == owner % 3).then_some(&x[..]);
                e.share_bits(owner % 3, instances, x.len(), mine).unwrap()
            })
            .collect();
        let before = e.session().cost();
        let outputs = e.run_circuit(&plan, &shared.iter().collect::<Vec<_>>());
        let outputs = outputs.unwrap();
        let after = e.session().cost();
        let cost = Cost {
            bytes: after.bytes - before.bytes,
            rounds: after.rounds - before.rounds,
            ..Cost::default()
        };
        let opened = outputs.iter().map(|x| e.open_bits(x).unwrap());
        (opened.collect(), cost)
    })
}

fn check(name: &str, sizes: &[usize]) {
    let Some(circuit) = shared(name) else {
        return;
    };
    let plan = Plan::new(&circuit);
    for &instances in sizes {
        let widths = circuit.inputs().iter();
        let inputs: Vec<Planes> = (1..)
            .zip(widths)
            .map(|(seed, &width)| planes(seed, width, instances))
            .collect();
        let mut want = Clear { instances }.run(&plan, inputs.clone());
        for plane in want.iter_mut().flatten() {
            if instances % 64 != 0 {
                *plane.last_mut().unwrap() &= (1 << (instances % 64)) - 1;
            }
        }
        let rep3 = |s| Rep3Engine::new(s, 18).unwrap();
        let malicious = |s| MaliciousEngine::new(s, 18).unwrap();
        let all = [
            on_shares(rep3, &circuit, &inputs, instances),
            on_shares(malicious, &circuit, &inputs, instances),
        ];
        for parties in &all {
            for (party, (got, _)) in parties.iter().enumerate() {
                assert_eq!(got, &want, "{name}, {instances} instances, party {party}");
            }
        }
        // One bit a conjunction, instance and party, layer by layer packed into bytes; a round a layer.
        for (_, cost) in &all[0] {
            let bits = (circuit.ands() * instances) as u64;
            let slack = (3 * plan.depth()) as u64;
            let bytes = bits.div_ceil(8)..=bits.div_ceil(8) + slack;
            assert!(bytes.contains(&cost.bytes), "{name}: {} bytes", cost.bytes);
            // A party may begin or end a round behind another.
            let off = cost.rounds.abs_diff(plan.depth() as u64);
            assert!(off <= 1, "{name}: {} rounds", cost.rounds);
        }
        let sent = |parties: &[(Vec<Planes>, Cost)]| parties.iter().map(|p| p.1.bytes).sum::<u64>();
        assert!(sent(&all[1]) >= sent(&all[0]), "{name}");
    }
}

#[test]
fn aes_on_shares_is_aes() {
    check("aes_128.txt", &[1, 70]);
}

#[test]
fn sha_256_on_shares_is_sha_256() {
    check("sha256.txt", &[2]);
}

#[test]
fn arithmetic_on_shares_is_that_of_the_circuits() {
    for name in ["adder64.txt", "sub64.txt", "mult64.txt", "udivide64.txt"] {
        check(name, &[65]);
    }
}

/// Chunks of many instances, cut at words.
#[test]
fn many_instances_run_in_chunks() {
    check("adder64.txt", &[20_000]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let text = "2 4\n2 1 1\n1 2\n\n2 1 0 1 2 XOR\n2 1 0 1 3 AND\n";
    let plan = Plan::new(&Circuit::parse(text).unwrap());
    let errors = simulate_seeded(mem(), 5, |session| {
        let mut e = Rep3Engine::new(session, 18).unwrap();
        let mine = e.session().me() == 0;
        let mut share = |n: usize, width: usize| {
            let x = planes(1, width, n);
            e.share_bits(0, n, width, mine.then_some(&x[..])).unwrap()
        };
        let (one, two, longer) = (share(3, 1), share(3, 2), share(4, 1));
        let refused = |e: &mut Rep3Engine, inputs: &[_]| {
            let error = e.run_circuit(&plan, inputs).map(|_| ()).unwrap_err();
            error.to_string()
        };
        let nothing = Plan::new(&Circuit::parse("1 1\n0\n1 1\n\n1 1 1 0 EQ\n").unwrap());
        let none = e.run_circuit(&nothing, &[]).map(|_| ()).unwrap_err();
        assert!(none.to_string().contains("without inputs"), "{none}");
        [
            refused(&mut e, &[&one, &two]),
            refused(&mut e, &[&one]),
            refused(&mut e, &[&one, &longer]),
            e.share_bits(e.session().me(), 3, 2, Some(&[vec![0]]))
                .unwrap_err()
                .to_string(),
        ]
    });
    for [wide, few, lengths, planes] in errors {
        assert!(
            wide.contains("[1, 2]") && few.contains("[1]"),
            "{wide} {few}"
        );
        assert!(lengths.contains("different numbers"), "{lengths}");
        assert!(planes.contains("2 planes of 3 bits"), "{planes}");
    }
}

/// Party 1 changes the last bit of one of its frames, at every place of a run: where a party may cheat, no other party opens
/// something else than the circuit gives.
#[test]
fn a_lie_in_a_proved_circuit_opens_nothing_wrong() {
    let Some(circuit) = shared("adder64.txt") else {
        return;
    };
    let (plan, instances) = (Plan::new(&circuit), 64);
    let inputs: Vec<Planes> = [1, 2].map(|seed| planes(seed, 64, instances)).into();
    let want = Clear { instances }.run(&plan, inputs.clone());
    let (mut aborted, mut right) = (0, 0);
    for (frame, victim) in (0..40).flat_map(|frame| [(frame, 0), (frame, 2)]) {
        let lie = |net: MemNet| -> Arc<dyn Transport> {
            if net.me() != 1 {
                return Arc::new(net);
            }
            let mut sent = 0;
            Arc::new(Tamper::new(net, move |to, bytes: Bytes| {
                let mut bytes = bytes.to_vec();
                if to == victim && sent == frame {
                    *bytes.last_mut().unwrap() ^= 1;
                }
                sent += usize::from(to == victim);
                vec![bytes.into()]
            }))
        };
        let nets = MemNet::mesh_with_deadline(3, Duration::from_secs(20));
        let opened = simulate_seeded(nets.into_iter().map(lie).collect(), 5, |session| {
            let mut e = MaliciousEngine::new(session, 18)?;
            let me = e.session().me();
            let mut bits = Vec::new();
            for (owner, x) in [1, 2].into_iter().zip(&inputs) {
                let mine = (me == owner).then_some(&x[..]);
                bits.push(e.share_bits(owner, instances, 64, mine)?);
            }
            let sums = e.run_circuit(&plan, &[&bits[0], &bits[1]])?;
            e.open_bits(&sums[0])
        });
        for party in [0, 2] {
            match &opened[party] {
                Ok(sum) => {
                    // The second frame to party 0 is the input of party 1: what it lies about there is its input.
                    let input = (frame, victim) == (1, 0);
                    assert!(sum == &want[0] || input, "frame {frame} to {victim}");
                    right += 1;
                }
                Err(_) => aborted += 1,
            }
        }
    }
    println!("{aborted} openings aborted, {right} were right");
    assert!(aborted > 20 && right > 0);
}
