//! A whole consortium on this machine: the steps that real members take on theirs, one after the other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tacit_party::config::CONFIG_FILE;
use tacit_party::net::ReservedAddress;
use tokio::net::TcpStream;

use crate::home::Home;
use crate::process::{LEASH, Leashed};

/// The institutions, in the order of the jobs.
pub(super) const PARTIES: [&str; 3] = ["north", "west", "south"];
/// Who submits the jobs and receives the results.
pub(super) const ANALYST: &str = "analyst";
const COORDINATOR: &str = "coordinator";
/// A party's description of its rows: a job file that it has reviewed.
const DESCRIPTION: &str = "rows.toml";

/// How long the coordinator may take to answer its port.
const START: Duration = Duration::from_secs(20);

/// The folders of all members, in one place for once.
pub(super) struct Consortium {
    directory: PathBuf,
    coordinator: String,
    /// Where everybody listens, so that no other program of this machine takes a port before its member starts.
    _addresses: Vec<ReservedAddress>,
}

impl Consortium {
    /// Founds the consortium in `directory`, gives each party its rows, their `description` and a policy, and admits
    /// everybody.
    pub(super) fn found(
        directory: &Path,
        dataset: &str,
        description: &str,
        header: &str,
        rows: &[Vec<&str>; 3],
    ) -> Result<Self> {
        let addresses: std::io::Result<Vec<_>> = (0..=PARTIES.len())
            .map(|_| ReservedAddress::new())
            .collect();
        let addresses = addresses.context("no free port")?;
        let mut listen = addresses.iter().map(|kept| kept.address().to_string());
        let coordinator = listen.next().context("no address")?;
        let parties: Vec<String> = listen.collect();
        let this = Self {
            directory: directory.to_owned(),
            coordinator,
            _addresses: addresses,
        };
        let operator = this.folder(COORDINATOR);
        tacit_coordinator::setup::init(&operator, "demo", &this.coordinator, &this.coordinator)?;
        for ((name, address), lines) in PARTIES.iter().zip(&parties).zip(rows) {
            let folder = this.folder(name);
            let request = tacit_party::setup::init(&folder, name, address, address)?;
            write(
                &this.rows(name),
                &format!("{header}\n{}\n", lines.join("\n")),
            )?;
            write(&folder.join(DESCRIPTION), description)?;
            let config = folder.join(CONFIG_FILE);
            let template =
                fs::read_to_string(&config).with_context(|| config.display().to_string())?;
            write(&config, &filled_in(&template, dataset)?)?;
            tacit_coordinator::setup::admit(&operator, &request)?;
        }
        let home = this.home();
        home.init(ANALYST)?;
        let roster = tacit_coordinator::setup::admit(&operator, &home.request())?;
        for member in PARTIES.iter().chain([&ANALYST]) {
            roster.save(&this.folder(member).join("consortium.toml"))?;
        }
        Ok(this)
    }

    /// A member's folder.
    fn folder(&self, member: &str) -> PathBuf {
        self.directory.join(member)
    }

    /// A party's own rows.
    pub(super) fn rows(&self, party: &str) -> PathBuf {
        self.folder(party).join("rows.csv")
    }

    /// The analyst's files.
    pub(super) fn home(&self) -> Home {
        Home::new(&self.folder(ANALYST))
    }

    /// Starts the coordinator and the three parties as processes of their own; the coordinator comes last in the list, so
    /// that it is also the last to go.
    ///
    /// The party of index `liar` lies once in each job.
    pub(super) async fn start(&self, liar: Option<usize>) -> Result<Vec<Leashed>> {
        let mut coordinator = self.serve(COORDINATOR, COORDINATOR, "serve")?;
        self.await_coordinator(&mut coordinator).await?;
        let parties = PARTIES.iter().enumerate().map(|(index, name)| {
            let lies = liar == Some(index);
            let command = if lies { "serve-and-lie-once" } else { "serve" };
            self.serve("party", name, command)
        });
        parties.chain([Ok(coordinator)]).collect()
    }

    /// Starts `program command` in a member's folder; what it logs goes to `log.txt` there.
    fn serve(&self, program: &str, member: &str, command: &str) -> Result<Leashed> {
        let folder = self.folder(member);
        let log = folder.join("log.txt");
        let log = File::create(&log).with_context(|| log.display().to_string())?;
        let args = [
            LEASH.as_ref(),
            program.as_ref(),
            "--dir".as_ref(),
            folder.as_os_str(),
            command.as_ref(),
        ];
        Leashed::start(&args, Stdio::null(), log.into())
    }

    /// Waits until the coordinator answers, so that no party has to call twice.
    async fn await_coordinator(&self, process: &mut Leashed) -> Result<()> {
        let until = Instant::now() + START;
        while TcpStream::connect(&self.coordinator).await.is_err() {
            if process.ended()?.is_some() {
                let log = fs::read_to_string(self.folder(COORDINATOR).join("log.txt"));
                let log = log.unwrap_or_default();
                bail!(
                    "the coordinator did not start: {}",
                    log.lines().last().unwrap_or("it says nothing")
                );
            }
            ensure!(
                Instant::now() < until,
                "the coordinator does not answer at {}",
                self.coordinator
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// The file of `party init` as its institution fills it in: where the rows are and what describes them, and what the
/// party takes part in.
fn filled_in(template: &str, dataset: &str) -> Result<String> {
    let parties = PARTIES.map(|party| format!("{party:?}")).join(", ");
    let mut text = template.to_owned();
    for (from, to) in [
        (
            "# [datasets.breast-cancer]",
            format!("[datasets.{dataset}]"),
        ),
        (
            "# file = \"data/breast-cancer.csv\"",
            "file = \"rows.csv\"".into(),
        ),
        (
            "# description = \"data/breast-cancer.toml\"",
            format!("description = {DESCRIPTION:?}"),
        ),
        ("kinds = []", "kinds = [\"train\"]".into()),
        ("submitters = []", format!("submitters = [\"{ANALYST}\"]")),
        ("recipients = []", format!("recipients = [\"{ANALYST}\"]")),
        ("compute = []", format!("compute = [{parties}]")),
        ("contributors = []", format!("contributors = [{parties}]")),
        ("datasets = []", format!("datasets = [\"{dataset}\"]")),
        ("metrics = []", "metrics = [\"accuracy\", \"auc\"]".into()),
        ("epoch_loss = false", "epoch_loss = true".into()),
    ] {
        ensure!(
            text.contains(from),
            "{CONFIG_FILE} has no line {from:?} to fill in"
        );
        text = text.replacen(from, &to, 1);
    }
    Ok(text)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use tacit_api::job::{DataSpec, JobSpec};
    use tacit_party::config::Config;

    use super::*;

    #[test]
    fn a_filled_in_file_allows_the_jobs_of_the_demo() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(CONFIG_FILE);
        for data in [tacit_examples::BREAST_CANCER, tacit_examples::DIGITS] {
            let text = filled_in(&Config::template("127.0.0.1:1"), data.name).unwrap();
            fs::write(&path, text).unwrap();
            let config = Config::load(&path).unwrap();
            let files = &config.datasets[data.name];
            assert_eq!(files.file, directory.path().join("rows.csv"));
            assert_eq!(files.description, directory.path().join(DESCRIPTION));
            let declared = DataSpec::parse(data.jobs[0]).unwrap();
            let rows = data.rows().count();
            for job in data.jobs {
                let job = JobSpec::parse(job).unwrap();
                assert_eq!(job.data, declared, "one description serves both jobs");
                config.policy.check_job(&job, ANALYST).unwrap();
                config.policy.check_rows(&job, rows, rows / 2).unwrap();
                assert_eq!(
                    (job.compute, job.recipient.as_str()),
                    (PARTIES.map(str::to_owned), ANALYST)
                );
            }
        }
        assert!(filled_in("[policy]", "digits").is_err());
    }

    #[test]
    fn everybody_holds_the_same_roster_with_different_keys() {
        let directory = tempfile::tempdir().unwrap();
        let rows = [vec!["1,0"], vec!["2,0"], vec!["3,1"]];
        let consortium = Consortium::found(directory.path(), "trial", "", "x,y", &rows).unwrap();
        let member = consortium.home().open().unwrap();
        assert_eq!(member.name, ANALYST);
        let names: Vec<_> = member.roster.members().iter().map(|m| m.name()).collect();
        assert_eq!(names, ["north", "west", "south", "analyst"]);
        assert_eq!(
            fs::read_to_string(consortium.rows("west")).unwrap(),
            "x,y\n2,0\n"
        );
        assert!(
            Consortium::found(directory.path(), "trial", "", "x,y", &rows).is_err(),
            "keys are never replaced"
        );
    }
}
