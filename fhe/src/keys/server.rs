//! The evaluation key, expanded for computing.

use rayon::{ThreadPool, ThreadPoolBuilder};
use tacit_mpc::{Kernels, kernels};
use tfhe::core_crypto::prelude::{
    Fft, FourierLweBootstrapKey, FourierLweBootstrapKeyOwned, PolynomialSize,
    par_convert_standard_lwe_bootstrap_key_to_fourier,
};

use super::EvaluationKey;
use crate::Error;
use crate::keyswitch::KeyswitchKey;
use crate::packing::PackingKey;
use crate::params::Params;
use crate::wire::KeyId;

/// What a server computes with: some hundred megabytes, made from an [`EvaluationKey`] in about a second.
pub struct ServerKey {
    pub(crate) params: &'static Params,
    pub(crate) id: KeyId,
    pub(crate) keyswitch: KeyswitchKey,
    pub(crate) bootstrap: FourierLweBootstrapKeyOwned,
    pub(crate) fft: Fft,
    pub(crate) packing: PackingKey,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerKey({}, {})", self.params.name(), self.id)
    }
}

impl From<&EvaluationKey> for ServerKey {
    /// On all cores.
    fn from(key: &EvaluationKey) -> Self {
        let all = Steps {
            pool: None,
            go_on: &|| true,
        };
        let never = "nobody stops it, and the processor does not fail";
        Self::by(key, &*kernels::cpu(), &all).unwrap_or_else(|_| unreachable!("{never}"))
    }
}

/// Where the steps of an expansion are done, and whether to go on with the next.
struct Steps<'a> {
    /// Threads of its own, or those that all of the process share.
    pool: Option<ThreadPool>,
    go_on: &'a dyn Fn() -> bool,
}

impl Steps<'_> {
    fn next<T: Send>(&self, step: impl FnOnce() -> T + Send) -> Result<T, Error> {
        if !(self.go_on)() {
            return Err(Error::Interrupted);
        }
        Ok(match &self.pool {
            Some(pool) => pool.install(step),
            None => step(),
        })
    }
}

impl ServerKey {
    /// Expands a key on so many threads; what results are packed by is kept by `kernels`. `go_on` is asked before each step, some hundred milliseconds of a core, whether
    /// anybody still wants it.
    ///
    /// # Errors
    /// If `go_on` says to stop, the system gives no threads, or the device failed.
    pub fn expand(
        key: &EvaluationKey,
        kernels: &dyn Kernels,
        threads: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        // tfhe spreads its conversions over the pool that they are called in.
        let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|error| Error::Threads(error.to_string()))?;
        let steps = Steps {
            pool: Some(pool),
            go_on,
        };
        Self::by(key, kernels, &steps)
    }

    fn by(key: &EvaluationKey, kernels: &dyn Kernels, steps: &Steps<'_>) -> Result<Self, Error> {
        let params = key.params();
        let seeded = steps.next(|| key.bootstrap())?;
        let standard = steps.next(|| seeded.par_decompress_into_lwe_bootstrap_key())?;
        let bootstrap = steps.next(|| {
            let mut bootstrap = FourierLweBootstrapKey::new(
                standard.input_lwe_dimension(),
                standard.glwe_size(),
                standard.polynomial_size(),
                standard.decomposition_base_log(),
                standard.decomposition_level_count(),
            );
            par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut bootstrap);
            bootstrap
        })?;
        drop(standard);
        let seeded = steps.next(|| key.keyswitch())?;
        let keyswitch = steps.next(|| seeded.par_decompress_into_lwe_keyswitch_key())?;
        let packing = steps.next(|| PackingKey::new(&key.packing(), params, kernels))??;
        Ok(Self {
            params,
            id: key.id(),
            keyswitch: KeyswitchKey::new(keyswitch.into_container(), params),
            bootstrap,
            fft: Fft::new(PolynomialSize(params.polynomial_size())),
            packing,
        })
    }

    /// Its parameter set.
    #[must_use]
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Bytes of memory it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.keyswitch.memory() + std::mem::size_of_val(self.bootstrap.as_view().data())
    }
}
