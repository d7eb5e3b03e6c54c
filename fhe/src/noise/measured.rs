//! The formulas of this module, held to the noise that steps are seen to add.

use tacit_mpc::kernels;

use crate::bootstrap::{rotate, switch_modulus};
use crate::keys::{ClientKey, ServerKey};
use crate::params::Params;
use crate::program::{Linear, Row, Source, Term};
use crate::request::Request;
use crate::result::{Response, Shape};
use crate::rotation::{Read, first_position};
use crate::scale::encode;
use crate::weights::Weights;

/// Numbers that are as good as random, for masks.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// An encryption of `phase` under `key`, without any noise.
    fn exact(&mut self, key: &[u64], phase: u64) -> Vec<u64> {
        let mut value: Vec<u64> = key.iter().map(|_| self.next()).collect();
        let body = value
            .iter()
            .zip(key)
            .fold(phase, |b, (a, s)| b.wrapping_add(a.wrapping_mul(*s)));
        value.push(body);
        value
    }
}

/// What `value` decrypts to under `key`.
pub(super) fn phase(value: &[u64], key: &[u64]) -> u64 {
    let (mask, body) = value.split_at(key.len());
    mask.iter()
        .zip(key)
        .fold(body[0], |b, (a, s)| b.wrapping_sub(a.wrapping_mul(*s)))
}

/// The mean square, in units of the torus.
pub(super) fn mean_square(errors: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = errors.fold((0, 0.0), |(count, sum), e| (count + 1, sum + e * e));
    sum / f64::from(count)
}

pub(super) fn fraction(error: u64) -> f64 {
    error as i64 as f64 / super::Q
}

/// Holds a measured variance to a formula: its ratio is that of a mean of `samples` independent squares, but with
/// probability 10^-7 (chi squared by the approximation of Wilson and Hilferty, 1931, at 5.2 deviations). Errors of one key
/// or of one rotation are not independent, so it is these that count, where they are fewer.
pub(super) fn agree(measured: f64, formula: f64, samples: usize, what: &str) {
    let ratio = measured / formula;
    let spread = 2.0 / (9.0 * samples as f64);
    let bound = |deviations: f64| (1.0 - spread + deviations * spread.sqrt()).powi(3);
    println!("{what}: measured variance / formula = {ratio:.3} of {samples}");
    // What formulas leave out, or say too large.
    let (least, most) = (0.8 * bound(-5.2), 1.2 * bound(5.2));
    assert!(
        (least..most).contains(&ratio),
        "{what}: {ratio}, not {least} to {most}"
    );
}

fn measure(params: &'static Params, rotations: usize) {
    let (client, evaluation) = ClientKey::generate(params).unwrap();
    let server = ServerKey::from(&evaluation);
    let (small, large) = (&client.small[..], &client.large[..]);
    let steps = params.variances();
    let size = params.polynomial_size();
    let name = params.name();
    let mut words = Words(7);

    // Inputs, one by one and in a sum, as they arrive.
    let (torus, count) = (32, size + size / 4);
    let input: Vec<u16> = (0..count).map(|k| (k % 4) as u16).collect();
    let request = Request::encrypt(&client, &input, torus).unwrap().to_bytes();
    let packed = Request::from_bytes(&request).unwrap().expand();
    let term = |index: usize, weight: i32| Term {
        source: Source::Input,
        index,
        weight,
    };
    let single = |index: usize| Row {
        bias: 0,
        terms: vec![term(index, 1)],
    };
    let sum = |first: usize| {
        let mut words = Words(first as u64);
        let weights = (0..count).map(|k| (k, (words.next() % 11) as i32 - 5));
        let weights = weights.filter(|(_, weight)| *weight != 0);
        Row {
            bias: 3,
            terms: weights.map(|(k, weight)| term(k, weight)).collect(),
        }
    };
    for (rows, what) in [
        (
            (0..count).step_by(5).map(single).collect::<Vec<_>>(),
            "fresh",
        ),
        ((0..200).map(sum).collect(), "linear"),
    ] {
        let error = |row: &Row, value: &[u64]| {
            let terms = row
                .terms
                .iter()
                .map(|t| i64::from(t.weight) * i64::from(input[t.index]));
            let norm2: i64 = row.terms.iter().map(|t| i64::from(t.weight).pow(2)).sum();
            let right = encode(row.bias + terms.sum::<i64>(), torus);
            fraction(phase(value, large).wrapping_sub(right)) / (norm2 as f64).sqrt()
        };
        let linear = Linear { rows };
        let values = Weights::new(&linear, torus, params, &*kernels::cpu()).unwrap();
        let values = values.apply(&packed, params).unwrap();
        let errors = linear
            .rows
            .iter()
            .zip(&values)
            .map(|(row, value)| error(row, value));
        agree(
            mean_square(errors),
            steps.fresh,
            200,
            &format!("{name} {what}"),
        );
    }

    // Keyswitching.
    let exact: Vec<Vec<u64>> = (0..300).map(|_| words.exact(large, 0)).collect();
    let switched = server.keyswitch.switch(&exact);
    let error = |value: &Vec<u32>| {
        let wide: Vec<u64> = value.iter().map(|&x| u64::from(x) << 32).collect();
        fraction(phase(&wide, small))
    };
    // The digits' mean, -½, makes a share of the noise that is the same for all values of a key: a part of 1/(B²/3 + 2/3)
    // of the variance, told apart here.
    let errors: Vec<f64> = switched.iter().map(error).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let own = 1.0 / (4f64.powi(params.keyswitch().base_log as i32) / 3.0 + 2.0 / 3.0);
    let rest = (1.0 - own) * steps.keyswitch;
    let around = mean_square(errors.iter().map(|error| error - mean));
    agree(around, rest, errors.len(), &format!("{name} keyswitch"));
    // 5.4 deviations, and what the mean of the others adds.
    let key = mean * mean / (own * steps.keyswitch + rest / errors.len() as f64);
    assert!(key < 30.0, "{name} keyswitch, the key's share: {key}");

    // The centred modulus switch: an exact phase of 0 should come out as position -½.
    let position = |_| {
        let value: Vec<u64> = words.exact(small, 0);
        // Masks of 32 bits: low halves are cut off, and what they decrypt to with them.
        let mut value: Vec<u32> = value.iter().map(|x| (x >> 32) as u32).collect();
        let masked = value
            .iter()
            .zip(small)
            .fold(0_u32, |b, (a, s)| b.wrapping_add(a.wrapping_mul(*s as u32)));
        *value.last_mut().unwrap() = masked;
        let switched = switch_modulus(&value, (2 * size).ilog2());
        let turned = switched
            .mask
            .iter()
            .zip(small)
            .fold(switched.body as i64, |b, (a, s)| {
                b - (a * *s as usize) as i64
            });
        let turned = (turned + size as i64).rem_euclid(2 * size as i64) - size as i64;
        (turned as f64 + 0.5) / (2.0 * size as f64)
    };
    agree(
        mean_square((0..2000).map(position)),
        steps.modulus_switch,
        2000,
        &format!("{name} modulus switch"),
    );

    // Rotations: every coefficient of a constant comes out as the constant or its negative.
    let constant = 1 << 61;
    let values: Vec<Vec<u64>> = (0..rotations)
        .map(|k| words.exact(large, (k as u64) << 56))
        .collect();
    let tests = vec![vec![constant; size]; rotations];
    let rotated = rotate(&server, &values, &tests, &|_| ());
    let long = large.len();
    let error = |(glwe, at): (&[u64], usize)| {
        let mut value = vec![0; long + 1];
        let turns = glwe[..long]
            .chunks_exact(size)
            .zip(value.chunks_exact_mut(size));
        turns.for_each(|(mask, to)| {
            crate::ring::add_monomial(to, (size - at) % size, u64::MAX, mask)
        });
        crate::ring::extract_constant(&mut value[..long], size);
        value[long] = glwe[long + at];
        let found = phase(&value, large);
        let nearest = if (found as i64) < 0 {
            constant.wrapping_neg()
        } else {
            constant
        };
        fraction(found.wrapping_sub(nearest))
    };
    let places = |glwe| (1..size).step_by(3).map(move |at| (glwe, at));
    let errors = rotated
        .chunks_exact(long + size)
        .flat_map(places)
        .map(error);
    agree(
        mean_square(errors),
        steps.rotation,
        2 * rotations,
        &format!("{name} rotation"),
    );

    // What a table that rises by ones reads off: sums of coefficients, whose errors are not independent.
    for boxes in [4_usize, 16] {
        let torus = 2 * boxes as u64;
        let read = Read {
            to: 0,
            taps: (1..=boxes).map(|b| (b, 1)).collect(),
        };
        let at = |b| first_position(b, torus, size);
        // Turned by 3 and more: `error` is not for coefficient 0.
        let sum = |glwe: &[u64], turn: usize| -> f64 {
            let read = (1..=boxes).map(|b| {
                let (place, wraps) = ((at(b) + turn) % size, at(b) + turn >= size);
                let found = error((glwe, place));
                if wraps { -found } else { found }
            });
            read.sum()
        };
        let turns = |glwe| {
            (3..size)
                .step_by(size / 16)
                .map(move |turn| sum(glwe, turn))
        };
        let measured = mean_square(rotated.chunks_exact(long + size).flat_map(turns));
        let white = steps.rotation - steps.coloured;
        let formula = white * read.white() + steps.coloured * read.coloured(torus, size);
        agree(
            measured,
            formula,
            rotations,
            &format!("{name} table of {boxes}"),
        );
    }

    // What leaves, packed and cut to 12 bits, or to as many as show packing alone; and each by itself.
    for (bits, packed, what) in [
        (12, true, "result"),
        (60, true, "packing"),
        (12, false, "result by itself"),
    ] {
        let exact: Vec<Vec<u64>> = (0..500).map(|_| words.exact(large, 0)).collect();
        let shape = Shape {
            count: 500,
            bits,
            packed,
        };
        let response = Response::new(
            params,
            server.id,
            packed.then_some(&server.packing),
            1 << 50,
            shape,
            vec![0; 500],
            &exact,
        )
        .unwrap();
        let found = response.decrypt(&client);
        let measured = mean_square(found.iter().map(|a| *a as f64 / 2f64.powi(50)));
        let packing = if packed {
            params.packing_variance()
        } else {
            0.0
        };
        let formula = params.result_variance(bits) + packing;
        if bits == 12 {
            agree(measured, formula, 500, &format!("{name} {what}"));
        } else {
            // An upper bound: not every automorphism doubles all noise.
            let ratio = measured / formula;
            println!("{name} {what}: measured variance / bound = {ratio:.3}");
            assert!((0.01..1.4).contains(&ratio), "{name} {what}: {ratio}");
        }
    }
}

#[test]
fn measured_noise_is_what_the_formulas_say() {
    measure(&Params::toys()[0], 100);
    measure(&Params::toys()[1], 100);
    // The sets that serve digits and MNIST.
    measure(Params::by_name("tacit-2048-1").unwrap(), 60);
    measure(Params::by_name("tacit-2048-2").unwrap(), 60);
}
