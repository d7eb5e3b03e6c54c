//! What a program reads and gives out, chunk by chunk.

use tacit_mpc::Chunk;
use tacit_nn::program::Instr;
use tacit_nn::{Error, Program, Result};

use super::circuit::Circuit;
use super::pair::{Bits, Pair};
use super::program::Register;
use super::shared::{Shared, put, shared};
use super::value::{EngineId, Kind, Value, failed};
use crate::rep3::share::Parts;

/// An input of a program.
pub(super) enum Argument<'a> {
    Numbers(Shared),
    Bits(&'a [(Chunk, Bits)]),
    /// One that it does not read.
    Unused,
}

/// The inputs of a program, as it reads them.
pub(super) fn arguments<'a>(
    p: &Program,
    inputs: &[&'a Value],
    engine: EngineId,
    me: usize,
) -> Result<Vec<Argument<'a>>> {
    if p.inputs() > inputs.len() {
        return Err(Error::Invalid(format!(
            "program {} has {} inputs, {} were given",
            p.name,
            p.inputs(),
            inputs.len()
        )));
    }
    let mut arguments: Vec<Argument<'a>> = inputs.iter().map(|_| Argument::Unused).collect();
    for instr in &p.code {
        match instr {
            Instr::Input(i) => arguments[*i] = Argument::Numbers(inputs[*i].shared(engine, me)?),
            Instr::InputBit(i) => {
                let Kind::Bits(_, bits) = inputs[*i].kind(engine)? else {
                    return Err(Error::Invalid(format!(
                        "program {}: input {i} must be a bit",
                        p.name
                    )));
                };
                arguments[*i] = Argument::Bits(bits);
            }
            _ => {}
        }
    }
    Ok(arguments)
}

impl Argument<'_> {
    /// The part of one chunk. Chunks depend on the number of elements only, so bits come back under the cut they were made by.
    pub(super) fn part(&self, c: &Circuit<'_>) -> Register {
        let chunk = c.strand.chunk();
        match self {
            Self::Numbers(x) => Register::Number(x.cut(chunk)),
            Self::Bits(planes) => {
                let position = planes.partition_point(|(c, _)| c.index < chunk.index);
                Register::Bit(planes[position].1.clone())
            }
            Self::Unused => Register::Number(Pair::new(Vec::new(), Vec::new())),
        }
    }
}

/// An output of a program, put together from chunks.
pub(super) enum Output {
    Numbers(Parts),
    Bits(Vec<(Chunk, Bits)>),
}

impl Output {
    pub(super) fn like(register: &Register, shape: &[usize]) -> Self {
        match register {
            Register::Number(_) => Self::Numbers(Parts::new(shape)),
            Register::Bit(_) => Self::Bits(Vec::new()),
        }
    }

    pub(super) fn put(&mut self, chunk: Chunk, register: Register) {
        match (self, register) {
            (Self::Numbers(parts), Register::Number(x)) => put(parts, chunk, x),
            (Self::Bits(bits), Register::Bit(x)) => bits.push((chunk, x)),
            _ => unreachable!("a register of a program has one type"),
        }
    }

    pub(super) fn finish(self, shape: &[usize]) -> Result<Kind> {
        Ok(match self {
            Self::Numbers(parts) => Kind::Numbers(shared(parts).map_err(failed)?),
            Self::Bits(mut chunks) => {
                chunks.sort_unstable_by_key(|(chunk, _)| chunk.index);
                Kind::Bits(shape.to_vec(), chunks)
            }
        })
    }
}
