//! One message of one party altered, at every place of every gate: relations of that party fail and of no other, the two honest
//! parties hold the same of the share that both have, and the proof is rejected.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::session::HEADER;

use super::super::check::{Outcome, run, violations};
use super::every::{Part, circuit, inputs};

/// Links on which message `number` of the cheater has one bit flipped, of the first word.
fn altered(cheater: usize, number: usize, bit: u32) -> Vec<Arc<dyn Transport>> {
    let nets = MemNet::mesh_with_deadline(3, Duration::from_secs(5));
    let alter = |net: MemNet| {
        if net.me() != cheater {
            return Arc::new(net) as Arc<dyn Transport>;
        }
        let mut sent = 0;
        Arc::new(Tamper::new(net, move |_, frame: Bytes| {
            let (mut bytes, mut at) = (frame.to_vec(), 0);
            while at < bytes.len() {
                let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
                if sent == number {
                    // A chunk has three values: three bits of a message belong to them at least.
                    let bit = bit as usize % (8 * len).min(3);
                    bytes[at + HEADER + bit / 8] ^= 1 << (bit % 8);
                }
                sent += 1;
                at += HEADER + len;
            }
            vec![bytes.into()]
        }))
    };
    nets.into_iter().map(alter).collect()
}

fn outcome(nets: Vec<Arc<dyn Transport>>, part: Part) -> Outcome {
    run(nets, 21, &inputs(), async |c, v| circuit(c, part, &v).await)
}

fn sweep(part: Part, every: usize) {
    let honest = outcome(tacit_mpc::simulate::mem(), part).honest();
    let mut tried = 0;
    for cheater in 0..3 {
        for number in (cheater..honest.messages[cheater] as usize).step_by(every) {
            let r = outcome(altered(cheater, number, number as u32), part);
            // The cheater goes on with what it should have sent: later relations of its own may fail as well.
            let found = violations(&r.logs, &[cheater]);
            assert!(
                !found.is_empty() && found.iter().all(|v| v.prover == cheater),
                "party {cheater}, message {number}: {found:?}"
            );
            let common = (cheater + 2) % 3;
            assert!(
                r.torn.iter().all(|&(_, share)| share != common),
                "party {cheater}, message {number}: honest copies differ"
            );
            let accepts = (0..3).filter(|&p| p != cheater && r.proved[p]);
            assert_eq!(
                accepts.count(),
                0,
                "party {cheater}, message {number}: accepted"
            );
            tried += 1;
        }
    }
    println!("{tried} altered messages");
    assert!(tried > 20);
}

#[test]
fn an_altered_message_of_a_basic_gate_breaks_a_relation_of_its_sender() {
    sweep(Part::Basic, 2);
}

#[test]
fn an_altered_message_of_an_exact_gate_breaks_a_relation_of_its_sender() {
    sweep(Part::Exact, 3);
}

#[test]
fn an_altered_message_of_a_function_breaks_a_relation_of_its_sender() {
    sweep(Part::Functions, 7);
}

#[test]
#[ignore = "every message: a minute"]
fn every_altered_message_breaks_a_relation_of_its_sender() {
    for part in [Part::Basic, Part::Exact, Part::Functions] {
        sweep(part, 1);
    }
}
