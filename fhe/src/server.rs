//! The server's side: a program, prepared, and run on ciphertexts.

use tacit_mpc::{Kernels, kernels};

use crate::client::Interface;
use crate::keys::ServerKey;
use crate::lookup::{Lookups, Sum};
use crate::lower::{self, Kind, Lowered};
use crate::memory::Memory;
use crate::noise::{DEFAULT_LIMIT, NoiseReport};
use crate::params::Params;
use crate::program::{Node, Program};
use crate::request::{Packed, Request};
use crate::result::{Response, Shape};
use crate::run::{Part, Run, Work};
use crate::scale::encode;
use crate::weights::Weights;
use crate::{Error, LoadError};

/// A program that is ready to be run on ciphertexts of one parameter set.
pub struct Model {
    program: Program,
    params: &'static Params,
    noise: NoiseReport,
    memory: Memory,
    /// T of the input, and of the result.
    tori: (u64, u64),
    steps: Vec<Step>,
    /// For each step, the last one that needs its values.
    last_uses: Vec<usize>,
    centres: Vec<i64>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Model({}, {})",
            self.program.parts().name,
            self.params.name()
        )
    }
}

enum Step {
    Input(Weights),
    Sums(Vec<Sum>),
    Lookups(Lookups),
}

impl Model {
    /// Prepares a program, if it fails with probability at most 2^-128.
    ///
    /// # Errors
    /// If it would fail more often, if its values cannot stand on the torus as they are needed, or if it would take more
    /// than 4 GiB of memory.
    pub fn load(program: Program, params: &'static Params) -> Result<Self, LoadError> {
        Self::load_within(program, params, DEFAULT_LIMIT)
    }

    /// Prepares a program, if it fails with probability at most 2^`limit`. No limit above 2^-64 is heeded.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_within(
        program: Program,
        params: &'static Params,
        limit: f64,
    ) -> Result<Self, LoadError> {
        Self::load_on(&*kernels::cpu(), program, params, limit)
    }

    /// As [`load_within`](Self::load_within); the weights that inputs are multiplied by are kept by `kernels`, and multiplied
    /// there.
    ///
    /// # Errors
    /// As [`load`](Self::load), or if the device failed.
    pub fn load_on(
        kernels: &dyn Kernels,
        program: Program,
        params: &'static Params,
        limit: f64,
    ) -> Result<Self, LoadError> {
        let (lowered, noise) = Lowered::best(&program, params, limit)?;
        noise.check(params, limit)?;
        Self::prepare(kernels, program, params, &lowered, noise)
    }

    /// Prepares a program however often it fails: to see that the check means something.
    ///
    /// # Errors
    /// If its values cannot stand on the torus as they are needed, or take too much memory.
    #[cfg(any(test, feature = "test-util"))]
    pub fn load_unchecked(program: Program, params: &'static Params) -> Result<Self, LoadError> {
        let (lowered, noise) = Lowered::best(&program, params, DEFAULT_LIMIT)?;
        Self::prepare(&*kernels::cpu(), program, params, &lowered, noise)
    }

    fn prepare(
        kernels: &dyn Kernels,
        program: Program,
        params: &'static Params,
        lowered: &Lowered,
        noise: NoiseReport,
    ) -> Result<Self, LoadError> {
        let memory = Memory::of(&program, lowered, params);
        memory.check()?;
        let nodes = &program.parts().nodes;
        let step = |step: &lower::Step| {
            Ok(match (&step.kind, &nodes[step.node]) {
                (Kind::Input, Node::Linear(linear)) => {
                    let torus = step.tori.first().copied().unwrap_or(2);
                    Step::Input(Weights::new(linear, torus, params, kernels)?)
                }
                (Kind::Input, Node::Lookup(_)) => unreachable!("lookups see no input"),
                (Kind::Sums(rows), _) => {
                    let rows = rows.iter().zip(&step.tori);
                    Step::Sums(rows.map(|(row, &torus)| Sum::new(row, torus)).collect())
                }
                (Kind::Lookups(looked, bias), _) => {
                    Step::Lookups(Lookups::new(looked, bias, &step.tori, params))
                }
            })
        };
        let steps = lowered.steps.iter().map(step);
        let steps = steps.collect::<Result<_, LoadError>>()?;
        let centre =
            |range: &crate::program::Interval| range.low + (range.high - range.low + 1) / 2;
        let centres = program.result_ranges().iter().map(centre).collect();
        Ok(Self {
            program,
            params,
            noise,
            memory,
            tori: (lowered.input, lowered.result()),
            steps,
            last_uses: lowered.last_uses(),
            centres,
        })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The parameter set.
    #[must_use]
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// How likely it goes wrong.
    #[must_use]
    pub fn noise(&self) -> &NoiseReport {
        &self.noise
    }

    /// How much memory it takes.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// What a client must know.
    #[must_use]
    pub fn interface(&self) -> Interface {
        Interface {
            params: self.params.name().to_owned(),
            inputs: self.program.parts().input.len,
            max: self.program.parts().input.max,
            torus: self.tori.0,
        }
    }

    /// How many bytes a response takes on the way.
    #[must_use]
    pub fn response_len(&self) -> usize {
        Response::wire_len(self.params, self.shape())
    }

    /// Whether inferences take an evaluation key: all but those of programs that look nothing up.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.noise.packed || self.noise.bootstraps > 0
    }

    /// Computes the result of an encrypted input; with a key, or with none where the program [needs](Self::needs_key) none.
    ///
    /// # Errors
    /// If key or request are not for this model or not for each other, if there is no key where one is needed, or if
    /// `run` says to stop.
    pub fn run<'a>(
        &self,
        key: impl Into<Option<&'a ServerKey>>,
        request: &Request,
        run: &Run<'_>,
    ) -> Result<Response, Error> {
        let key = key.into();
        self.accepts(key, request)?;
        let threads = self.memory.threads(run.threads);
        let work = Work::new(run, threads, self.noise.bootstraps);
        (run.entering)(Part::Sums);
        let input = request.expand();
        let mut values: Vec<Vec<Vec<u64>>> = Vec::with_capacity(self.steps.len());
        for (at, step) in self.steps.iter().enumerate() {
            (run.entering)(Part::Sums);
            work.go_on()?;
            let next = self.step(step, &input, &values, key, &work)?;
            values.push(next);
            // What nobody needs any more makes room.
            let unused = |&k: &usize| k < at && self.last_uses[k] == at;
            for k in (0..at).filter(unused) {
                values[k] = Vec::new();
            }
        }
        (run.entering)(Part::Results);
        let mut results = values.pop().unwrap_or_default();
        let torus = self.tori.1;
        for (result, &centre) in results.iter_mut().zip(&self.centres) {
            if let Some(body) = result.last_mut() {
                *body = body.wrapping_sub(encode(centre, torus));
            }
        }
        let shape = self.shape();
        let packing = match shape.packed {
            true => Some(&key.ok_or(Error::NoKey)?.packing),
            false => None,
        };
        let centres = self.centres.clone();
        Ok(Response::new(
            self.params,
            request.key(),
            packing,
            torus,
            shape,
            centres,
            &results,
        )?)
    }

    /// The values of all steps of a lowered program, for tests that decrypt them.
    #[cfg(test)]
    pub(crate) fn values(
        program: Program,
        lowered: &Lowered,
        key: &ServerKey,
        request: &Request,
    ) -> Vec<Vec<Vec<u64>>> {
        let params = key.params;
        let noise = NoiseReport::of(&program, lowered, params, DEFAULT_LIMIT).unwrap();
        let model = Self::prepare(&*kernels::cpu(), program, params, lowered, noise).unwrap();
        let run = Run::default();
        let work = Work::new(&run, 1, 0);
        let input = request.expand();
        let mut values = Vec::new();
        for step in &model.steps {
            let next = model.step(step, &input, &values, Some(key), &work);
            values.push(next.unwrap_or_else(|error| panic!("{error}")));
        }
        values
    }

    /// How results leave.
    fn shape(&self) -> Shape {
        Shape {
            count: self.centres.len(),
            bits: self.noise.result_bits,
            packed: self.noise.packed,
        }
    }

    fn step(
        &self,
        step: &Step,
        input: &Packed,
        values: &[Vec<Vec<u64>>],
        key: Option<&ServerKey>,
        work: &Work<'_>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        match step {
            Step::Input(weights) => Ok(weights.apply(input, self.params)?),
            Step::Sums(sums) => {
                let long = self.params.long_dimension();
                Ok(sums.iter().map(|sum| sum.apply(values, long)).collect())
            }
            Step::Lookups(lookups) => lookups.apply(values, key.ok_or(Error::NoKey)?, work),
        }
    }

    fn accepts(&self, key: Option<&ServerKey>, request: &Request) -> Result<(), Error> {
        if key.is_none() && self.needs_key() {
            return Err(Error::NoKey);
        }
        let wanted = self.params.name();
        for (what, params) in [
            ("the evaluation key", key.map(|key| key.params)),
            ("the request", Some(request.params())),
        ] {
            let params = params.unwrap_or(self.params);
            if params != self.params {
                return Err(Error::Params {
                    what,
                    found: params.name().to_owned(),
                    wanted,
                });
            }
        }
        if let Some(key) = key.filter(|key| key.id != request.key()) {
            let (found, wanted) = (request.key().to_string(), key.id.to_string());
            return Err(Error::Key {
                what: "the request",
                found,
                wanted,
            });
        }
        let wanted = self.program.parts().input.len;
        if request.values() != wanted {
            return Err(Error::Inputs {
                found: request.values(),
                wanted,
            });
        }
        Ok(())
    }
}
