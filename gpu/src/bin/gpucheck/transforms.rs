//! Number-theoretic transforms.

use tacit_gpu::cuda::Cuda;
use tacit_gpu::{Field, Transforms, primes};

use crate::ceilings::Ceilings;
use crate::{Result, random};

pub(crate) fn table(device: &Cuda, ceilings: &Ceilings) -> Result<()> {
    println!("| transform | field | direction | M/s | G butterflies/s | of memory's speed |");
    println!("|---|---|---|---|---|---|");
    for (field, bits) in [
        (Field::Prime62, 62),
        (Field::Prime47, 47),
        (Field::Prime30, 30),
    ] {
        for log_size in [10, 11, 12, 13, 14, 16] {
            // A quarter of a gibibyte: more than any cache.
            let count = (1_usize << 28) / field.bytes();
            let p = primes(bits, log_size + 1, 1);
            let transforms = Transforms::new(&device, field, log_size, &p)?;
            let values: Vec<u64> = random::words(count).into_iter().map(|x| x % p[0]).collect();
            let mut memory = transforms.upload(&values)?;
            let other = transforms.upload(&values)?;
            let polynomials = (count >> log_size) as f64;
            let line = |direction: &str, seconds: f64, passes: f64| {
                let butterflies =
                    polynomials * f64::from(log_size) * (1_u64 << (log_size - 1)) as f64;
                let moved = passes * (count * field.bytes()) as f64;
                println!(
                    "| 2^{log_size} | {field:?} | {direction} | {:.1} | {:.0} | {:.0} % |",
                    polynomials / seconds / 1e6,
                    butterflies / seconds / 1e9,
                    100.0 * moved / seconds / ceilings.copied
                );
            };
            let launches = if log_size > 13 { 2.0 } else { 1.0 };
            let seconds = device.timed(7, || -> Result<()> {
                transforms.forward(&mut memory, count).map_err(Into::into)
            })?;
            line("forward", seconds, 2.0 * launches);
            let seconds = device.timed(7, || -> Result<()> {
                transforms
                    .backward(&mut memory, Some(&other), count)
                    .map_err(Into::into)
            })?;
            line("product and back", seconds, 2.0 * launches + 1.0);
        }
    }
    println!(
        "(double precision: {:.2} T multiply-adds/s)\n",
        ceilings.doubles / 1e12
    );
    Ok(())
}
