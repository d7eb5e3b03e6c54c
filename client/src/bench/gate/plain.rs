//! What the gates give in plaintext.

use ndarray::ArrayD;
use tacit_mpc::Bilinear;
use tacit_nn::program::Scaled;
use tacit_nn::{Clear, fixed};

use super::{Gate, convolution, graph};

impl Gate {
    /// What the gate gives in plaintext, in units of the opened result.
    pub fn plain(self, x: &[ArrayD<f64>]) -> ArrayD<f64> {
        match self {
            // Without rounding the result still carries both factors' fractional bits.
            Self::Mul => &x[0] * &x[1] * 2f64.powi(fixed::FRACTION_BITS as i32),
            Self::MulTrunc => &x[0] * &x[1],
            Self::Matmul | Self::Dot => {
                let matrix = |x: &ArrayD<f64>| {
                    let shape = (x.shape()[0], x.shape()[1]);
                    x.to_shape(shape).map(|x| x.to_owned()).unwrap_or_default()
                };
                matrix(&x[0]).dot(&matrix(&x[1])).into_dyn()
            }
            Self::Conv => Bilinear::Conv(convolution(x[0].shape()))
                .apply(&x[0], &x[1])
                .unwrap_or_default(),
            Self::And => ndarray::Zip::from(&x[0])
                .and(&x[1])
                .map_collect(|&x, &y| f64::from(u8::from(x < 0.0 && y < 0.0))),
            Self::Max => ndarray::Zip::from(&x[0])
                .and(&x[1])
                .map_collect(|&x, &y| x.max(y)),
            Self::Less => (&x[0] - &x[1]).mapv(|d| f64::from(u8::from(d < 0.0))),
            Self::Relu => x[0].mapv(|x| x.max(0.0)),
            Self::Exp => x[0].mapv(f64::exp),
            Self::Log => x[0].mapv(|x| Scaled::Ln.of(x)),
            Self::Reciprocal => x[0].mapv(|x| Scaled::Reciprocal.of(x)),
            Self::Rsqrt => x[0].mapv(|x| Scaled::InverseRoot.of(x)),
            Self::Tanh => x[0].mapv(f64::tanh),
            // The graph itself, in double precision.
            Self::Gelu => graph(self, x[0].shape())
                .and_then(|g| tacit_nn::run(&g, &mut Clear, x))
                .map(|mut outputs| outputs.swap_remove(0))
                .unwrap_or_default(),
            Self::Sigmoid => x[0].mapv(|x| 1.0 / (1.0 + (-x).exp())),
            Self::Softmax => {
                let mut y = x[0].mapv(f64::exp);
                for mut row in y.rows_mut() {
                    let sum = row.sum();
                    row.mapv_inplace(|e| e / sum);
                }
                y
            }
        }
    }
}
