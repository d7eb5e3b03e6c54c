//! Boolean circuits, of an engine that runs them.

use std::fmt::Write;

use tacit_circuits::{Circuit, Clear, Plan};

use super::{Shares, World, in_memory};
use crate::BooleanEngine;

/// A circuit of two words of `n` bits: their sum, and all bits of the first inverted.
fn adder(n: usize) -> Circuit {
    let (mut gates, mut next, mut sum) = (Vec::new(), 2 * n, Vec::new());
    let mut carry = None;
    for bit in 0..n {
        let mut gate = |gates: &mut Vec<String>, x: usize, y: usize, name: &str| {
            gates.push(format!("2 1 {x} {y} {next} {name}"));
            next += 1;
            next - 1
        };
        let (x, y) = (bit, n + bit);
        let half = gate(&mut gates, x, y, "XOR");
        let Some(c) = carry else {
            carry = Some(gate(&mut gates, x, y, "AND"));
            sum.push(half);
            continue;
        };
        sum.push(gate(&mut gates, half, c, "XOR"));
        // The carry is c where the bits differ, and x elsewhere: x ⊕ (x ⊕ y)(x ⊕ c).
        let other = gate(&mut gates, x, c, "XOR");
        let both = gate(&mut gates, half, other, "AND");
        carry = Some(gate(&mut gates, x, both, "XOR"));
    }
    // Outputs are the last wires, in order.
    for wire in sum {
        gates.push(format!("1 1 {wire} {next} EQW"));
        next += 1;
    }
    for wire in 0..n {
        gates.push(format!("1 1 {wire} {next} INV"));
        next += 1;
    }
    let mut text = format!("{} {next}\n2 {n} {n}\n2 {n} {n}\n\n", gates.len());
    gates.iter().for_each(|gate| {
        let _ = writeln!(text, "{gate}");
    });
    Circuit::parse(&text).unwrap()
}

/// A circuit of two bits x and y, `depth` conjunctions deep: x becomes ¬(xy) ⊕ y again and again.
fn chain(depth: usize) -> Circuit {
    let (mut text, mut wire) = (String::new(), 0);
    for k in 0..depth {
        let next = 2 + 3 * k;
        let (not, out) = (next + 1, next + 2);
        let _ = writeln!(text, "2 1 {wire} 1 {next} AND");
        let _ = writeln!(text, "1 1 {next} {not} INV");
        let _ = writeln!(text, "2 1 {not} 1 {out} XOR");
        wire = out;
    }
    let gates = 3 * depth;
    Circuit::parse(&format!("{gates} {}\n2 1 1\n1 1\n\n{text}", gates + 2)).unwrap()
}

/// Sums of shared words by a circuit, of one instance and of many, and a circuit deeper than what has addresses in one pass.
pub fn step_16_circuits_are_those_in_the_clear<W: World>(world: &W)
where
    W::Engine: BooleanEngine,
{
    let adder = Plan::new(&adder(32));
    let cases = [1usize, 65, 5000].map(|instances| (&adder, instances));
    let deep = Plan::new(&chain(1500));
    for (plan, instances) in cases.into_iter().chain([(&deep, 70)]) {
        let width = plan.inputs()[0];
        let words = instances.div_ceil(64);
        let mut state = 7u64;
        let mut planes = || -> Vec<Vec<u64>> {
            let mut word = |at: usize| {
                // Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z & u64::MAX >> (64 - (instances - 64 * at).min(64))
            };
            (0..width)
                .map(|_| (0..words).map(&mut word).collect())
                .collect()
        };
        let inputs = [planes(), planes()];
        let mut want = Clear { instances }.run(plan, inputs.to_vec());
        if instances % 64 != 0 {
            let last = want.iter_mut().flatten().filter_map(|p| p.last_mut());
            last.for_each(|word| *word &= (1 << (instances % 64)) - 1);
        }
        let opened = world.run(in_memory(world), |e| {
            let (me, parties) = (e.me(), e.parties());
            let owners = [parties - 1, 0];
            let mut shared = Vec::new();
            for (owner, x) in owners.into_iter().zip(&inputs) {
                let mine = (me == owner).then_some(&x[..]);
                shared.push(e.share_bits(owner, instances, width, mine)?);
            }
            let outputs = e.run_circuit(plan, &[&shared[0], &shared[1]])?;
            outputs.iter().map(|y| e.open_bits(y)).collect()
        });
        for opened in opened {
            let opened: Vec<_> = opened.unwrap();
            assert_eq!(opened, want, "{instances} instances");
        }
    }
}
