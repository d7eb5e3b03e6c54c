//! What a party agrees to take part in. Each party writes its own policy and checks every job against it by itself,
//! whatever coordinator and submitter say.

use std::fmt;

use serde::Deserialize;

use crate::job::{JobSpec, Kind, Metric, Protocol, ServiceSpec};

/// A party's rules. What a list does not name is refused, so an empty policy refuses everything.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The kinds of job.
    pub kinds: Vec<Kind>,
    /// Members that may receive results.
    pub recipients: Vec<String>,
    /// Members that may submit jobs.
    pub submitters: Vec<String>,
    /// Parties that may compute. Two of the three could together read every row, so name those that you trust not to
    /// collude.
    pub compute: Vec<String>,
    /// Members that may contribute rows, this one included. All but one of them could together subtract their rows from
    /// what is released, so name those that you trust to bring real ones.
    pub contributors: Vec<String>,
    /// Data sets that may be used.
    pub datasets: Vec<String>,
    /// Members that may ask questions to models that are served. From many answers a model can be rebuilt, so name those
    /// whom its owner trusts with it.
    pub clients: Vec<String>,
    /// The longest that a model is served, in minutes.
    pub max_minutes: u64,
    /// The most models that are served at a time.
    pub max_services: usize,
    /// Whether this party's private weights may be served where it cannot be shown that every number stays in the range of
    /// the arithmetic for all inputs within the bounds that its configuration gives the model. Its clients could then learn more of the weights than answers
    /// tell, from numbers that wrap: `true` says that they are trusted with the weights.
    pub unproven_ranges: bool,
    /// The protocols by which this party computes; all, where the file does not say. `["rep3-malicious"]` demands that no
    /// single party can change a result unnoticed.
    pub protocols: Vec<Protocol>,
    /// Metrics that may be released.
    pub metrics: Vec<Metric>,
    /// Whether the training loss of every epoch may be released.
    pub epoch_loss: bool,
    /// Whether jobs may bring a network of their own, as a model file. Its author decides what it keeps of single rows: one
    /// can be built to remember some of them.
    pub onnx: bool,
    /// The most numbers that a model may have: a large one can remember single rows.
    pub max_parameters: usize,
    /// The fewest contributors of rows.
    pub min_contributors: usize,
    /// The fewest rows of all contributors together.
    pub min_rows: usize,
    /// The fewest rows of all contributors but this party: what hides its own rows.
    pub min_rows_of_others: usize,
    /// The fewest rows that a model is trained on: on a handful, a model tells single rows.
    pub min_train_rows: usize,
    /// The fewest held-out rows that a metric is computed on: on a handful, a metric tells single labels.
    pub min_test_rows: usize,
    /// The most epochs.
    pub max_epochs: usize,
    /// The most jobs that may ever run on this party's rows. Each trains on another part of them, and what many jobs of one
    /// recipient tell together can be solved for single rows.
    pub max_jobs: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            recipients: Vec::new(),
            submitters: Vec::new(),
            compute: Vec::new(),
            contributors: Vec::new(),
            datasets: Vec::new(),
            clients: Vec::new(),
            max_minutes: 24 * 60,
            max_services: 4,
            unproven_ranges: false,
            protocols: Protocol::ALL.to_vec(),
            metrics: Vec::new(),
            epoch_loss: false,
            onnx: false,
            max_parameters: 1_000_000,
            min_contributors: 3,
            min_rows: 100,
            min_rows_of_others: 50,
            min_train_rows: 50,
            min_test_rows: 20,
            max_epochs: 1000,
            max_jobs: 20,
        }
    }
}

/// Which rule a job breaks. The text says it in one sentence, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The job asks for something that the party's list does not name.
    #[error("my policy does not list {value:?} under {list} (it lists {allowed})")]
    NotListed {
        /// The policy's field.
        list: &'static str,
        /// What the job asks for.
        value: String,
        /// What would be accepted.
        allowed: String,
    },
    /// The job asks for the training loss.
    #[error("my policy does not release the training loss of single epochs")]
    EpochLoss,
    /// The job brings a model file.
    #[error("my policy does not train model files that a job brings (policy.onnx)")]
    Onnx,
    /// The model is too large.
    #[error("my policy allows models of at most {max} numbers, and this one has {found}")]
    TooManyParameters {
        /// The limit.
        max: usize,
        /// What the model has.
        found: usize,
    },
    /// A number is below the party's floor.
    #[error("my policy demands at least {floor} {what}, and this job has {found}")]
    TooFew {
        /// What is counted.
        what: &'static str,
        /// The floor.
        floor: usize,
        /// What the job has.
        found: usize,
    },
    /// There are fewer rows than the party's floor. How many there are is nobody's business.
    #[error("my policy demands at least {floor} {what}")]
    TooFewRows {
        /// Which rows.
        what: &'static str,
        /// The floor.
        floor: usize,
    },
    /// Padding to more rows than the arithmetic of a training takes.
    #[error(
        "all contributors together pad to {found} rows, and a training takes at most {MOST_PADDED_ROWS}"
    )]
    TooMuchPadding {
        /// Rows with padding.
        found: usize,
    },
    /// As many jobs as the party allows have run on its rows.
    #[error(
        "my policy allows {max} jobs on my rows, and they have run: my operator decides about more"
    )]
    Spent {
        /// The limit.
        max: usize,
    },
    /// As many models are served as the party allows.
    #[error("my policy serves {max} models at a time, and so many are served: wait until one ends")]
    TooManyServices {
        /// The limit.
        max: usize,
    },
    /// The model is served for too long.
    #[error("my policy serves a model for at most {max} minutes, and this job asks for {found}")]
    TooManyMinutes {
        /// The limit.
        max: u64,
        /// What the job asks for.
        found: u64,
    },
    /// The job trains for too long.
    #[error("my policy allows at most {max} epochs, and this job has {found}")]
    TooManyEpochs {
        /// The limit.
        max: usize,
        /// What the job has.
        found: usize,
    },
}

impl Policy {
    /// Checks everything that the job file and its submitter's name decide.
    pub fn check_job(&self, job: &JobSpec, submitter: &str) -> Result<(), Refusal> {
        listed("kinds", &self.kinds, &job.kind)?;
        listed("submitters", &self.submitters, &submitter.to_owned())?;
        listed("recipients", &self.recipients, &job.recipient)?;
        for party in &job.compute {
            listed("compute", &self.compute, party)?;
        }
        listed("protocols", &self.protocols, &job.protocol.name)?;
        if let Some(service) = &job.service {
            return self.check_service(service);
        }
        listed("datasets", &self.datasets, &job.data.dataset)?;
        for member in &job.contributors {
            listed("contributors", &self.contributors, member)?;
        }
        for metric in &job.release.metrics {
            listed("metrics", &self.metrics, metric)?;
        }
        if job.release.epoch_loss && !self.epoch_loss {
            return Err(Refusal::EpochLoss);
        }
        if job.model.onnx.is_some() && !self.onnx {
            return Err(Refusal::Onnx);
        }
        at_least(
            "contributors",
            self.min_contributors,
            job.contributors.len(),
        )?;
        let padded = job.data.pad_rows.unwrap_or(0) * job.contributors.len();
        if padded > MOST_PADDED_ROWS {
            return Err(Refusal::TooMuchPadding { found: padded });
        }
        if job.training.epochs > self.max_epochs {
            return Err(Refusal::TooManyEpochs {
                max: self.max_epochs,
                found: job.training.epochs,
            });
        }
        Ok(())
    }

    fn check_service(&self, service: &ServiceSpec) -> Result<(), Refusal> {
        for client in &service.clients {
            listed("clients", &self.clients, client)?;
        }
        if service.minutes > self.max_minutes {
            return Err(Refusal::TooManyMinutes {
                max: self.max_minutes,
                found: service.minutes,
            });
        }
        Ok(())
    }

    /// Checks the number of parameters of the model that is released.
    pub fn check_parameters(&self, found: usize) -> Result<(), Refusal> {
        if found <= self.max_parameters {
            return Ok(());
        }
        Err(Refusal::TooManyParameters {
            max: self.max_parameters,
            found,
        })
    }

    /// Checks the number of jobs that have run on this party's rows, whatever became of them.
    pub fn check_budget(&self, ran: usize) -> Result<(), Refusal> {
        if ran < self.max_jobs {
            return Ok(());
        }
        Err(Refusal::Spent { max: self.max_jobs })
    }

    /// Checks the number of rows that all contributors bring together, once it is known and before any row is shared.
    /// `own` is how many of them are this party's. How many will train and how many will be held out follows from the job;
    /// with padding it is a matter of chance, and five standard deviations of it are taken off, so that nothing need be
    /// opened once the split is known.
    pub fn check_rows(&self, job: &JobSpec, total: usize, own: usize) -> Result<(), Refusal> {
        let others = total.saturating_sub(own);
        enough("rows of all contributors", self.min_rows, total as f64)?;
        enough(
            "rows of the other contributors",
            self.min_rows_of_others,
            others as f64,
        )?;
        let (total, fraction) = (total as f64, job.training.test_fraction);
        let padded = job
            .data
            .pad_rows
            .map(|rows| (rows * job.contributors.len()) as f64);
        let margin = padded.map_or(0.0, |padded| {
            if total * SPARSEST < padded {
                return f64::INFINITY;
            }
            // The hypergeometric distribution of `total` real rows among `padded`.
            let variance =
                total * fraction * (1.0 - fraction) * (padded - total) / (padded - 1.0).max(1.0);
            5.0 * variance.max(0.0).sqrt()
        });
        let held_out = total * fraction;
        let train = (total - held_out.ceil()) - margin;
        enough("training rows", self.min_train_rows, train)?;
        if job.release.metrics.is_empty() {
            return Ok(());
        }
        // The area under the curve is measured on the first thousand held-out rows, padding among them.
        let measured = padded.map_or(1.0, |padded| (1000.0 / (padded * fraction)).min(1.0));
        let auc = job.release.metrics.contains(&Metric::Auc);
        let behind = (held_out.floor() - margin) * if auc { measured } else { 1.0 };
        enough("held-out rows behind a metric", self.min_test_rows, behind)
    }
}

/// Rows with padding of all contributors at most, and how many of them stand for one real row at most: beyond, means over the
/// real rows leave the range of the arithmetic on shares.
const MOST_PADDED_ROWS: usize = 1 << 18;
const SPARSEST: f64 = 4096.0;

fn enough(what: &'static str, floor: usize, found: f64) -> Result<(), Refusal> {
    if found >= floor as f64 {
        return Ok(());
    }
    Err(Refusal::TooFewRows { what, floor })
}

fn at_least(what: &'static str, floor: usize, found: usize) -> Result<(), Refusal> {
    if found >= floor {
        return Ok(());
    }
    Err(Refusal::TooFew { what, floor, found })
}

fn listed<T: PartialEq + fmt::Display>(
    list: &'static str,
    allowed: &[T],
    value: &T,
) -> Result<(), Refusal> {
    if allowed.contains(value) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(T::to_string).collect();
    Err(Refusal::NotListed {
        list,
        value: value.to_string(),
        allowed: if names.is_empty() {
            "nothing".into()
        } else {
            names.join(", ")
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = r#"
name = "trial"
kind = "train"
recipient = "analyst"
compute = ["north", "west", "south"]
data = { dataset = "d", label = "y", classes = 2, features = [{ name = "x", min = 0, max = 1 }] }
model = { hidden = [] }
release = { metrics = ["accuracy"], epoch_loss = true }
"#;

    const POLICY: &str = r#"
kinds = ["train"]
recipients = ["analyst", "auditor"]
submitters = ["analyst"]
compute = ["north", "south", "west"]
contributors = ["west", "north", "south", "east"]
datasets = ["d"]
metrics = ["accuracy", "auc"]
epoch_loss = true
"#;

    fn policy(change: &str, to: &str) -> Policy {
        toml::from_str(&POLICY.replace(change, to)).unwrap()
    }

    #[test]
    fn a_job_within_the_rules_is_accepted() {
        let job = JobSpec::parse(JOB).unwrap();
        let policy = policy("", "");
        policy.check_job(&job, "analyst").unwrap();
        policy.check_rows(&job, 100, 40).unwrap();
    }

    #[test]
    fn each_rule_refuses_in_one_sentence_that_names_it() {
        let job = JobSpec::parse(JOB).unwrap();
        let refusal = |change, to, submitter| {
            let refused = policy(change, to).check_job(&job, submitter);
            refused.unwrap_err().to_string()
        };
        assert_eq!(
            refusal("", "", "north"),
            "my policy does not list \"north\" under submitters (it lists analyst)"
        );
        assert_eq!(
            refusal("\"analyst\", ", "", "analyst"),
            "my policy does not list \"analyst\" under recipients (it lists auditor)"
        );
        assert!(refusal("[\"train\"]", "[]", "analyst").contains("it lists nothing"));
        assert_eq!(
            refusal(", \"west\"", "", "analyst"),
            "my policy does not list \"west\" under compute (it lists north, south)"
        );
        assert_eq!(
            refusal("\"west\", ", "", "analyst"),
            "my policy does not list \"west\" under contributors (it lists north, south, east)"
        );
        for list in ["compute", "contributors"] {
            let empty: Policy = {
                let mut table: toml::Table = toml::from_str(POLICY).unwrap();
                table.remove(list);
                table.try_into().unwrap()
            };
            let refused = empty.check_job(&job, "analyst").unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("my policy does not list \"north\" under {list} (it lists nothing)")
            );
        }
        assert!(refusal("[\"d\"]", "[\"e\"]", "analyst").contains("under datasets"));
        assert!(refusal("\"accuracy\", ", "", "analyst").contains("under metrics"));
        assert!(refusal("loss = true", "loss = false", "analyst").contains("training loss"));
        let strict = "epoch_loss = true\nprotocols = [\"rep3-malicious\"]";
        assert_eq!(
            refusal("epoch_loss = true", strict, "analyst"),
            "my policy does not list \"rep3\" under protocols (it lists rep3-malicious)"
        );
        let proved = JobSpec::parse(&format!("protocol = \"rep3-malicious\"\n{JOB}")).unwrap();
        let strict = policy("epoch_loss = true", strict);
        strict.check_job(&proved, "analyst").unwrap();
        let floor = "epoch_loss = true\nmin_contributors = 4";
        assert_eq!(
            refusal("epoch_loss = true", floor, "analyst"),
            "my policy demands at least 4 contributors, and this job has 3"
        );
        let limit = "epoch_loss = true\nmax_epochs = 9";
        assert!(refusal("epoch_loss = true", limit, "analyst").contains("at most 9 epochs"));
    }

    #[test]
    fn models_have_limits() {
        let mut job = JobSpec::parse(JOB).unwrap();
        job.model.onnx = Some("m.onnx".into());
        let refused = policy("", "").check_job(&job, "analyst").unwrap_err();
        assert_eq!(refused, Refusal::Onnx);
        let open = policy(
            "epoch_loss = true",
            "epoch_loss = true\nonnx = true\nmax_parameters = 9",
        );
        open.check_job(&job, "analyst").unwrap();
        open.check_parameters(9).unwrap();
        assert!(
            open.check_parameters(10)
                .unwrap_err()
                .to_string()
                .contains("at most 9 numbers")
        );
    }

    #[test]
    fn rows_have_floors() {
        let job = JobSpec::parse(JOB).unwrap();
        let floors =
            "epoch_loss = true\nmin_rows = 40\nmin_rows_of_others = 30\nmin_train_rows = 30";
        let policy = policy("epoch_loss = true", floors);
        let refusal = |rows, own| policy.check_rows(&job, rows, own).unwrap_err().to_string();
        assert_eq!(
            refusal(39, 0),
            "my policy demands at least 40 rows of all contributors"
        );
        assert_eq!(
            refusal(80, 51),
            "my policy demands at least 30 rows of the other contributors"
        );
        assert!(refusal(40, 80).contains("rows of the other contributors"));
        assert!(refusal(79, 0).contains("20 held-out rows behind a metric"));
        policy.check_rows(&job, 80, 50).unwrap();
    }

    /// However a job divides its rows, a model is trained on a crowd: 100 rows of which 90 are held out leave ten.
    #[test]
    fn a_job_that_holds_nearly_everything_out_is_refused() {
        let mut job = JobSpec::parse(JOB).unwrap();
        job.training.test_fraction = 0.9;
        let policy = policy("", "");
        let refusal = |rows| policy.check_rows(&job, rows, 0).unwrap_err().to_string();
        assert_eq!(refusal(100), "my policy demands at least 50 training rows");
        assert_eq!(
            refusal(100),
            refusal(499),
            "a refusal does not tell the number of rows"
        );
        policy.check_rows(&job, 500, 0).unwrap();
    }

    /// With padding the split decides how many real rows train: floors hold up to five standard deviations of it.
    #[test]
    fn padding_costs_a_margin() {
        let mut job = JobSpec::parse(JOB).unwrap();
        job.training.test_fraction = 0.25;
        let policy = policy("", "");
        job.data.pad_rows = Some(200);
        assert!(policy.check_rows(&job, 100, 0).is_err());
        policy.check_rows(&job, 200, 0).unwrap();
        // Held-out rows behind an area under the curve are those among the first thousand.
        job.data.pad_rows = Some(20_000);
        policy.check_rows(&job, 600, 0).unwrap();
        job.release.metrics.push(Metric::Auc);
        assert!(policy.check_rows(&job, 600, 0).is_err());
        job.release.metrics.clear();
        job.data.pad_rows = Some(200_000);
        assert!(policy.check_rows(&job, 140, 0).is_err(), "too sparse");
        assert!(
            policy
                .check_job(&job, "analyst")
                .unwrap_err()
                .to_string()
                .contains("at most 262144")
        );
    }

    #[test]
    fn a_model_is_served_to_listed_clients_and_for_a_time() {
        let mut job = JobSpec::parse(JOB).unwrap();
        let serve = |clients: &str, minutes| ServiceSpec {
            clients: vec![clients.into()],
            max_rows: 8,
            gather_ms: 0,
            minutes,
            fraction_bits: 18,
            bounds: vec![],
        };
        let lists = "epoch_loss = true\nclients = [\"clinic\"]\nmax_minutes = 10";
        let policy = policy("epoch_loss = true", lists);
        let mut refusal = |service| {
            job.service = Some(service);
            policy
                .check_job(&job, "analyst")
                .err()
                .map(|e| e.to_string())
        };
        assert_eq!(refusal(serve("clinic", 10)), None);
        assert!(
            refusal(serve("ward", 10))
                .unwrap()
                .contains("\"ward\" under clients")
        );
        assert!(
            refusal(serve("clinic", 11))
                .unwrap()
                .contains("at most 10 minutes")
        );
    }

    #[test]
    fn jobs_have_a_budget() {
        let policy = policy("epoch_loss = true", "epoch_loss = true\nmax_jobs = 2");
        policy.check_budget(1).unwrap();
        assert!(
            policy
                .check_budget(2)
                .unwrap_err()
                .to_string()
                .contains("allows 2 jobs")
        );
    }

    #[test]
    fn an_empty_policy_refuses_everything_and_a_misspelt_one_does_not_load() {
        let job = JobSpec::parse(JOB).unwrap();
        let empty: Policy = toml::from_str("").unwrap();
        assert!(empty.check_job(&job, "analyst").is_err());
        assert!(toml::from_str::<Policy>("min_row = 5").is_err());
    }
}
