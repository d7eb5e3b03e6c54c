//! Matrix products by each method.

use tacit_gpu::cuda::Cuda;
use tacit_gpu::{Gpu, Method, Settings};
use tacit_mpc::Bilinear;

use crate::ceilings::Ceilings;
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
        let mut results = Vec::new();
        for method in [Method::Words, Method::Limbs, Method::Residues] {
            let settings = Settings {
                memory: 32 << 30,
                least: 0,
                method: Some(method),
            };
            let gpu = Gpu::new(device, settings);
            let Some(prepared) = gpu.prepare(Bilinear::MatMul, &[(&x, &y)])? else {
                continue;
            };
            let seconds = device.timed(7, || -> Result<()> {
                gpu.run(&prepared).map_err(Into::into)
            })?;
            let products = (m * k * n) as f64;
            let roof = match method {
                Method::Words => ceilings.words,
                Method::Limbs => ceilings.bytes / 36.0,
                _ => ceilings.bytes / 18.0,
            };
            println!(
                "| {m} x {k} x {n} | {method:?} | {:.3} | {:.2} | {:.0} % |",
                1e3 * seconds,
                products / seconds / 1e12,
                100.0 * products / seconds / roof
            );
            results.push(gpu.read(&prepared)?);
        }
        if results.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("methods disagree on {m} x {k} x {n}").into());
        }
    }
    println!();
    Ok(())
}
