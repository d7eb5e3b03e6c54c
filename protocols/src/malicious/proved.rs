//! The way out: values open after the proof.

use std::num::Wrapping;

use ndarray::ArrayD;
use tacit_mpc::{Session, Tensor};
use tacit_nn::{Error, Result, fixed};

use super::circuit::{Circuit, for_each_chunk};
use super::log::Log;
use super::open::Checked;
use super::value::{EngineId, Kind, Value, failed, not_numbers};

/// Everything that was computed is proved: values may be opened, and nothing computed until that is over.
///
/// Nobody else can make one:
///
/// ```compile_fail
/// use tacit_protocols::malicious::{MaliciousEngine, Proved};
/// fn proved(engine: &MaliciousEngine) -> Proved<'_> {
///     Proved { session: engine.session(), fraction_bits: 18 }
/// }
/// ```
///
/// A value opens by nothing else:
///
/// ```compile_fail
/// use tacit_protocols::malicious::Value;
/// fn look(x: &Value) -> &tacit_mpc::Tensor {
///     &x.kind
/// }
/// ```
///
/// What is computed after the proof needs another one:
///
/// ```compile_fail,E0499
/// use tacit_mpc::Bilinear;
/// use tacit_nn::{Engine, Result};
/// use tacit_protocols::malicious::{MaliciousEngine, Value};
/// fn square(engine: &mut MaliciousEngine, x: &Value) -> Result<ndarray::ArrayD<f64>> {
///     let proved = engine.prove()?;
///     let y = engine.bilinear(Bilinear::Mul, x, x, 1.0)?;
///     proved.reveal(&y)
/// }
/// ```
///
/// In the right order it compiles:
///
/// ```
/// use tacit_mpc::Bilinear;
/// use tacit_nn::{Engine, Result};
/// use tacit_protocols::malicious::{MaliciousEngine, Value};
/// fn square(engine: &mut MaliciousEngine, x: &Value) -> Result<ndarray::ArrayD<f64>> {
///     let y = engine.bilinear(Bilinear::Mul, x, x, 1.0)?;
///     engine.prove()?.reveal(&y)
/// }
/// ```
pub struct Proved<'e> {
    pub(super) session: &'e Session,
    pub(super) fraction_bits: u32,
    pub(super) engine: EngineId,
    pub(super) checked: Checked<'e>,
}

impl std::fmt::Debug for Proved<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proved").finish_non_exhaustive()
    }
}

impl Proved<'_> {
    /// Opens a value to all three parties. 24 bytes and 1 round a value, and 96 bytes a chunk of values.
    ///
    /// # Errors
    /// The value holds bits or belongs to another engine; or two holders of a share differ, a link or peer failed, and then the
    /// session is over.
    pub fn reveal(&self, x: &Value) -> Result<ArrayD<f64>> {
        let words = self.open(x, &[0, 1, 2])?;
        words.ok_or_else(|| Error::Invalid("an opening to all gave nothing".into()))
    }

    /// Opens a value to one party, `None` elsewhere. 8 bytes and 1 round a value, and 32 bytes a chunk of values.
    ///
    /// # Errors
    /// As for [`Self::reveal`].
    pub fn reveal_to(&self, party: usize, x: &Value) -> Result<Option<ArrayD<f64>>> {
        self.open(x, &[party])
    }

    fn open(&self, x: &Value, receivers: &[usize]) -> Result<Option<ArrayD<f64>>> {
        let x = match x.kind(self.engine)? {
            Kind::Public(x) => return Ok(Some(fixed::decode_tensor(x, self.fraction_bits))),
            Kind::Numbers(x) => x,
            Kind::Bits(..) => return Err(not_numbers()),
        };
        self.session.begin_run().map_err(failed)?;
        // An opening has nothing to prove.
        let (log, mut words) = (Log::default(), vec![Wrapping(0); x.own.len()]);
        let open = async |c: &Circuit<'_>| {
            let x = x.cut(c.strand.chunk());
            self.checked.open(c, &x, receivers).await
        };
        let opening = || {
            for_each_chunk(self.session, &log, words.len(), open, |chunk, opened| {
                if let Some(opened) = opened {
                    words[chunk.start..chunk.end].copy_from_slice(&opened);
                }
                Ok(())
            })
        };
        self.checked
            .attempt(self.session, opening)
            .map_err(failed)?;
        if !receivers.contains(&self.session.me()) {
            return Ok(None);
        }
        let words = Tensor::from_shape_vec(x.own.raw_dim(), words)
            .map_err(|e| Error::Invalid(e.to_string()))?;
        Ok(Some(fixed::decode_tensor(&words, self.fraction_bits)))
    }
}
