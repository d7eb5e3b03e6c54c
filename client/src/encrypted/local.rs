//! Client and server in this process: the same ciphertexts, without a network between them.

use std::time::Instant;

use anyhow::Result;
use tacit_fhe::noise::DEFAULT_LIMIT;
use tacit_fhe::program::Program;
use tacit_fhe::{
    Client, ClientKey, EvaluationKey, Model, Params, Request, Response, Run, ServerKey,
};

use crate::usage::{self, Scope};

/// What inferences on ciphertexts gave and cost.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The results, a row each.
    pub results: Vec<Vec<i64>>,
    /// Values that differ from those of the program in the clear: none, but with the probability that the model states.
    pub wrong: usize,
    /// The largest distance of a value from that of the program in the clear.
    pub max_error: f64,
    /// Bootstraps of one row.
    pub bootstraps: usize,
    /// Making the keys: seconds of the processor.
    pub keygen_seconds: f64,
    /// Encrypting and decrypting all rows: seconds of the processor.
    pub client_seconds: f64,
    /// Computing on all rows: seconds of the wall.
    pub seconds: f64,
    /// The same of the processor.
    pub cpu_seconds: f64,
    /// On the wire.
    pub key_bytes: usize,
    /// The same of a row.
    pub request_bytes: usize,
    /// The same of its result.
    pub result_bytes: usize,
    /// log2 of the probability that a row's result is wrong.
    pub log2_p_fail: f64,
    /// The parameter set.
    pub parameters: &'static str,
}

/// Answers all rows on ciphertexts, through the bytes that would travel.
///
/// # Errors
/// If no parameter set is good enough for the program, or there is no randomness.
pub fn run(program: Program, input: &[Vec<u16>], threads: usize) -> Result<Measured> {
    let params = Params::choose(&program, DEFAULT_LIMIT)?;
    let model = Model::load(program, params)?;
    let start = usage::cpu_seconds(Scope::Process);
    let (secret, evaluation) = ClientKey::generate(params)?;
    let key_bytes = evaluation.to_bytes();
    let keygen_seconds = usage::cpu_seconds(Scope::Process) - start;
    let server = ServerKey::from(&EvaluationKey::from_bytes(&key_bytes)?);
    let client = Client::new(secret, model.interface())?;
    let mut measured = Measured {
        results: Vec::with_capacity(input.len()),
        wrong: 0,
        max_error: 0.0,
        bootstraps: model.noise().bootstraps,
        keygen_seconds,
        client_seconds: 0.0,
        seconds: 0.0,
        cpu_seconds: 0.0,
        key_bytes: key_bytes.len(),
        request_bytes: 0,
        result_bytes: 0,
        log2_p_fail: model.noise().log2_p_fail,
        parameters: params.name(),
    };
    for row in input {
        let cpu = usage::cpu_seconds(Scope::Process);
        let request = client.encrypt(row)?.to_bytes();
        let encrypted = usage::cpu_seconds(Scope::Process);
        let wall = Instant::now();
        let response = model.run(
            &server,
            &Request::from_bytes(&request)?,
            &Run {
                threads,
                ..Run::default()
            },
        )?;
        let response = response.to_bytes();
        measured.seconds += wall.elapsed().as_secs_f64();
        let computed = usage::cpu_seconds(Scope::Process);
        let result = client.decrypt(&Response::from_bytes(&response)?)?;
        let decrypted = usage::cpu_seconds(Scope::Process);
        measured.cpu_seconds += computed - encrypted;
        measured.client_seconds += decrypted - computed + encrypted - cpu;
        (measured.request_bytes, measured.result_bytes) = (request.len(), response.len());
        let wanted = model.program().run(row);
        for (got, want) in result.iter().zip(&wanted) {
            measured.wrong += usize::from(got != want);
            measured.max_error = measured.max_error.max((got - want).abs() as f64);
        }
        measured.results.push(result);
    }
    Ok(measured)
}
