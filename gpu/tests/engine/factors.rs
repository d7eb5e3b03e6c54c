//! Sums of products of polynomials with factors that stay on the device.

use tacit_gpu::{Gpu, Settings};
use tacit_gpu_emulator::Recorder;
use tacit_mpc::Kernels;
use tacit_mpc::kernels::Factors;

fn gpu(memory: usize) -> Gpu<Recorder> {
    let settings = Settings {
        memory,
        ..Settings::default()
    };
    Gpu::new(Recorder::new(memory), settings)
}

/// Words of at most so many bits, as signed numbers, the largest of either sign among them.
fn words(count: usize, bits: u32, seed: u64) -> Vec<u64> {
    let mut x = seed | 1;
    let word = |i| {
        x = x.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ seed;
        let any = match i % 7 {
            0 => i64::MIN,
            1 => i64::MAX,
            _ => x as i64,
        };
        (any >> (64 - bits)) as u64
    };
    (0..count).map(word).collect()
}

/// `to` += x·y modulo X^N + 1.
fn add_product(to: &mut [u64], x: &[u64], y: &[u64]) {
    let size = to.len();
    for (i, &x) in x.iter().enumerate() {
        for (j, &y) in y.iter().enumerate() {
            let to = &mut to[(i + j) % size];
            let product = x.wrapping_mul(y);
            *to = match i + j < size {
                true => to.wrapping_add(product),
                false => to.wrapping_sub(product),
            };
        }
    }
}

fn wanted(size: usize, others: &[u64], factors: &[u64], sum: &[(u32, u32)]) -> Vec<u64> {
    let mut to = vec![0; size];
    for &(other, factor) in sum {
        let [x, y] = [(others, other), (factors, factor)]
            .map(|(all, at)| &all[at as usize * size..][..size]);
        add_product(&mut to, x, y);
    }
    to
}

fn check(
    kept: &dyn Factors,
    size: usize,
    others: &[u64],
    factors: &[u64],
    sums: &[Vec<(u32, u32)>],
) {
    let mut told = 0;
    kept.sums(others, sums, &mut |i, sum| {
        assert_eq!(i, told, "in their order");
        assert!(sum == wanted(size, others, factors, &sums[i]), "sum {i}");
        told += 1;
    })
    .unwrap();
    assert_eq!(told, sums.len());
}

/// Two primes or three, by how large the factors are.
#[test]
fn sums_are_exact() {
    for (size, bits, count) in [(1024, 64, 3), (512, 20, 2), (2048, 12, 3)] {
        let gpu = gpu(1 << 24);
        let (others, factors) = (words(3 * size, 64, 1), words(count * size, bits, 2));
        let kept = gpu.factors(size, &factors).unwrap().unwrap();
        let last = count as u32 - 1;
        let sums = [
            vec![(0, 0)],
            vec![(2, last), (1, 0), (0, 1)],
            vec![],
            vec![(1, 1), (1, 1), (1, 1), (1, 1), (1, 1)],
        ];
        check(&*kept, size, &others, &factors, &sums);
        check(
            &*kept,
            size,
            &others[..size],
            &factors,
            &[vec![(0, last)], vec![(0, 0)]],
        );
        check(&*kept, size, &[], &factors, &[vec![], vec![]]);
        check(&*kept, size, &others, &factors, &[]);
        drop(kept);
        assert_eq!((gpu.held(), gpu.device().record.live()), (0, 0));
    }
}

/// The second time, only what is multiplied is copied, and which pairs.
#[test]
fn factors_are_copied_once() {
    let gpu = gpu(1 << 24);
    let (others, factors) = (words(1024, 64, 1), words(2048, 64, 2));
    let kept = gpu.factors(1024, &factors).unwrap().unwrap();
    let written = gpu.device().record.take_written();
    assert!(written.contains(&2048), "{written:?}");
    for _ in 0..2 {
        check(&*kept, 1024, &others, &factors, &[vec![(0, 1), (0, 0)]]);
        assert_eq!(gpu.device().record.take_written(), [1024, 2, 2]);
    }
}

#[test]
fn the_setting_bounds_all() {
    let (size, count) = (1024, 4);
    let (others, factors) = (words(2 * size, 64, 1), words(count * size, 64, 2));
    let sums: Vec<_> = (0..20)
        .map(|i| vec![(i % 2, i % 4), (i / 3 % 2, i / 5 % 4)])
        .collect();
    for memory in [480_000, 600_000, 2_000_000] {
        let gpu = gpu(memory);
        let kept = gpu.factors(size, &factors).unwrap().unwrap();
        assert!(gpu.held() >= 3 * 8 * size * count && gpu.held() <= memory / 2);
        assert_eq!(
            gpu.held(),
            gpu.device().record.live(),
            "all of it is counted"
        );
        gpu.device().record.take_written();
        check(&*kept, size, &others, &factors, &sums);
        let record = &gpu.device().record;
        let written = record.take_written();
        assert_eq!(written[0], 2 * size);
        assert_eq!(
            written.len() > 3,
            memory < 1_000_000,
            "in parts: {written:?}"
        );
        assert!(record.peak() <= memory, "{} of {memory}", record.peak());
        // Products have what is left.
        assert!(
            gpu.factors(size, &words(100 * size, 64, 3))
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn what_cannot_be_kept_is_left_to_the_processor() {
    let gpu = gpu(1 << 20);
    for (size, count) in [(256, 2), (1000, 2), (1 << 17, 1), (1024, 0)] {
        assert!(gpu.factors(size, &vec![1; size * count]).unwrap().is_none());
    }
    assert!(gpu.factors(1024, &[0; 1500]).is_err());
    // Others have taken the device's memory.
    let shared = Gpu::new(Recorder::new(100_000), Settings::default());
    assert!(shared.factors(1024, &words(4096, 64, 1)).unwrap().is_none());
    assert_eq!((shared.held(), shared.device().record.live()), (0, 0));
    assert_eq!((gpu.held(), gpu.device().record.live()), (0, 0));
}

#[test]
fn sums_that_cannot_be_are_refused() {
    let gpu = gpu(400_000);
    let kept = gpu.factors(1024, &[1; 2048]).unwrap().unwrap();
    let refused = |others: &[u64], sums: &[Vec<(u32, u32)>]| {
        let refused = kept.sums(others, sums, &mut |_, _| panic!("nothing is told"));
        refused.unwrap_err().to_string()
    };
    let one = [0; 1024];
    for (pair, why) in [
        ((1, 0), "polynomial 1 where there are 1"),
        ((0, 2), "polynomial 2 where there are 2"),
        ((u32::MAX, 0), "polynomial 4294967295"),
    ] {
        let told = refused(&one, &[vec![(0, 0)], vec![pair]]);
        assert!(told.contains(why), "{told}");
    }
    assert!(refused(&[0; 100], &[vec![]]).contains("100 values where 1024"));
    assert!(refused(&one, &[vec![(0, 0); 65_537]]).contains("65537 products"));
    assert!(refused(&vec![0; 1 << 15], &[vec![(0, 0)]]).contains("raise it"));
}
