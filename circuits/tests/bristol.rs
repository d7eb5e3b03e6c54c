//! The circuits of the Bristol collection, against FIPS 197, FIPS 180-4 and the arithmetic of the processor.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use tacit_circuits::{Circuit, Clear, Plan, from_planes, shared, to_planes};

/// The output of each instance, from the inputs of each, all as bytes from the least significant one.
fn outputs(circuit: &Circuit, inputs: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let instances = inputs[0].len();
    let planes = (inputs.iter().zip(circuit.inputs()))
        .map(|(values, &bits)| to_planes(values, bits))
        .collect();
    let planes = Clear { instances }.run(&Plan::new(circuit), planes);
    from_planes(&planes[0], instances)
}

/// Pseudo-random bytes, enough for a test.
fn bytes(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// From the most significant byte, as standards write numbers, or back.
fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

#[test]
fn aes_is_that_of_fips_197() {
    let Some(aes) = shared("aes_128.txt") else {
        return;
    };
    assert_eq!((aes.ands(), Plan::new(&aes).depth()), (6_400, 60));
    // Appendix C.1, and random keys and blocks.
    let mut keys = vec![hex("000102030405060708090a0b0c0d0e0f")];
    let mut blocks = vec![hex("00112233445566778899aabbccddeeff")];
    keys.extend((1..70).map(|k| bytes(k, 16)));
    blocks.extend((1..70).map(|k| bytes(k + 100, 16)));
    let inputs = [&keys, &blocks].map(|x| x.iter().cloned().map(reversed).collect());
    let found = outputs(&aes, &inputs);
    assert_eq!(
        reversed(found[0].clone()),
        hex("69c4e0d86a7b0430d8cdb78070b4c55a")
    );
    for ((key, block), found) in keys.iter().zip(&blocks).zip(found) {
        let cipher = aes::Aes128::new(&Array::try_from(&key[..]).unwrap());
        let mut block = Array::try_from(&block[..]).unwrap();
        cipher.encrypt_block(&mut block);
        assert_eq!(reversed(found), block.to_vec());
    }
}

#[test]
fn sha_256_is_that_of_fips_180() {
    let Some(sha) = shared("sha256.txt") else {
        return;
    };
    assert_eq!(sha.ands(), 22_573);
    let start = hex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19");
    // One block: the message, a one, zeros, its length in bits.
    for (message, digest) in [
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
    ] {
        let mut block = message.as_bytes().to_vec();
        block.push(0x80);
        block.resize(56, 0);
        block.extend((8 * message.len() as u64).to_be_bytes());
        let inputs = [vec![reversed(block)], vec![reversed(start.clone())]];
        let found = outputs(&sha, &inputs).remove(0);
        assert_eq!(reversed(found), hex(digest), "{message:?}");
    }
}

#[test]
fn arithmetic_is_that_of_the_processor() {
    type Operation = fn(u64, u64) -> u64;
    let all: [(&str, Operation); 4] = [
        ("adder64.txt", u64::wrapping_add),
        ("sub64.txt", u64::wrapping_sub),
        ("mult64.txt", u64::wrapping_mul),
        ("udivide64.txt", |a, b| a / b),
    ];
    for (name, operation) in all {
        let Some(circuit) = shared(name) else {
            continue;
        };
        let number = |seed: u64, k: u64| u64::from_le_bytes(bytes(seed + k, 8).try_into().unwrap());
        let mut pairs: Vec<[u64; 2]> = (1..200)
            .map(|k| [number(1, k), number(1000, k) >> (k % 64)])
            .collect();
        for a in [0, 1, 1 << 63, u64::MAX] {
            pairs.extend([1, 2, 1 << 63, u64::MAX].map(|b| [a, b]));
        }
        pairs.retain(|[_, b]| *b != 0);
        let inputs = [0, 1].map(|k| pairs.iter().map(|p| p[k].to_le_bytes().into()).collect());
        for ([a, b], found) in pairs.iter().zip(outputs(&circuit, &inputs)) {
            let want = operation(*a, *b).to_le_bytes();
            assert_eq!(found, want, "{name}: {a} and {b}");
        }
    }
}

/// A plan that forgot a wire too early or too late, or ran a conjunction in the wrong layer, would show here: against gate after
/// gate in the order of the file.
#[test]
fn a_plan_computes_what_the_file_says() {
    let text = "7 10\n1 3\n2 1 3\n\n2 1 0 1 3 AND\n2 1 3 3 4 AND\n1 1 4 5 INV\n1 1 1 6 EQ\n2 1 5 6 7 XOR\n\
                2 1 0 2 8 XOR\n2 1 8 7 9 AND\n";
    let circuit = Circuit::parse(text).unwrap();
    let plan = Plan::new(&circuit);
    assert_eq!(plan.depth(), 3);
    let inputs: Vec<Vec<u8>> = (0..8u8).map(|x| vec![x]).collect();
    let out = Clear { instances: 8 }.run(&plan, vec![to_planes(&inputs, 3)]);
    assert_eq!(out.iter().map(Vec::len).collect::<Vec<_>>(), [1, 3]);
    for x in 0..8u8 {
        let [a, b, c] = [0, 1, 2].map(|k| x >> k & 1);
        let seven = a & b;
        let nine = (a ^ c) & seven;
        // The last four wires: 6; 7, 8, 9.
        let want = [1, seven, a ^ c, nine];
        let got = out.iter().flatten().map(|p| (p[0] >> x & 1) as u8);
        assert_eq!(got.collect::<Vec<_>>(), want, "{x:03b}");
    }
}
