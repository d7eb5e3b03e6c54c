use proptest::prelude::*;
use proptest::sample::select;

use super::super::super::lookup::tests::fnv;
use super::*;

const TESTS: [Test; 2] = [Test::Below, Test::Equal];

/// Blocks from a counter: for tests, as good as uniform.
fn blocks(seed: u64, n: usize) -> Vec<u128> {
    let mut blocks: Vec<u128> = (0..n as u128).collect();
    Hash::new(&u128::from(seed).to_be_bytes()).apply(&mut blocks);
    blocks
}

fn roots(seed: u64, n: usize) -> [Vec<u128>; 2] {
    let mut zero = blocks(seed, 2 * n);
    let one = zero.split_off(n);
    [zero, one]
}

fn on_the_wire(words: &[u128]) -> Vec<[u8; 16]> {
    words.iter().map(|w| w.to_le_bytes()).collect()
}

/// Both keys' shares for one α and one x each.
fn shares(alpha: &[u64], x: &[u64], bits: u32, test: Test, seed: u64) -> [Vec<u64>; 2] {
    let hash = Hash::new(&[3; 16]);
    let [zero, one] = roots(seed, alpha.len());
    let words = generate(&hash, [zero.clone(), one.clone()], alpha, bits, test);
    assert_eq!(words.len(), (levels(bits) as usize + 1) * alpha.len());
    let words = on_the_wire(&words);
    [(0, zero), (1, one)].map(|key| evaluate(&hash, key, x, bits, test, &words))
}

fn holds(test: Test, x: u64, alpha: u64) -> u64 {
    u64::from(match test {
        Test::Below => x < alpha,
        Test::Equal => x == alpha,
    })
}

/// Every α at every x, below, at and above the width of the last word.
#[test]
fn keys_give_the_function_on_the_whole_of_small_domains() {
    for bits in [1, 2, 6, 7, 8, 9, 10] {
        let size = 1u64 << bits;
        let pairs = (0..size).flat_map(|alpha| (0..size).map(move |x| (alpha, x)));
        let (alpha, x): (Vec<u64>, Vec<u64>) = pairs.unzip();
        for test in TESTS {
            let [zero, one] = shares(&alpha, &x, bits, test, u64::from(bits));
            for (i, (alpha, x)) in alpha.iter().zip(&x).enumerate() {
                let want = holds(test, *x, *alpha);
                assert_eq!(
                    zero[i] ^ one[i],
                    want,
                    "{test:?} {x} {alpha} of {bits} bits"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn keys_give_the_function_on_large_domains(bits in 11u32..=64, test in select(&TESTS[..]), seed: u64, alpha: Vec<u64>) {
        let low = u64::MAX >> (64 - bits);
        let alpha: Vec<u64> = alpha.iter().map(|a| a & low).chain([0, low, 1, low >> 1]).collect();
        for x in [|a: u64| a, |a: u64| a.wrapping_sub(1), |a: u64| a.wrapping_add(1), |_| 0, |_| u64::MAX, |a: u64| a ^ 1 << 40] {
            let x: Vec<u64> = alpha.iter().map(|&a| x(a) & low).collect();
            let [zero, one] = shares(&alpha, &x, bits, test, seed);
            for i in 0..x.len() {
                prop_assert_eq!(zero[i] ^ one[i], holds(test, x[i], alpha[i]));
            }
        }
    }
}

/// Golden words (R7): the correction words, folded by FNV-1a, as `tests/spec/golden.py` computes them with an AES of its own.
#[test]
fn r7_correction_words_are_these_on_every_build() {
    let alpha: Vec<u64> = (0..97u64)
        .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect();
    for (bits, test, want) in [
        (63, Test::Below, BELOW),
        (64, Test::Equal, EQUAL),
        (18, Test::Below, SHORT),
    ] {
        let low = u64::MAX >> (64 - bits);
        let alpha: Vec<u64> = alpha.iter().map(|a| a & low).collect();
        let root = |j: u128| -> Vec<u128> {
            let constant = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3211;
            (0..97)
                .map(|i: u128| (2 * i + j + 1).wrapping_mul(constant))
                .collect()
        };
        let hash = Hash::new(&std::array::from_fn(|i| 7 * i as u8));
        let words = generate(&hash, [root(0), root(1)], &alpha, bits, test);
        let halves = words.iter().flat_map(|w| [*w as u64, (*w >> 64) as u64]);
        assert_eq!(fnv(halves), want, "{bits} {test:?}");
    }
}

const BELOW: u64 = 0x0DB2_F279_1B23_3EF0;
const EQUAL: u64 = 0x74DF_FD48_5877_0A4C;
const SHORT: u64 = 0x347F_7B58_55B0_E9B2;

/// How far the number of ones in a column of bits is from a half, in standard deviations: the worst of all columns.
fn worst(rows: &[Vec<u128>]) -> f64 {
    let columns = rows[0].len() * 128;
    let bias = |c: usize| {
        let ones = rows.iter().filter(|r| r[c / 128] >> (c % 128) & 1 == 1);
        (2.0 * ones.count() as f64 - rows.len() as f64) / (rows.len() as f64).sqrt()
    };
    (0..columns).map(|c| bias(c).abs()).fold(0.0, f64::max)
}

/// What one key shows of α: for 4,000 keys of the same α every bit of the correction words, and of what the holder computes from
/// them at all x near α, is balanced, and so is its product with what another α gives under the same root of the holder.
#[test]
fn one_key_alone_looks_the_same_for_every_alpha() {
    const KEYS: usize = 4000;
    let (bits, hash) = (9, Hash::new(&[3; 16]));
    for test in TESTS {
        for holder in 0..2 {
            let view = |alpha: u64, other_seed: u64| -> Vec<Vec<u128>> {
                let [own, _] = roots(11, KEYS);
                let [other, _] = roots(other_seed, KEYS);
                let both = if holder == 0 {
                    [own.clone(), other]
                } else {
                    [other, own.clone()]
                };
                let words = generate(&hash, both, &vec![alpha; KEYS], bits, test);
                let sent = on_the_wire(&words);
                let outputs: Vec<Vec<u64>> = (0..128)
                    .map(|x| {
                        let x = vec![alpha.wrapping_sub(64).wrapping_add(x) & 511; KEYS];
                        evaluate(&hash, (holder, own.clone()), &x, bits, test, &sent)
                    })
                    .collect();
                (0..KEYS)
                    .map(|i| {
                        let level = |l: usize| words[l * KEYS + i];
                        // The unused bits of a word of a level: those of a seed are 125.
                        let mut row: Vec<u128> = (0..3).map(level).collect();
                        let has_value = u128::from(test == Test::Below);
                        for (l, word) in row[..2].iter_mut().enumerate() {
                            // A bit that is always zero is no bit of the key.
                            assert!(has_value == 1 || *word & 2 == 0, "level {l}");
                            *word |= (1 - has_value) * (u128::from(i as u64 & 1) << 1);
                        }
                        row.push((0..128).map(|x| u128::from(outputs[x][i]) << x).sum());
                        row
                    })
                    .collect()
            };
            let (x, y) = (view(137, 12), view(411, 13));
            let product = |x: &[Vec<u128>], y: &[Vec<u128>]| -> Vec<Vec<u128>> {
                let rows = x.iter().zip(y);
                rows.map(|(x, y)| x.iter().zip(y).map(|(x, y)| x ^ y).collect())
                    .collect()
            };
            // 512 columns: 5 deviations are passed once in 3,000 runs, and this run is always the same.
            for (what, rows) in [("alone", &x), ("of the other", &y)] {
                assert!(
                    worst(rows) < 5.0,
                    "{test:?} {holder} {what}: {}",
                    worst(rows)
                );
            }
            if test == Test::Below {
                let both = worst(&product(&x, &y));
                assert!(both < 5.0, "{test:?} {holder} together: {both}");
                // Were the other root used twice, the words would tell the two α apart: the test can fail.
                let reused = view(411, 12);
                assert!(worst(&product(&x, &reused)) > 50.0);
            }
        }
    }
}

/// Words that a cheater or a broken link made up give some bit, and no failure.
#[test]
fn any_words_give_some_bit() {
    let (n, bits) = (40, 20);
    let words = on_the_wire(&blocks(5, (levels(bits) as usize + 1) * n));
    let x: Vec<u64> = (0..n as u64).collect();
    let shares = evaluate(
        &Hash::new(&[3; 16]),
        (0, blocks(6, n)),
        &x,
        bits,
        Test::Below,
        &words,
    );
    assert!(shares.iter().all(|&s| s < 2));
    assert!((1..n as u64).contains(&shares.iter().sum()));
}
