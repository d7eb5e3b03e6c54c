//! The evaluation key, expanded for computing.

use tfhe::core_crypto::prelude::{
    Fft, FourierLweBootstrapKey, FourierLweBootstrapKeyOwned, PolynomialSize,
    par_convert_standard_lwe_bootstrap_key_to_fourier,
};

use super::EvaluationKey;
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
    fn from(key: &EvaluationKey) -> Self {
        let params = key.params();
        let standard = key.bootstrap().par_decompress_into_lwe_bootstrap_key();
        let mut bootstrap = FourierLweBootstrapKey::new(
            standard.input_lwe_dimension(),
            standard.glwe_size(),
            standard.polynomial_size(),
            standard.decomposition_base_log(),
            standard.decomposition_level_count(),
        );
        par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut bootstrap);
        drop(standard);
        let keyswitch = key.keyswitch().par_decompress_into_lwe_keyswitch_key();
        Self {
            params,
            id: key.id(),
            keyswitch: KeyswitchKey::new(keyswitch.into_container(), params),
            bootstrap,
            fft: Fft::new(PolynomialSize(params.polynomial_size())),
            packing: PackingKey::new(&key.packing(), params),
        }
    }
}

impl ServerKey {
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
