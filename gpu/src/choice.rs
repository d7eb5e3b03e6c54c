//! What computes, by what a user said and what the machine has.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tacit_mpc::{Kernels, kernels};

use crate::gpu::Settings;

/// What a user says: `cpu`, `auto`, `cuda`, or `cuda:N` for the device of that number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The processor.
    #[default]
    Cpu,
    /// The first device if it works, else the processor.
    Auto,
    /// This device and nothing else.
    Cuda {
        /// Its number, from 0 on.
        ordinal: usize,
    },
}

/// What a user said is no choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no device: say \"cpu\", \"auto\", \"cuda\", or \"cuda:1\" for the second of several"
)]
pub struct ChoiceError(String);

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(said: &str) -> Result<Self, ChoiceError> {
        let unknown = || ChoiceError(said.to_owned());
        let ordinal = |number: &str| number.parse().map_err(|_| unknown());
        match said.split_once(':') {
            None if said == "cpu" => Ok(Self::Cpu),
            None if said == "auto" => Ok(Self::Auto),
            None if said == "cuda" => Ok(Self::Cuda { ordinal: 0 }),
            Some(("cuda", number)) => Ok(Self::Cuda {
                ordinal: ordinal(number)?,
            }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Auto => f.write_str("auto"),
            Self::Cuda { ordinal: 0 } => f.write_str("cuda"),
            Self::Cuda { ordinal } => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// What was asked for cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device = \"{choice}\" cannot be used: {why}; or choose the processor by device = \"cpu\"")]
pub struct Unusable {
    choice: Choice,
    why: String,
}

/// Kernels, and whose they are.
#[derive(Clone)]
pub struct Chosen {
    /// What computes.
    pub kernels: Arc<dyn Kernels>,
    /// What it is called.
    pub name: String,
    /// Why it is not a device, where one was looked for.
    pub instead: Option<String>,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chosen({self})")
    }
}

/// One sentence for a log.
impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "products are computed by {}", self.name)?;
        match &self.instead {
            None => Ok(()),
            Some(why) => write!(f, ", for no device can be used: {why}"),
        }
    }
}

/// The kernels that a user chose. A device is taken only if it gives what the processor gives on trial products.
///
/// # Errors
/// A device was asked for, and there is none, or it does not work: what is missing, and what to do.
pub fn choose(choice: Choice, settings: Settings) -> Result<Chosen, Unusable> {
    decide(choice, |ordinal| device(ordinal, settings))
}

/// A device's kernels and its name, or why there are none.
type Probed = Result<(Arc<dyn Kernels>, String), String>;

fn decide(choice: Choice, probe: impl FnOnce(usize) -> Probed) -> Result<Chosen, Unusable> {
    let processor = |instead| {
        let kernels: Arc<dyn Kernels> = Arc::from(kernels::cpu());
        let name = format!("the processor ({})", kernels.name());
        Chosen {
            kernels,
            name,
            instead,
        }
    };
    let device = |(kernels, name)| Chosen {
        kernels,
        name,
        instead: None,
    };
    match choice {
        Choice::Cpu => Ok(processor(None)),
        Choice::Auto => Ok(probe(0).map_or_else(|why| processor(Some(why)), device)),
        Choice::Cuda { ordinal } => probe(ordinal)
            .map(device)
            .map_err(|why| Unusable { choice, why }),
    }
}

#[cfg(not(feature = "cuda"))]
fn device(_ordinal: usize, _settings: Settings) -> Probed {
    Err("this program was built without CUDA; build it with `--features cuda`".to_owned())
}

#[cfg(feature = "cuda")]
fn device(ordinal: usize, settings: Settings) -> Probed {
    use crate::cuda::Cuda;
    use crate::trial::trial;

    // Calls that an old driver does not know panic when they are first made: all that are needed are made here.
    let probed = std::panic::catch_unwind(|| {
        let device = Cuda::new(ordinal).map_err(|error| error.to_string())?;
        trial(&device).map_err(|error| error.to_string())?;
        Ok(device)
    });
    let unknown = |_| {
        Err(
            "the NVIDIA driver lacks functions that are needed; install one for CUDA 13 (580 or later)"
                .to_owned(),
        )
    };
    let device = probed.unwrap_or_else(unknown)?;
    let name = crate::Device::name(&device).to_owned();
    Ok((Arc::new(crate::Gpu::new(device, settings)), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ordinal: usize) -> Probed {
        Ok((Arc::from(kernels::cpu()), format!("device {ordinal}")))
    }

    fn missing(_: usize) -> Probed {
        Err("no NVIDIA driver".to_owned())
    }

    #[test]
    fn words_are_read_and_written() {
        for (word, choice) in [
            ("cpu", Choice::Cpu),
            ("auto", Choice::Auto),
            ("cuda", Choice::Cuda { ordinal: 0 }),
            ("cuda:3", Choice::Cuda { ordinal: 3 }),
        ] {
            assert_eq!(word.parse(), Ok(choice));
            assert_eq!(choice.to_string(), word);
        }
        assert_eq!("cuda:0".parse(), Ok(Choice::Cuda { ordinal: 0 }));
        for word in [
            "", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:x", "cpu:1", "auto:1",
        ] {
            let error = word.parse::<Choice>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{word:?} is no")), "{error}");
        }
    }

    #[test]
    fn the_processor_is_taken_without_a_look_at_devices() {
        let chosen = decide(Choice::Cpu, |_| panic!("nobody asked for a device")).unwrap();
        assert_eq!(chosen.kernels.name(), kernels::cpu().name());
        assert!(chosen.instead.is_none());
    }

    #[test]
    fn auto_says_what_was_taken_and_why() {
        let chosen = decide(Choice::Auto, found).unwrap();
        assert_eq!(chosen.to_string(), "products are computed by device 0");
        let told = decide(Choice::Auto, missing).unwrap().to_string();
        assert!(
            told.contains("by the processor (") && told.ends_with("no NVIDIA driver"),
            "{told}"
        );
    }

    #[test]
    fn a_device_that_is_named_is_taken_or_missed() {
        let named = Choice::Cuda { ordinal: 2 };
        assert_eq!(decide(named, found).unwrap().name, "device 2");
        let error = decide(named, missing).unwrap_err().to_string();
        assert!(error.starts_with("device = \"cuda:2\" cannot be used: no NVIDIA driver"));
    }

    #[test]
    fn a_program_without_cuda_says_how_to_build_one_with_it() {
        if cfg!(feature = "cuda") {
            println!("SKIPPED: this one is built with it");
            return;
        }
        let settings = Settings::default();
        let error = choose(Choice::Cuda { ordinal: 0 }, settings).unwrap_err();
        assert!(error.to_string().contains("--features cuda"), "{error}");
        let chosen = choose(Choice::Auto, settings).unwrap();
        assert!(chosen.instead.unwrap().contains("--features cuda"));
    }
}
