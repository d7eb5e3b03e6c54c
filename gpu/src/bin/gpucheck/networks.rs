//! Linear layers of networks as an engine asks for them: two terms, operands and results copied.

use std::time::Instant;

use tacit_gpu::cuda::Cuda;
use tacit_gpu::{Device, Gpu, Settings};
use tacit_mpc::kernels::cpu;
use tacit_mpc::{Bilinear, Conv, Kernels};

use crate::{Result, random};

/// A layer: its name, the map, and the shapes of its operands.
type Layer = (&'static str, Bilinear, Vec<usize>, Vec<usize>);

fn conv(input: usize, kernel: usize, stride: usize, pad: usize) -> Conv {
    Conv {
        stride: [stride, stride, 1],
        pad_begin: [pad, pad, 0],
        pad_end: [pad, pad, 0],
        ..Conv::new(&[input, input], &[kernel, kernel])
    }
}

fn layers(small: bool) -> Vec<Layer> {
    let convolution = |name, batch: usize, channels: usize, kernels: usize, c: Conv| {
        let x = vec![batch, channels, c.input[0], c.input[1]];
        let w = vec![kernels, channels, c.kernel[0], c.kernel[1]];
        (name, Bilinear::Conv(c), x, w)
    };
    let product =
        |name, m: usize, k: usize, n: usize| (name, Bilinear::MatMul, vec![m, k], vec![k, n]);
    let mut all = vec![
        convolution("LeNet, convolution 1", 128, 1, 6, conv(28, 5, 1, 2)),
        convolution("LeNet, convolution 2", 128, 6, 16, conv(14, 5, 1, 0)),
        product("LeNet, dense 1", 128, 400, 120),
        convolution("ResNet-18, stage 1", 8, 64, 64, conv(56, 3, 1, 1)),
        convolution("ResNet-18, stage 4", 8, 512, 512, conv(7, 3, 1, 1)),
        product("transformer, projection", 512, 768, 2304),
        product("transformer, feed-forward", 512, 768, 3072),
    ];
    if !small {
        all.push(convolution(
            "ResNet-18, entry",
            8,
            3,
            64,
            conv(224, 7, 2, 3),
        ));
        all.push(product("replicated product 4096", 4096, 4096, 4096));
    }
    all
}

pub(crate) fn table(device: &Cuda, small: bool) -> Result<()> {
    println!(
        "| layer, two terms | processor, ms | device with copies, ms | with weights held, ms | its kernels alone, ms |"
    );
    println!("|---|---|---|---|---|");
    // Its own, for large layers take two lanes.
    let gpu = Gpu::new(device.lane()?, Settings::default());
    for (name, f, x, y) in layers(small) {
        let operands: Vec<_> = (0..2)
            .map(|_| (random::tensor(&x), random::tensor(&y)))
            .collect();
        let terms: Vec<_> = operands.iter().map(|(x, y)| (x, y)).collect();
        let start = Instant::now();
        let wanted = cpu().bilinear(f, &terms)?;
        let processor = start.elapsed().as_secs_f64();
        let whole = || -> Result<f64> {
            let mut seconds = Vec::new();
            for _ in 0..5 {
                let start = Instant::now();
                let found = gpu.bilinear(f, &terms)?;
                seconds.push(start.elapsed().as_secs_f64());
                if found != wanted {
                    return Err(format!("{name} is wrong").into());
                }
            }
            seconds.sort_by(f64::total_cmp);
            Ok(seconds[2])
        };
        let copied = whole()?;
        let held = terms.iter().map(|(_, y)| gpu.hold(y));
        let held = held.collect::<std::result::Result<Vec<_>, _>>()?;
        let with_held = whole()?;
        drop(held);
        let Some(prepared) = gpu.prepare(f, &terms)? else {
            continue;
        };
        let alone = gpu.device().timed(5, || -> Result<()> {
            gpu.run(&prepared).map_err(Into::into)
        })?;
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.3} |",
            1e3 * processor,
            1e3 * copied,
            1e3 * with_held,
            1e3 * alone
        );
    }
    println!();
    Ok(())
}
