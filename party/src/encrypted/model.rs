//! A model on ciphertexts, as the service sees it: bytes in, bytes out.

use tacit_api::proto::EncryptedModel;

/// What a service needs of a model.
pub trait Model: Send + Sync + 'static {
    /// An evaluation key that is ready to compute with: much longer in memory than on the wire.
    type Key: Send + Sync;

    /// What clients must know of it; its name is filled in by the service.
    fn describe(&self) -> EncryptedModel;

    /// Makes a key ready.
    ///
    /// # Errors
    /// In a sentence for the client: the key is not one, or is for other parameters.
    fn expand(&self, key: &[u8]) -> Result<Self::Key, String>;

    /// Answers a question on so many threads. `watch` is told how many of all bootstraps are done, and says whether to go on.
    ///
    /// # Errors
    /// In a sentence for the client: the question is not one, or is for another model; and [`AnswerError::Stopped`] where `watch` said so.
    fn answer(
        &self,
        key: &Self::Key,
        question: &[u8],
        threads: usize,
        watch: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Vec<u8>, AnswerError>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The question is wrong, in a sentence for the client.
    Wrong(String),
    /// Nobody waits for it any longer.
    Stopped,
}
