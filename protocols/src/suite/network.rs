//! What an observer of the links sees, and what happens when frames are lost or damaged.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ndarray::ArrayD;
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::session::parse_frame;
use tacit_mpc::{Bilinear, Error};
use tacit_nn::{Result, program};

use super::{Shares, World, column, share};

/// What one link carried in one direction: bodies of messages.
type Carried = Vec<Bytes>;

/// Products, roundings, comparisons and selections of two inputs of which every entry is the same.
fn program<E: Shares>(e: &mut E, inputs: &[ArrayD<f64>]) -> Result<ArrayD<f64>> {
    let v = share(e, inputs)?;
    e.begin_run()?;
    let z = e.bilinear(Bilinear::Mul, &v[0], &v[1], 1.0)?;
    e.begin_node(1);
    let y = e.map(&program::relu(), &[&z])?;
    e.reveal(&y[0])
}

/// What each link of a run carried.
fn carried(world: &impl World, inputs: &[ArrayD<f64>]) -> Vec<((usize, usize), Carried)> {
    let links = world.links();
    let seen: Vec<Mutex<Carried>> = (0..links * links).map(|_| Mutex::default()).collect();
    let seen = Arc::new(seen);
    let tap = |net: MemNet| {
        let (me, seen) = (net.me(), Arc::clone(&seen));
        Arc::new(Tamper::new(net, move |to, frame: Bytes| {
            // Agreements on keys are no messages of the program.
            if let Ok(messages) = parse_frame(frame.clone()) {
                let bodies = messages.into_iter().map(|(.., body)| body);
                seen[me * links + to].lock().unwrap().extend(bodies);
            }
            vec![frame]
        })) as Arc<dyn Transport>
    };
    let nets = MemNet::mesh(links).into_iter().map(tap).collect();
    for result in world.run(nets, |e| program(e, inputs)) {
        result.unwrap();
    }
    let all = seen.iter().enumerate();
    all.map(|(k, bodies)| {
        let bodies = std::mem::take(&mut *bodies.lock().unwrap());
        ((k / links, k % links), bodies)
    })
    .collect()
}

/// Of equal inputs: the bytes of every link pass a test of uniformity, and no two messages of more than 128 bytes, of one run or
/// of two, are the same.
///
/// Pearson's statistic of n uniform bytes has 255 degrees of freedom: mean 255, standard deviation √510; 12 of them are exceeded
/// with probability far below 2^-60, and a plain word repeated among a hundred gives many thousands.
pub fn step_14_what_is_sent_looks_uniform_and_is_never_sent_twice(world: &impl World) {
    let n = 3 * 64 * 20;
    let inputs = [1.5, -2.25].map(|x| column((0..n).map(|_| x)));
    let mut seen = HashSet::new();
    let mut links = 0;
    for _ in 0..2 {
        for ((from, to), bodies) in carried(world, &inputs) {
            let mut counts = [0u64; 256];
            for body in &bodies {
                body.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
                // Shorter ones may be public, such as settings and their hashes.
                let reader = world.broadcasts().then_some(to);
                let fresh = body.len() <= 128 || seen.insert((reader, body.clone()));
                assert!(
                    fresh,
                    "P_{from} sent P_{to} {} bytes that were sent before",
                    body.len()
                );
            }
            let total = counts.iter().sum::<u64>() as f64;
            if total < 4096.0 {
                continue;
            }
            links += 1;
            let expected = total / 256.0;
            let off = counts.iter().map(|&c| (c as f64 - expected).powi(2));
            let statistic = off.sum::<f64>() / expected;
            let most = 255.0 + 12.0 * 510f64.sqrt();
            assert!(
                statistic < most,
                "what P_{from} sends P_{to} is not uniform: {statistic:.0} of {most:.0}, {total} bytes"
            );
        }
    }
    assert!(links >= 2, "{links} links carried anything to look at");
}

/// One frame is lost, each in its turn up to a dozen a link: nobody waits for ever and nobody computes something else. One is
/// cut or longer: an error names its sender.
pub fn step_15_a_lost_frame_ends_the_run_and_garbage_names_its_sender(world: &impl World) {
    let inputs = [1.5, -2.25].map(|x| column((0..9).map(|_| x)));
    // Agreements on keys come first; frames from there on are of the program.
    let mut failed = [0, 0];
    for sender in 0..world.links().min(3) {
        for at in 2..10 {
            for (garbage, failed) in [false, true].into_iter().zip(&mut failed) {
                let nets = MemNet::mesh_with_deadline(world.links(), Duration::from_millis(200));
                let sent = Arc::new(AtomicUsize::new(0));
                let attack = |net: MemNet| -> Arc<dyn Transport> {
                    if net.me() != sender {
                        return Arc::new(net);
                    }
                    let sent = Arc::clone(&sent);
                    Arc::new(Tamper::new(net, move |_, frame: Bytes| {
                        // Nor are messages without a body: how far a party is, which a dealer may need and may not.
                        let computes = parse_frame(frame.clone())
                            .is_ok_and(|messages| messages.iter().any(|m| !m.2.is_empty()));
                        if !computes || sent.fetch_add(1, Ordering::Relaxed) != at {
                            return vec![frame];
                        }
                        if garbage {
                            return vec![frame.slice(..frame.len() - 1)];
                        }
                        vec![]
                    }))
                };
                let nets = nets.into_iter().map(attack).collect();
                let results = world.run(nets, |e| program(e, &inputs));
                let hit = sent.load(Ordering::Relaxed) > at;
                let errors: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
                // A frame may be lost that nobody needed any more only where all have the result.
                for result in results.iter().flatten() {
                    assert!(result.iter().all(|&y| y == 0.0), "a wrong result");
                }
                if garbage && hit {
                    let named = errors.iter().any(|e| culprit(e) == Some(sender));
                    assert!(named, "frame {at} of P_{sender} was cut: {errors:?}");
                }
                *failed += usize::from(!errors.is_empty());
            }
        }
    }
    assert!(failed.iter().all(|&n| n > 3), "{failed:?} runs failed");
}

/// Whom an error names.
fn culprit(error: &tacit_nn::Error) -> Option<usize> {
    match error {
        tacit_nn::Error::Protocol(e) => e.downcast_ref::<Error>()?.culprit(),
        _ => None,
    }
}
