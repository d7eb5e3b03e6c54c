//! One message of one party altered, at every place of every gate: relations of that party fail and of no other, the two honest
//! parties hold the same of the share that both have, and the proof is rejected.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::session::HEADER;
use tacit_nn::Table;
use tacit_nn::program::Scaled;

use super::super::bilinear::Rounding;
use super::super::check::{Outcome, run, violations};
use super::super::circuit::Circuit;
use super::super::compare::{negative, zero};
use super::super::convert::{select, to_arithmetic};
use super::super::exact::{floor, truncate_exact};
use super::super::exp::exp;
use super::super::pair::Words;
use super::super::product::{Support, product};
use super::super::scaled::scaled;
use super::super::table::evaluate;
use super::super::truncate::truncate;
use crate::rep3::exp::{ExpTables, RELATIVE};
use crate::rep3::lookup::Prepared;
use crate::rep3::scaled::Normalised;

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

/// A third of the gates each, so that a run stays short.
#[derive(Clone, Copy)]
enum Part {
    Basic,
    Exact,
    Functions,
}

async fn circuit(c: &Circuit<'_>, part: Part, x: &[Words]) -> tacit_mpc::Result<Vec<Words>> {
    let f = 18;
    Ok(match part {
        Part::Basic => {
            let z = product(c, &[(x[0].clone(), x[1].clone())], Support::Full).await?;
            let bit = negative(c, &x[0], 40).await?;
            vec![truncate(c, &z, f).await?, select(c, &bit, &x[1]).await?]
        }
        Part::Exact => {
            let bit = zero(c, &x[0]).await?;
            vec![
                truncate_exact(c, &x[0], f).await?,
                floor(c, &x[1], f).await?,
                to_arithmetic(c, &bit, 64).await?,
            ]
        }
        Part::Functions => {
            let table = Table::within("1/x", f64::recip, (1.0, 4.0), 2.0, 1e-4).unwrap();
            let table = Prepared::new(&table, f).unwrap();
            let normalised = Normalised::new(Scaled::Reciprocal, -2, 3, f).unwrap();
            vec![
                evaluate(c, &table, &x[0], None, Rounding::Masked).await?,
                exp(c, &ExpTables::new(RELATIVE, f), &x[0], Rounding::Masked).await?,
                scaled(c, &normalised, &x[0], Rounding::Masked).await?,
            ]
        }
    })
}

fn outcome(nets: Vec<Arc<dyn Transport>>, part: Part) -> Outcome {
    let x: Vec<u64> = (0..9).map(|i| (1 << 18) + (i << 15)).collect();
    let y: Vec<u64> = (0..9).map(|i| (3 << 18) - (i << 16)).collect();
    run(nets, 21, &[x, y], async |c, v| circuit(c, part, &v).await)
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
