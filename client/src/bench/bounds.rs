//! What bounds a run: its links, its draws, its matrix products. Each of them alone would take a share of what was measured.

use serde::{Deserialize, Serialize};
use tacit_mpc::net::Profile;
use tacit_mpc::prss::expand_seed;
use tacit_mpc::{Bilinear, kernels};

use ndarray::{ArrayD, IxDyn};

use super::measure::Sample;
use crate::forecast::{Expected, thread_seconds};

/// Words of the stream that is measured: those of a chunk, which stay in the cache.
const WORDS: usize = 1 << 12;
/// Side of the matrices.
const SIDE: usize = 384;
/// Measurements, of which the fastest counts: a bound is what the machine can do.
const RUNS: usize = 5;

/// What this machine and its links can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Speeds {
    /// Processor seconds for a word of a pseudorandom stream.
    drawn: f64,
    /// For a multiplication inside of a matrix product.
    multiplication: f64,
    /// Bits a second of a link.
    bits_per_second: u64,
    /// Its delay in nanoseconds.
    latency_ns: u64,
}

/// Shares of what was measured that each bound alone explains: of the seconds, or of the processor's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shares {
    /// Bytes at the bandwidth of the links, spread over all of them evenly.
    pub(super) link: f64,
    /// Rounds at their delay.
    pub(super) rounds: f64,
    /// Words drawn at the speed of AES, of processor seconds.
    pub(super) prg: f64,
    /// Multiplications of matrix products at the speed of the kernel, of processor seconds.
    pub(super) gemm: f64,
}

impl Speeds {
    /// Measured now; the links are known already.
    pub(super) fn measured(link: Profile) -> Self {
        let drawn = fastest(20, &mut || drop(expand_seed(&[3; 16], WORDS))) / WORDS as f64;
        let (kernels, side) = (kernels::cpu(), IxDyn(&[SIDE, SIDE]));
        let x = ArrayD::ones(side);
        let mut product = || drop(kernels.bilinear(Bilinear::MatMul, &[(&x, &x)]));
        Self {
            drawn,
            multiplication: fastest(1, &mut product) / (SIDE * SIDE * SIDE) as f64,
            bits_per_second: link.bits_per_second,
            latency_ns: link.latency_ns,
        }
    }
}

/// Seconds of a run, which is made so often that a clock can tell them.
fn fastest(often: u32, run: &mut dyn FnMut()) -> f64 {
    let once = || {
        let start = thread_seconds();
        (0..often).for_each(|_| run());
        (thread_seconds() - start) / f64::from(often)
    };
    std::iter::repeat_with(once)
        .take(RUNS)
        .fold(f64::INFINITY, f64::min)
}

impl Shares {
    /// Of a run of three parties whose slowest took so many seconds.
    pub(super) fn of(run: &Sample, rounds: u64, speeds: &Speeds) -> Self {
        let share = |bound: f64, all: f64| if all > 0.0 { bound / all } else { 0.0 };
        let bits = 8.0 * (run.bytes + run.header_bytes) as f64 / 6.0;
        let carried = bits / speeds.bits_per_second.max(1) as f64;
        let waited = rounds as f64 * speeds.latency_ns as f64 * 1e-9;
        Self {
            link: share(carried, run.seconds),
            rounds: share(waited, run.seconds),
            prg: share(run.drawn as f64 * speeds.drawn, run.cpu_seconds),
            gemm: share(
                run.multiplications as f64 * speeds.multiplication,
                run.cpu_seconds,
            ),
        }
    }

    /// The bound that explains most, and its share.
    pub(super) fn binding(&self) -> (&'static str, f64) {
        let all = [
            ("link", self.link),
            ("rounds", self.rounds),
            ("prg", self.prg),
            ("gemm", self.gemm),
        ];
        let mut most = all[0];
        for bound in all {
            if bound.1 > most.1 {
                most = bound;
            }
        }
        most
    }
}

/// How far a forecast is from what was measured: parts of the measured, and rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Miss {
    /// Of the seconds.
    pub(super) seconds: f64,
    /// Of the processor's.
    pub(super) cpu_seconds: f64,
    /// Of the bytes.
    pub(super) bytes: f64,
    /// Rounds too many.
    pub(super) rounds: i64,
    /// Of the memory of a party that is a process of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<f64>,
}

impl Miss {
    /// Of a run, on a network of which the forecast is about the network alone where it is simulated.
    pub(super) fn of(run: &Sample, rounds: u64, expected: &Expected, simulated: bool) -> Self {
        let by = |forecast: f64, measured: f64| {
            if measured == forecast {
                0.0
            } else {
                forecast / measured - 1.0
            }
        };
        let seconds = match simulated {
            true => expected.network_seconds,
            false => expected.seconds,
        };
        Self {
            seconds: by(seconds, run.seconds),
            cpu_seconds: by(expected.cpu_seconds, run.cpu_seconds),
            bytes: by(expected.bytes as f64, run.bytes as f64),
            rounds: expected.rounds.cast_signed() - rounds.cast_signed(),
            memory: None,
        }
    }

    /// The same with the memory of a process, in which the program itself takes so much.
    pub(super) fn with_memory(self, peak: u64, program: u64, expected: &Expected) -> Self {
        let told = (program + expected.memory_bytes) as f64;
        Self {
            memory: (peak > 0).then(|| told / peak as f64 - 1.0),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_that_explains_most_is_named() {
        let speeds = Speeds {
            drawn: 1e-9,
            multiplication: 1e-10,
            bits_per_second: 8_000,
            latency_ns: 1_000_000,
        };
        let run = Sample {
            seconds: 2.0,
            cpu_seconds: 0.5,
            bytes: 5_000,
            header_bytes: 1_000,
            drawn: 100_000_000,
            multiplications: 1_000_000_000,
            ..Sample::default()
        };
        let shares = Shares::of(&run, 100, &speeds);
        assert_eq!(
            shares,
            Shares {
                link: 0.5,
                rounds: 0.05,
                prg: 0.2,
                gemm: 0.2
            }
        );
        assert_eq!(shares.binding(), ("link", 0.5));
        assert_eq!(Shares::default().binding().1, 0.0);
    }

    #[test]
    fn a_forecast_misses_by_parts_of_what_was_measured() {
        let run = Sample {
            seconds: 2.0,
            cpu_seconds: 4.0,
            bytes: 100,
            ..Sample::default()
        };
        let expected = Expected {
            seconds: 3.0,
            network_seconds: 2.0,
            cpu_seconds: 3.0,
            bytes: 105,
            rounds: 7,
            ..Expected::default()
        };
        let near = Miss::of(&run, 8, &expected, true);
        assert_eq!(
            (near.seconds, near.cpu_seconds, near.rounds),
            (0.0, -0.25, -1)
        );
        assert!((near.bytes - 0.05).abs() < 1e-12);
        assert_eq!(Miss::of(&run, 8, &expected, false).seconds, 0.5);
        let expected = Expected {
            memory_bytes: 50,
            ..expected
        };
        assert_eq!(near.with_memory(100, 25, &expected).memory, Some(-0.25));
    }
}
