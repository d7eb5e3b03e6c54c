//! A model on ciphertexts, as the service sees it: bytes in, bytes out.

use tacit_api::proto::EncryptedModel;

/// What a service needs of a model.
pub trait Model: Send + Sync + 'static {
    /// An evaluation key that is ready to compute with: much longer in memory than on the wire.
    type Key: Send + Sync;

    /// What clients must know of it; its name is filled in by the service.
    fn describe(&self) -> EncryptedModel;

    /// The parameter set of a key by name, from how it begins; none where no key of this version begins so.
    fn parameters_of(start: &[u8]) -> Option<&'static str>;

    /// Makes a key ready, on so many threads. `go_on` says now and then whether anybody still waits for it.
    ///
    /// # Errors
    /// In a sentence for the client: the key is not one, or is for other parameters; and [`AnswerError::Stopped`] where
    /// `go_on` said so.
    fn expand(
        &self,
        key: &[u8],
        threads: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Self::Key, AnswerError>;

    /// Answers a question on so many threads, with a key unless the model is keyless. `watch` is told how many of all bootstraps are done, and says whether to go on.
    ///
    /// # Errors
    /// In a sentence for the client: the question is not one, or is for another model; and [`AnswerError::Stopped`] where `watch` said so.
    fn answer(
        &self,
        key: Option<&Self::Key>,
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
    /// The machine has too little of something, in a sentence for the operator.
    Failed(String),
}
