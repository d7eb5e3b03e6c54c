//! Matrix products by each method.

use tacit_gpu::cuda::Cuda;
use tacit_gpu::{Gpu, Method, Settings, TensorOf, Word};
use tacit_mpc::Bilinear;

use crate::ceilings::Ceilings;
use crate::random::narrow;
use crate::{Result, random};

pub(crate) fn table(device: &Cuda, ceilings: &Ceilings, small: bool) -> Result<()> {
    println!("| product | method | ms, with packing | T multiply-adds/s | of the units' | ");
    println!("|---|---|---|---|---|");
    let mut shapes = vec![(128, 4096, 4096), (1024, 1024, 1024), (4096, 4096, 4096)];
    if !small {
        shapes.push((8192, 8192, 8192));
    }
    for (m, k, n) in shapes {
        let (x, y) = (random::tensor(&[m, k]), random::tensor(&[k, n]));
        let products = (m * k * n) as f64;
        let shape = format!("{m} x {k} x {n}");
        let of = [
            (Method::Words, "words", Some(ceilings.words)),
            (Method::Limbs, "limbs", Some(ceilings.bytes / 36.0)),
            (Method::Residues, "residues", Some(ceilings.bytes / 18.0)),
        ];
        timed(device, &shape, &of, products, (&x, &y))?;
        let of = [
            (Method::Words, "words of 32 bits", None),
            (
                Method::Limbs,
                "limbs of 32 bits",
                Some(ceilings.bytes / 10.0),
            ),
        ];
        timed(device, &shape, &of, products, (&narrow(&x), &narrow(&y)))?;
    }
    println!();
    Ok(())
}

/// A line for each method, and its share of what the units do at most. Methods must agree.
fn timed<W: Word + PartialEq>(
    device: &Cuda,
    shape: &str,
    of: &[(Method, &str, Option<f64>)],
    products: f64,
    (x, y): (&TensorOf<W>, &TensorOf<W>),
) -> Result<()> {
    let mut results = Vec::new();
    for &(method, name, roof) in of {
        let settings = Settings {
            memory: 32 << 30,
            least: 0,
            method: Some(method),
        };
        let gpu = Gpu::new(device, settings);
        let Some(prepared) = gpu.prepare(Bilinear::MatMul, &[(x, y)])? else {
            continue;
        };
        let seconds = device.timed(7, || -> Result<()> {
            gpu.run(&prepared).map_err(Into::into)
        })?;
        let reached = products / seconds;
        let share = roof.map_or_else(
            || "-".to_owned(),
            |roof| format!("{:.0} %", 100.0 * reached / roof),
        );
        println!(
            "| {shape} | {name} | {:.3} | {:.2} | {share} |",
            1e3 * seconds,
            reached / 1e12
        );
        results.push(gpu.read(&prepared)?);
    }
    if results.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("methods disagree on {shape}").into());
    }
    Ok(())
}
