//! Models of `tacit-fhe` in the service.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tacit_api::proto::{self, Range};
use tacit_fhe::program::Program;
use tacit_fhe::{Error, EvaluationKey, Params, Progress, Request, Run, ServerKey};
use tacit_mpc::Kernels;

use super::config::EncryptedModel;
use super::model::{AnswerError, Model};
use super::server::EncryptedError;

/// An integer program on ciphertexts of the cheapest parameter set that is good enough for it.
pub(crate) struct TfheModel {
    model: tacit_fhe::Model,
    /// The SHA-256 of its file.
    id: Vec<u8>,
    /// What multiplies polynomials.
    kernels: Arc<dyn Kernels>,
}

impl std::fmt::Debug for TfheModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tfhe{:?}", self.model)
    }
}

/// Loads all models that are configured.
pub(crate) fn load(
    configured: &BTreeMap<String, EncryptedModel>,
    kernels: &Arc<dyn Kernels>,
) -> Result<BTreeMap<String, Arc<TfheModel>>, EncryptedError> {
    let load = |(name, file): (&String, &EncryptedModel)| {
        let model = TfheModel::load(file, kernels).map_err(|reason| EncryptedError::Model {
            name: name.clone(),
            path: file.file.clone(),
            reason,
        })?;
        let (noise, memory) = (model.model.noise(), model.model.memory());
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        tracing::info!(
            "{name}: {} bootstraps with {}, wrong with probability 2^{:.0}; {} MiB of memory, for each question {} MiB \
             and {} MiB for each further thread",
            noise.bootstraps,
            model.model.params().name(),
            noise.log2_p_fail,
            mib(memory.prepared),
            mib(memory.question),
            mib(memory.thread)
        );
        Ok((name.clone(), Arc::new(model)))
    };
    configured.iter().map(load).collect()
}

impl TfheModel {
    fn load(configured: &EncryptedModel, kernels: &Arc<dyn Kernels>) -> Result<Self, String> {
        let bytes = std::fs::read(&configured.file).map_err(|error| error.to_string())?;
        let program = Program::read(&*bytes).map_err(|error| error.to_string())?;
        let limit = configured.log2_p_fail;
        let params = Params::choose(&program, limit).map_err(|error| error.to_string())?;
        let model = tacit_fhe::Model::load_on(&**kernels, program, params, limit);
        Ok(Self {
            model: model.map_err(|error| error.to_string())?,
            id: Sha256::digest(&bytes).to_vec(),
            kernels: Arc::clone(kernels),
        })
    }
}

/// What an error is to whoever asked.
fn wrong(error: Error) -> AnswerError {
    match error {
        Error::Cancelled { .. } | Error::Interrupted => AnswerError::Stopped,
        Error::Threads(_) | Error::Device(_) => AnswerError::Failed(error.to_string()),
        other => AnswerError::Wrong(other.to_string()),
    }
}

impl Model for TfheModel {
    type Key = ServerKey;

    fn describe(&self) -> proto::EncryptedModel {
        let (model, params) = (&self.model, self.model.params());
        let (interface, parts) = (model.interface(), model.program().parts());
        let results = model.program().result_ranges().iter().map(|range| Range {
            low: range.low,
            high: range.high,
        });
        proto::EncryptedModel {
            name: String::new(),
            id: self.id.clone(),
            parameters: params.name().to_owned(),
            key_bytes: EvaluationKey::wire_len(params) as u64,
            question_bytes: Request::wire_len(params, interface.inputs) as u64,
            answer_bytes: model.response_len() as u64,
            inputs: interface.inputs as u64,
            offset: parts.input.offset.clone(),
            gain: parts.input.gain.clone(),
            max: u32::from(interface.max),
            torus: interface.torus,
            results: results.collect(),
            output_scale: parts.output_scale,
            bootstraps: model.noise().bootstraps as u64,
            log2_p_fail: model.noise().log2_p_fail,
            keyless: !model.needs_key(),
        }
    }

    fn parameters_of(start: &[u8]) -> Option<&'static str> {
        EvaluationKey::params_of(start).ok().map(Params::name)
    }

    fn expand(
        &self,
        key: &[u8],
        threads: usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<ServerKey, AnswerError> {
        let key = EvaluationKey::from_bytes(key).map_err(wrong)?;
        ServerKey::expand(&key, &*self.kernels, threads, go_on).map_err(wrong)
    }

    fn answer(
        &self,
        key: Option<&ServerKey>,
        question: &[u8],
        threads: usize,
        watch: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Vec<u8>, AnswerError> {
        let request = Request::from_bytes(question).map_err(wrong)?;
        let run = Run {
            threads,
            go_on: &|Progress { done, all }| watch(done, all),
            ..Run::default()
        };
        let response = self.model.run(key, &request, &run).map_err(wrong)?;
        Ok(response.to_bytes())
    }
}
