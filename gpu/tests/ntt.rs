//! Transforms on the emulated device, against what they are by definition.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tacit_gpu::{Field, NttError, Polynomials, Transforms, primes};
use tacit_gpu_emulator::Emulator;

const FIELDS: [(Field, u32); 3] = [
    (Field::Prime62, 62),
    (Field::Prime47, 47),
    (Field::Prime30, 30),
];

fn times(a: u64, b: u64, p: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

fn power(a: u64, e: u64, p: u64) -> u64 {
    (0..64).rev().fold(1, |x, bit| {
        let square = times(x, x, p);
        if e >> bit & 1 == 1 {
            times(square, a, p)
        } else {
            square
        }
    })
}

fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut x = seed | 1;
    move || {
        x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ seed;
        x
    }
}

fn device(order: u64) -> Emulator {
    Emulator {
        order,
        folding: false,
    }
}

/// Coefficients are evaluations: all of them at one root of unity's odd powers, each of which is found once.
fn evaluates(field: Field, bits: u32, log_size: u32, order: u64) {
    let n = 1_usize << log_size;
    let moduli = primes(bits, log_size + 1, 2);
    let device = device(order);
    let transforms = Transforms::new(&device, field, log_size, &moduli).unwrap();
    let mut next = dice(u64::from(log_size) + order);
    // Random polynomials, those of the largest values, and X, whose transform is the points themselves.
    let mut values: Vec<u64> = Vec::new();
    for kind in 0..3 {
        for &p in &moduli {
            values.extend((0..n).map(|i| match kind {
                0 => next() % p,
                1 => p - 1,
                _ => u64::from(i == 1),
            }));
        }
    }
    let mut memory = transforms.upload(&values).unwrap();
    transforms.forward(&mut memory, values.len()).unwrap();
    let found = transforms.download(&memory, values.len()).unwrap();
    for (l, &p) in moduli.iter().enumerate() {
        let points = &found[(4 + l) * n..][..n];
        assert!(
            points.iter().all(|&x| power(x, n as u64, p) == p - 1),
            "odd powers of a root of order 2N"
        );
        let mut sorted = points.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), n);
        for kind in 0..2 {
            let at = (2 * kind + l) * n;
            for k in [0, 1, n / 2 - 1, n / 2, n - 1, next() as usize % n] {
                let horner = values[at..][..n].iter().rev();
                let wanted = horner.fold(0, |sum, &c| {
                    ((u128::from(times(sum, points[k], p)) + u128::from(c)) % u128::from(p)) as u64
                });
                assert_eq!(
                    found[at + k],
                    wanted,
                    "{field:?} 2^{log_size} coefficient {k}"
                );
            }
        }
    }
    transforms
        .backward(&mut memory, None, values.len())
        .unwrap();
    assert_eq!(
        transforms.download(&memory, values.len()).unwrap(),
        values,
        "{field:?} 2^{log_size} and back"
    );
}

#[test]
fn coefficients_are_evaluations_and_come_back() {
    for (field, bits) in FIELDS {
        for (order, log_size) in (9..=13).enumerate() {
            evaluates(field, bits, log_size, order as u64);
        }
    }
}

#[test]
fn long_transforms_take_two_launches() {
    for (field, bits) in FIELDS {
        for log_size in 14..=16 {
            evaluates(field, bits, log_size, 2);
        }
    }
}

/// A product on transforms against the schoolbook's, of sparse and of largest factors.
#[test]
fn products_are_those_of_polynomials() {
    for (field, bits) in FIELDS {
        for log_size in [10, 14] {
            let n = 1_usize << log_size;
            let p = primes(bits, log_size + 1, 1)[0];
            let device = device(1);
            let transforms = Transforms::new(&device, field, log_size, &[p]).unwrap();
            let mut next = dice(3);
            let a: Vec<u64> = (0..n).map(|_| p - 1 - next() % 3).collect();
            let places: Vec<(usize, u64)> =
                (0..9).map(|_| (next() as usize % n, next() % p)).collect();
            let mut b = vec![0; n];
            places.iter().for_each(|&(at, c)| b[at] = c);
            let mut wanted = vec![0_u64; n];
            for (at, &c) in b.iter().enumerate().filter(|(_, c)| **c != 0) {
                for (i, &x) in a.iter().enumerate() {
                    let y = times(x, c, p);
                    let (to, y) = if i + at < n {
                        (i + at, y)
                    } else {
                        (i + at - n, p - y)
                    };
                    wanted[to] = ((u128::from(wanted[to]) + u128::from(y)) % u128::from(p)) as u64;
                }
            }
            let mut x = transforms.upload(&a).unwrap();
            let mut y = transforms.upload(&b).unwrap();
            transforms.forward(&mut x, n).unwrap();
            transforms.forward(&mut y, n).unwrap();
            transforms.backward(&mut x, Some(&y), n).unwrap();
            assert_eq!(
                transforms.download(&x, n).unwrap(),
                wanted,
                "{field:?} 2^{log_size}"
            );
        }
    }
}

#[test]
fn polynomials_over_words_are_exact() {
    for (log_size, bits, order) in [(10, 128, 0), (11, 90, 1), (14, 128, 2)] {
        let n = 1_usize << log_size;
        let device = device(order);
        let polynomials = Polynomials::new(&device, log_size, bits).unwrap();
        let mut next = dice(7);
        // The largest words of either sign, and random ones; the second factor is sparse, so that a schoolbook is fast.
        let a: Vec<u64> = (0..2 * n)
            .map(|i| match i % 5 {
                0 => 1 << 63,
                1 => i64::MAX as u64,
                _ => next(),
            })
            .collect();
        let small = 128 - bits.min(128);
        let mut b = vec![0_u64; 2 * n];
        for _ in 0..16 {
            let at = next() as usize % (2 * n);
            b[at] = (next() as i64 >> small) as u64;
        }
        b[n - 1] = (1_u64 << 63)
            .cast_signed()
            .wrapping_shr(small)
            .cast_unsigned();
        let mut wanted = vec![0_u64; 2 * n];
        for (at, &c) in b.iter().enumerate().filter(|(_, c)| **c != 0) {
            let (which, at) = (at / n * n, at % n);
            for i in 0..n {
                let y = a[which + i].wrapping_mul(c);
                let (to, y) = if i + at < n {
                    (i + at, y)
                } else {
                    (i + at - n, y.wrapping_neg())
                };
                wanted[which + to] = wanted[which + to].wrapping_add(y);
            }
        }
        assert_eq!(
            polynomials.multiply(&a, &b).unwrap(),
            wanted,
            "2^{log_size}"
        );
        assert_eq!(
            polynomials.multiply(&b, &a).unwrap(),
            wanted,
            "2^{log_size}"
        );
    }
}

#[test]
fn what_cannot_be_transformed_is_refused() {
    let device = device(0);
    let new = |log_size, p: u64| Transforms::new(&device, Field::Prime62, log_size, &[p]).err();
    let p = primes(62, 11, 1)[0];
    assert_eq!(new(8, p), Some(NttError::Size { log_size: 8 }));
    assert_eq!(new(17, p), Some(NttError::Size { log_size: 17 }));
    for bad in [0, 1, p + 2, 65_537 * 65_537, u64::MAX] {
        assert!(
            matches!(new(10, bad), Some(NttError::Prime { prime, .. }) if prime == bad),
            "{bad}"
        );
    }
    let large = Transforms::new(&device, Field::Prime30, 10, &[p]).err();
    assert!(matches!(large, Some(NttError::Prime { .. })));
    let transforms = Transforms::new(&device, Field::Prime62, 10, &[p]).unwrap();
    assert!(transforms.upload(&[0; 1000]).is_err());
    assert!(Polynomials::new(&device, 20, 128).is_err());
    let polynomials = Polynomials::new(&device, 10, 128).unwrap();
    assert!(polynomials.multiply(&[0; 1024], &[0; 2048]).is_err());
}
