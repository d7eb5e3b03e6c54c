//! What a device must get right before it is trusted with a party's products.

use std::num::Wrapping;

use tacit_mpc::{Bilinear, Conv, Error, Kernels, Result, Tensor, kernels};

use crate::device::Device;
use crate::failed::Failed;
use crate::gpu::{Gpu, Settings};
use crate::method::Method;

/// Computes small products and convolutions by every method, in one piece and in bands on two lanes, and a product of
/// polynomials, and holds them against the processor: a device that is broken, or a driver that compiles our code wrong, is
/// found before it spoils a job. Milliseconds.
///
/// # Errors
/// The device failed, or gave something else.
pub fn trial<D: Device + 'static>(device: &D) -> Result<()> {
    // So wide that there is more than one tile, so deep that stages of the pipelines are used again; so deep that residues
    // take one modulus more; images with padding.
    let windows = Conv {
        pad_begin: [1, 0, 0],
        ..Conv::new(&[5, 6], &[2, 2])
    };
    let maps = [
        (Bilinear::MatMul, vec![70, 300], vec![300, 70]),
        (Bilinear::MatMul, vec![1, 6000], vec![6000, 1]),
        (
            Bilinear::Conv(windows),
            vec![2, 64, 5, 6],
            vec![70, 64, 2, 2],
        ),
    ];
    for (f, x, y) in maps {
        let [a, b, c, d] = [(1, &x), (2, &y), (3, &x), (4, &y)].map(|(k, shape)| words(shape, k));
        let terms = [(&a, &b), (&c, &d)];
        let wanted = kernels::cpu().bilinear(f, &terms)?;
        for method in [Method::Words, Method::Limbs, Method::Residues] {
            let settings = Settings {
                least: 0,
                method: Some(method),
                ..Settings::default()
            };
            for bytes in [usize::MAX, 1] {
                let gpu = on_lane(device, settings)?.with_bands(bytes);
                if gpu.bilinear(f, &terms)? != wanted {
                    return Err(wrong(device, &format!("a {f} by {method:?}")));
                }
            }
        }
    }
    polynomials(device)
}

/// (x - y)·z modulo X^N + 1, as a sum of two products.
fn polynomials<D: Device + 'static>(device: &D) -> Result<()> {
    const SIZE: usize = 1024;
    let [x, y, z] = [5, 6, 7].map(|seed| words(&[1, SIZE], seed));
    let mut wanted = vec![Wrapping(0); SIZE];
    for (i, &c) in z.iter().enumerate() {
        for (j, (&a, &b)) in x.iter().zip(&y).enumerate() {
            let product = (a - b) * c;
            match wanted.get_mut(i + j) {
                Some(to) => *to += product,
                None => wanted[i + j - SIZE] -= product,
            }
        }
    }
    let plain =
        |x: &[&Tensor]| -> Vec<u64> { x.iter().flat_map(|x| x.iter()).map(|x| x.0).collect() };
    let gpu = on_lane(device, Settings::default())?;
    let Some(factors) = gpu.factors(SIZE, &plain(&[&z, &z.mapv(|z| -z)]))? else {
        return Ok(()); // nor will anything else be kept
    };
    let mut right = false;
    factors.sums(&plain(&[&x, &y]), &[vec![(0, 0), (1, 1)]], &mut |_, sum| {
        right = sum.iter().eq(wanted.iter().map(|x| &x.0));
    })?;
    right
        .then_some(())
        .ok_or_else(|| wrong(device, "a sum of products of polynomials"))
}

fn on_lane<D: Device>(device: &D, settings: Settings) -> Result<Gpu<D>> {
    let lane = device.lane().map_err(Failed::from);
    let lane = lane.map_err(|failed| failed.of(device.name()))?;
    Ok(Gpu::new(lane, settings))
}

fn wrong<D: Device>(device: &D, what: &str) -> Error {
    Error::Device {
        device: device.name().to_owned(),
        why: format!("{what} is wrong; see what `gpucheck` says of it"),
    }
}

/// A tensor of words that use all their bits.
fn words(shape: &[usize], seed: u64) -> Tensor {
    let mut x = seed;
    ndarray::ArrayD::from_shape_simple_fn(ndarray::IxDyn(shape), || {
        x = x
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(0x2545_F491_4F6C_DD1D);
        Wrapping(x ^ x >> 29)
    })
}
