//! What a device must get right before it is trusted with a party's products.

use tacit_mpc::{Bilinear, Kernels, Result, Tensor, kernels};

use crate::device::Device;
use crate::gpu::{Gpu, Settings};
use crate::method::Method;

/// Computes small products by every method and holds them against the processor: a device that is broken, or a driver that
/// compiles our code wrong, is found before it spoils a job. Milliseconds.
///
/// # Errors
/// The device failed, or gave something else.
pub fn trial<D: Device>(device: &D) -> Result<()> {
    let shapes = [[70, 100], [100, 70], [70, 100], [100, 70]];
    let [a, b, c, d] = [1, 2, 3, 4].map(|k: usize| words(shapes[k - 1], k as u64));
    let terms = [(&a, &b), (&c, &d)];
    let wanted = kernels::cpu().bilinear(Bilinear::MatMul, &terms)?;
    for method in [Method::Words, Method::Limbs, Method::Residues] {
        let settings = Settings {
            least: 0,
            method: Some(method),
            ..Settings::default()
        };
        if Gpu::new(device, settings).bilinear(Bilinear::MatMul, &terms)? != wanted {
            return Err(tacit_mpc::Error::Device {
                device: device.name().to_owned(),
                why: format!("a product by {method:?} is wrong; see what `gpucheck` says of it"),
            });
        }
    }
    Ok(())
}

/// A matrix of words that use all their bits.
fn words(shape: [usize; 2], seed: u64) -> Tensor {
    let mut x = seed;
    ndarray::ArrayD::from_shape_simple_fn(ndarray::IxDyn(&shape), || {
        x = x
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(0x2545_F491_4F6C_DD1D);
        std::num::Wrapping(x ^ x >> 29)
    })
}
