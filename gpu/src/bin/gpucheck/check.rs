//! Every kernel against the processor.

use std::num::Wrapping;

use ndarray::{ArrayD, IxDyn};
use tacit_gpu::cuda::Cuda;
use tacit_gpu::{Device, Field, Gpu, Method, Polynomials, Settings, Transforms, primes};
use tacit_mpc::kernels::cpu;
use tacit_mpc::{Bilinear, Conv, Kernels, Tensor};

use crate::Result;
use crate::random::{self, narrow};

/// Counts what is right, and tells what is not.
#[derive(Default)]
struct Tally {
    right: usize,
    wrong: usize,
}

impl Tally {
    fn note(&mut self, right: bool, what: impl Fn() -> String) {
        if right {
            self.right += 1;
        } else {
            self.wrong += 1;
            println!("WRONG: {}", what());
        }
    }
}

pub(crate) fn all(device: &Cuda) -> Result<bool> {
    let mut tally = Tally::default();
    products(device, &mut tally)?;
    products_32(device, &mut tally)?;
    transforms(device, &mut tally)?;
    println!(
        "{} checks against the processor are right, {} wrong\n",
        tally.right, tally.wrong
    );
    Ok(tally.wrong == 0)
}

/// All of it on the device, by this method.
fn with(method: Method) -> Settings {
    Settings {
        method: Some(method),
        least: 0,
        ..Settings::default()
    }
}

fn products(device: &Cuda, tally: &mut Tally) -> Result<()> {
    let mut cases: Vec<(Bilinear, Vec<(Tensor, Tensor)>)> = Vec::new();
    let shapes = [
        (1, 1, 1),
        (65, 33, 70),
        (256, 1000, 192),
        (129, 4097, 131),
        (300, 64, 1),
        (7, 20_485, 9),
        (64 * 65_535 + 1, 2, 1),
    ];
    for (m, k, n) in shapes {
        let term = || (random::tensor(&[m, k]), random::tensor(&[k, n]));
        cases.push((Bilinear::MatMul, vec![term(), term()]));
    }
    // The largest limbs past where sums must be folded, and the largest residues that there are.
    let full = |word: u64, shape: &[usize]| ArrayD::from_elem(IxDyn(shape), Wrapping(word));
    let ones = (full(u64::MAX, &[64, 20_485]), full(u64::MAX, &[20_485, 64]));
    cases.push((Bilinear::MatMul, vec![ones]));
    for k in [11_200, 131_008] {
        let halves = (full(1 << 63, &[16, k]), full(1 << 63, &[k, 16]));
        cases.push((Bilinear::MatMul, vec![halves]));
    }
    // Digits of 127 modulo 255: the largest sums that must not wrap.
    let digits = (
        full(0x8000_0000_0000_0280, &[16, 131_008]),
        full(0x8000_0000_0000_7F80, &[131_008, 16]),
    );
    cases.push((Bilinear::MatMul, vec![digits]));
    cases.push((
        Bilinear::MatMul,
        vec![(random::tensor(&[5, 40, 90]), random::tensor(&[5, 90, 50]))],
    ));
    cases.push((
        Bilinear::Mul,
        vec![(random::tensor(&[1_000_001]), random::tensor(&[1_000_001]))],
    ));
    let odd = Conv {
        stride: [2, 1, 1],
        dilation: [1, 2, 1],
        pad_begin: [1, 2, 0],
        pad_end: [2, 0, 0],
        groups: 2,
        ..Conv::new(&[19, 18], &[3, 2])
    };
    let plain = Conv {
        pad_begin: [1, 1, 0],
        pad_end: [1, 1, 0],
        ..Conv::new(&[14, 14], &[3, 3])
    };
    // Few channels, whose windows are packed, and many, whose images are.
    for (c, channels) in [(odd, 8), (plain, 8), (odd, 128), (plain, 64)] {
        let space = |extents: &[usize; 3], n: usize, channels: usize| {
            [&[n, channels], &extents[..c.rank]].concat()
        };
        let kernels = channels * 3 / 2;
        let (x, w) = (
            space(&c.input, 3, channels),
            space(&c.kernel, kernels, channels / c.groups),
        );
        let y = space(&c.output().unwrap_or_default(), 3, kernels);
        let pair = |a: &[usize], b: &[usize]| {
            vec![
                (random::tensor(a), random::tensor(b)),
                (random::tensor(a), random::tensor(b)),
            ]
        };
        cases.push((Bilinear::Conv(c), pair(&x, &w)));
        cases.push((Bilinear::ConvInput(c), pair(&y, &w)));
        cases.push((Bilinear::ConvWeights(c), pair(&x, &y)));
    }
    for (f, operands) in &cases {
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let wanted = cpu().bilinear(*f, &terms)?;
        for method in [Method::Words, Method::Limbs, Method::Residues] {
            // In one piece where it is no larger, and in bands on two lanes.
            for bytes in [32 << 20, 1] {
                let gpu = Gpu::new(device.lane()?, with(method)).with_bands(bytes);
                let found = gpu.bilinear(*f, &terms)?;
                let (x, y) = terms[0];
                tally.note(found == wanted, || {
                    let shapes = (x.shape(), y.shape());
                    format!("{f} {shapes:?} by {method:?}, bands of {bytes} bytes at least")
                });
            }
        }
    }
    Ok(())
}

/// Modulo 2^32, against the processor modulo 2^64.
fn products_32(device: &Cuda, tally: &mut Tally) -> Result<()> {
    let plain = Conv {
        pad_begin: [1, 1, 0],
        pad_end: [1, 1, 0],
        ..Conv::new(&[14, 14], &[3, 3])
    };
    let cases = [
        (Bilinear::MatMul, vec![65, 33], vec![33, 70]),
        (Bilinear::MatMul, vec![129, 4097], vec![4097, 131]),
        (Bilinear::MatMul, vec![5, 40, 90], vec![5, 90, 50]),
        (Bilinear::Mul, vec![1_000_001], vec![1_000_001]),
        (Bilinear::Conv(plain), vec![3, 8, 14, 14], vec![12, 8, 3, 3]),
    ];
    for (f, x, y) in cases {
        let operands: Vec<_> = (0..2)
            .map(|_| (random::tensor(&x), random::tensor(&y)))
            .collect();
        let wanted: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let wanted = narrow(&cpu().bilinear(f, &wanted)?);
        let operands: Vec<_> = operands
            .iter()
            .map(|(x, y)| (narrow(x), narrow(y)))
            .collect();
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        for method in [Method::Words, Method::Limbs] {
            let found = Gpu::new(device.lane()?, with(method)).bilinear_32(f, &terms)?;
            tally.note(found == wanted, || {
                format!("{f} {x:?} {y:?} modulo 2^32 by {method:?}")
            });
        }
    }
    Ok(())
}

fn transforms(device: &Cuda, tally: &mut Tally) -> Result<()> {
    for (field, bits) in [
        (Field::Prime62, 62),
        (Field::Prime47, 47),
        (Field::Prime30, 30),
    ] {
        for log_size in 10..=16 {
            let moduli = primes(bits, log_size + 1, 2);
            let n = 1 << log_size;
            let transforms = Transforms::new(&device, field, log_size, &moduli)?;
            // A random polynomial, and X, whose transform is the points.
            let mut values: Vec<u64> = Vec::new();
            for kind in 0..2 {
                for p in &moduli {
                    let random = random::words(n).into_iter().enumerate();
                    values.extend(
                        random.map(|(i, x)| if kind == 0 { x % p } else { u64::from(i == 1) }),
                    );
                }
            }
            let mut memory = transforms.upload(&values)?;
            transforms.forward(&mut memory, values.len())?;
            let found = transforms.download(&memory, values.len())?;
            let mut right = true;
            for (l, &p) in moduli.iter().enumerate() {
                for k in [0, 1, n / 3, n - 1] {
                    let point = found[(2 + l) * n + k];
                    let add = |sum: u64, &c: &u64| {
                        ((u128::from(sum) * u128::from(point) + u128::from(c)) % u128::from(p))
                            as u64
                    };
                    let wanted = values[l * n..][..n].iter().rev().fold(0, add);
                    right &= found[l * n + k] == wanted;
                }
            }
            tally.note(right, || format!("{field:?} of 2^{log_size}, forward"));
            transforms.backward(&mut memory, None, values.len())?;
            let back = transforms.download(&memory, values.len())?;
            tally.note(back == values, || {
                format!("{field:?} of 2^{log_size}, back")
            });
        }
    }
    for log_size in [10, 12, 14] {
        let n = 1_usize << log_size;
        let polynomials = Polynomials::new(&device, log_size, 128)?;
        let (a, at, c) = (
            random::words(n),
            random::words(1)[0] as usize % n,
            random::words(1)[0],
        );
        // By c X^at: a schoolbook of one line.
        let mut b = vec![0; n];
        b[at] = c;
        let wanted: Vec<u64> = (0..n)
            .map(|i| match i.checked_sub(at) {
                Some(from) => a[from].wrapping_mul(c),
                None => a[i + n - at].wrapping_mul(c).wrapping_neg(),
            })
            .collect();
        tally.note(polynomials.multiply(&a, &b)? == wanted, || {
            format!("polynomials of 2^{log_size}")
        });
        let gpu = Gpu::new(device.lane()?, Settings::default());
        if let Some(factors) = gpu.factors(n, &b)? {
            // Twice the same, and nothing.
            let doubled: Vec<u64> = wanted.iter().map(|x| x.wrapping_mul(2)).collect();
            factors.sums(&a, &[vec![(0, 0); 2], vec![]], &mut |i, sum| {
                let right = if i == 0 {
                    sum == doubled
                } else {
                    sum.iter().all(|&x| x == 0)
                };
                tally.note(right, || {
                    format!("sum {i} of products of polynomials of 2^{log_size}")
                });
            })?;
        }
    }
    Ok(())
}
