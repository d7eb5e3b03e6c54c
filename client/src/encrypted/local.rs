//! Client and server in this process: the same ciphertexts, without a network between them.

use std::time::Instant;

use anyhow::Result;
use tacit_fhe::noise::DEFAULT_LIMIT;
use tacit_fhe::program::Program;
use tacit_fhe::{
    Client, ClientKey, EvaluationKey, Model, Params, Request, Response, Run, ServerKey,
};

use super::parts::{Meter, Parts};
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
    /// What of that was spent on what, if one thread computed.
    pub parts: Option<Parts>,
    /// On the wire; none where a program looks nothing up.
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

/// A model, and both sides' keys.
#[derive(Debug)]
pub struct Pair {
    model: Model,
    client: Client,
    /// None where the program looks nothing up.
    server: Option<ServerKey>,
    keygen_seconds: f64,
    key_bytes: usize,
}

impl Pair {
    /// With the cheapest set for the program, and fresh keys.
    ///
    /// # Errors
    /// If no parameter set is good enough for the program, or there is no randomness.
    pub fn new(program: Program) -> Result<Self> {
        let params = Params::choose(&program, DEFAULT_LIMIT)?;
        let model = Model::load(program, params)?;
        let start = usage::cpu_seconds(Scope::Process);
        let (secret, key_bytes) = if model.needs_key() {
            let (secret, evaluation) = ClientKey::generate(params)?;
            (secret, Some(evaluation.to_bytes()))
        } else {
            (ClientKey::generate_alone(params)?, None)
        };
        let keygen_seconds = usage::cpu_seconds(Scope::Process) - start;
        let server = match &key_bytes {
            Some(bytes) => Some(ServerKey::from(&EvaluationKey::from_bytes(bytes)?)),
            None => None,
        };
        let client = Client::new(secret, model.interface())?;
        Ok(Self {
            model,
            client,
            server,
            keygen_seconds,
            key_bytes: key_bytes.map_or(0, |bytes| bytes.len()),
        })
    }

    /// Answers all rows, one after the other, through the bytes that would travel.
    ///
    /// # Errors
    /// If a row does not fit, or there is no randomness.
    pub fn run(&self, input: &[Vec<u16>], threads: usize) -> Result<Measured> {
        let noise = self.model.noise();
        let mut measured = Measured {
            results: Vec::with_capacity(input.len()),
            wrong: 0,
            max_error: 0.0,
            bootstraps: noise.bootstraps,
            keygen_seconds: self.keygen_seconds,
            client_seconds: 0.0,
            seconds: 0.0,
            cpu_seconds: 0.0,
            parts: None,
            key_bytes: self.key_bytes,
            request_bytes: 0,
            result_bytes: 0,
            log2_p_fail: noise.log2_p_fail,
            parameters: self.model.params().name(),
        };
        let meter = Meter::default();
        for row in input {
            let cpu = usage::cpu_seconds(Scope::Process);
            let request = self.client.encrypt(row)?.to_bytes();
            let encrypted = usage::cpu_seconds(Scope::Process);
            let wall = Instant::now();
            let run = Run {
                threads,
                entering: &|part| meter.enter(part),
                ..Run::default()
            };
            let request_read = Request::from_bytes(&request)?;
            let response = self.model.run(self.server.as_ref(), &request_read, &run)?;
            meter.leave();
            let response = response.to_bytes();
            measured.seconds += wall.elapsed().as_secs_f64();
            let computed = usage::cpu_seconds(Scope::Process);
            let result = self.client.decrypt(&Response::from_bytes(&response)?)?;
            let decrypted = usage::cpu_seconds(Scope::Process);
            measured.cpu_seconds += computed - encrypted;
            measured.client_seconds += decrypted - computed + encrypted - cpu;
            (measured.request_bytes, measured.result_bytes) = (request.len(), response.len());
            let wanted = self.model.program().run(row);
            for (got, want) in result.iter().zip(&wanted) {
                measured.wrong += usize::from(got != want);
                measured.max_error = measured.max_error.max((got - want).abs() as f64);
            }
            measured.results.push(result);
        }
        measured.parts = (threads == 1).then(|| meter.parts());
        Ok(measured)
    }
}

/// Answers all rows with fresh keys.
///
/// # Errors
/// As [`Pair::new`] and [`Pair::run`].
pub fn run(program: Program, input: &[Vec<u16>], threads: usize) -> Result<Measured> {
    Pair::new(program)?.run(input, threads)
}
