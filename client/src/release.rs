//! From sealed shares to a model: opened, added up, decoded.

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayD, IxDyn};
use tacit_api::job::{JobSpec, Protocol};
use tacit_api::proto::Release;
use tacit_api::seal::{self, RESULT};
use tacit_api::sign::{job_id, verify_job};
use tacit_nn::fixed;
use tacit_party::train_job::{self, Plan};
use tacit_protocols::release::combined;
use zeroize::Zeroizing;

use crate::home::Member;

/// What a job gave, in clear.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The job, as its submitter signed it.
    pub job: JobSpec,
    /// Names and tensors of the model: of a perceptron, on features in [-1, 1]; of a model file, those that were trained.
    pub tensors: Vec<(String, ArrayD<f64>)>,
    /// Names and values of the metrics.
    pub metrics: Vec<(String, f64)>,
    /// The coin that the computing parties tossed; zeros where nothing was trained. With it the split into training and held-out rows can be drawn again.
    pub coin: [u8; 32],
}

impl Opened {
    /// The value of a metric, where the job released it.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let found = self.metrics.iter().find(|(other, _)| other == name);
        found.map(|&(_, value)| value)
    }
}

/// Opens the release of the job `id`: checks that the job is the one that was asked for, that its submitter signed it and
/// each computing party its share, then adds the shares up and decodes the sum.
pub fn open(member: &Member, id: &str, release: &Release) -> Result<Opened> {
    let signed = release
        .job
        .as_ref()
        .context("the coordinator sent a release without its job")?;
    ensure!(
        job_id(signed) == id,
        "the coordinator sent the release of another job ({})",
        job_id(signed)
    );
    let job = verify_job(signed, &member.roster)?;
    ensure!(
        job.recipient == member.name,
        "the result is sealed to {}: fetch it with that member's identity",
        job.recipient
    );
    let (identity, roster) = (&member.identity, &member.roster);
    let parts = seal::parts(identity, roster, id, &job.compute, RESULT, &release.shares)?;
    let words = put_together(&job, &parts)?;
    decode(job, &words)
}

/// The words of a result from those of the computing parties. By a protocol that holds a cheater off, each share comes from
/// two of them, and is compared.
fn put_together(job: &JobSpec, parts: &[Zeroizing<Vec<u64>>; 3]) -> Result<Vec<u64>> {
    let copies = match job.protocol.name {
        Protocol::Rep3 => false,
        Protocol::Rep3Malicious => true,
    };
    let words = combined(parts.each_ref().map(|part| &part[..]), copies);
    words.map_err(|error| {
        let told = error.to_string();
        let named = (job.compute.iter().enumerate()).fold(told, |told, (k, name)| {
            told.replace(&format!("party {k}"), name)
        });
        anyhow::anyhow!("{named}")
    })
}

/// Cuts the words of a result into tensors, metrics and coin.
fn decode(job: JobSpec, words: &[u64]) -> Result<Opened> {
    if job.service.is_some() {
        return tally(job, words);
    }
    let parts = Plan::of(&job)?.released()?;
    ensure!(
        words.len() == parts.words(),
        "the result has {} numbers, but one of this job has {}",
        words.len(),
        parts.words()
    );
    let (numbers, coin) = words.split_at(words.len() - parts.coin.len());
    let coin = train_job::coin(coin).context("the result holds no coin")?;
    let mut numbers = numbers
        .iter()
        .map(|&word| fixed::decode(std::num::Wrapping(word), job.training.fraction_bits));
    let tensors = parts.tensors.into_iter().map(|part| {
        let count = part.len();
        let values: Vec<f64> = numbers.by_ref().take(count).collect();
        Ok((
            part.name,
            ArrayD::from_shape_vec(IxDyn(&part.shape), values)?,
        ))
    });
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let metrics = parts
        .metrics
        .into_iter()
        .map(|part| part.name)
        .zip(numbers)
        .collect();
    Ok(Opened {
        job,
        tensors,
        metrics,
        coin,
    })
}

/// What a service has done: there is no model to release.
fn tally(job: JobSpec, words: &[u64]) -> Result<Opened> {
    let names = ["questions", "rows", "batches"];
    ensure!(
        words.len() == names.len(),
        "the tally of a service has {} numbers, not {}",
        words.len(),
        names.len()
    );
    let counts = words.iter().map(|&count| count as f64);
    Ok(Opened {
        job,
        tensors: Vec::new(),
        metrics: names.map(str::to_owned).into_iter().zip(counts).collect(),
        coin: [0; 32],
    })
}

/// The mean training loss of an epoch from the computing parties' shares of it.
pub fn loss(
    member: &Member,
    id: &str,
    job: &JobSpec,
    epoch: u32,
    shares: &[tacit_api::proto::SealedShare],
) -> Result<f64> {
    let label = seal::loss_label(epoch);
    let parts = seal::parts(
        &member.identity,
        &member.roster,
        id,
        &job.compute,
        &label,
        shares,
    )?;
    let words = put_together(job, &parts)?;
    let [word] = words[..] else {
        anyhow::bail!("the loss of epoch {epoch} has {} numbers", words.len());
    };
    Ok(fixed::decode(
        std::num::Wrapping(word),
        job.training.fraction_bits,
    ))
}

#[cfg(test)]
mod tests {
    use tacit_api::sign::sign_job;
    use tacit_protocols::release::Copies;

    use super::*;
    use crate::fixture::{Consortium, consortium};

    /// Words of the three parties that add up to `values` in fixed point.
    fn shares(
        c: &Consortium,
        id: &str,
        label: &str,
        values: &[f64],
        coin: &[u64],
    ) -> Vec<tacit_api::proto::SealedShare> {
        let analyst = c.roster.member("analyst").unwrap();
        let words = |party: u64| -> Vec<u64> {
            let encoded = values.iter().map(|&v| fixed::encode(v, 18).unwrap().0);
            let mask = |k: usize| (k as u64 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            encoded
                .chain(coin.iter().copied())
                .enumerate()
                .map(|(k, word)| match party {
                    0 => mask(k),
                    1 => word.wrapping_sub(mask(k)).wrapping_sub(7),
                    _ => 7,
                })
                .collect()
        };
        (c.parties.iter().zip(0..))
            .map(|(party, k)| {
                seal::seal(party, &c.roster, analyst, id, 1, label, &words(k)).unwrap()
            })
            .collect()
    }

    #[test]
    fn a_release_becomes_the_model_and_metrics_that_were_sealed() {
        let c = consortium();
        let toml = tacit_examples::BREAST_CANCER.jobs[0];
        let signed = sign_job(&c.analyst.identity, &c.roster, toml, None).unwrap();
        let id = job_id(&signed);
        // 30 weights, a bias, accuracy and AUC; then four words that are no fixed point.
        let values: Vec<f64> = (0..33).map(|k| f64::from(k) / 4.0 - 3.0).collect();
        let coin = [u64::MAX, 1, 2, 0x0102_0304_0506_0708];
        let mut release = Release {
            job: Some(signed),
            shares: shares(&c, &id, RESULT, &values, &coin),
        };
        let opened = open(&c.analyst, &id, &release).unwrap();
        assert_eq!(opened.tensors[0].0, "layer0.weight");
        assert_eq!(opened.tensors[0].1.shape(), [30, 1]);
        assert_eq!(opened.tensors[0].1[[29, 0]], values[29]);
        assert_eq!(opened.tensors[1].1[[0, 0]], values[30]);
        assert_eq!(
            (opened.metric("accuracy"), opened.metric("auc")),
            (Some(values[31]), Some(values[32]))
        );
        assert_eq!(opened.metric("loss"), None);
        assert_eq!(
            (opened.coin[..9].to_vec(), opened.coin[31]),
            ([vec![255; 8], vec![1]].concat(), 1)
        );

        let error =
            |release: &Release, id: &str| open(&c.analyst, id, release).unwrap_err().to_string();
        assert!(error(&release, "00").contains("another job"));
        release.shares = shares(&c, &id, RESULT, &values[1..], &coin);
        assert!(error(&release, &id).contains("has 36 numbers, but one of this job has 37"));
        release.shares.pop();
        assert!(error(&release, &id).contains("nothing came from south"));
        release.job = None;
        assert!(error(&release, &id).contains("without its job"));
    }

    /// A party that lies about a share it gives, of the result or of an epoch's loss, is one of the two that are named.
    #[test]
    fn copies_that_differ_make_no_result() {
        let c = consortium();
        let toml = format!(
            "protocol = \"rep3-malicious\"\n{}",
            tacit_examples::BREAST_CANCER.jobs[0]
        );
        let signed = sign_job(&c.analyst.identity, &c.roster, &toml, None).unwrap();
        let (id, job) = (job_id(&signed), JobSpec::parse(&toml).unwrap());
        let analyst = c.roster.member("analyst").unwrap();
        // A sharing of zeros, with the copies of the next party; the liar changes one word of what it gives.
        let shares = |label: &str, len: usize, liar: Option<(usize, usize)>| {
            let sealed = (c.parties.iter().enumerate()).map(|(me, party)| {
                let share = |j: usize| vec![[1, 2, u64::MAX - 2][j % 3]; len];
                let salt = |j: usize| [j as u64 % 3; 2];
                let release = tacit_protocols::Release {
                    own: share(me),
                    copies: Some(Copies {
                        next: share(me + 1),
                        salts: [salt(me), salt(me + 1)],
                    }),
                };
                let mut words = release.words(me);
                if let Some((_, word)) = liar.filter(|&(party, _)| party == me) {
                    words[word] ^= 1;
                }
                seal::seal(party, &c.roster, analyst, &id, 1, label, &words).unwrap()
            });
            sealed.collect::<Vec<_>>()
        };
        let label = seal::loss_label(1);
        let opened =
            |shares: &[tacit_api::proto::SealedShare]| loss(&c.analyst, &id, &job, 1, shares);
        assert_eq!(opened(&shares(&label, 1, None)).unwrap(), 0.0);
        let release = |liar| Release {
            job: Some(signed.clone()),
            shares: shares(RESULT, 37, liar),
        };
        assert!(open(&c.analyst, &id, &release(None)).is_ok());
        for liar in 0..3 {
            // A share and a hash.
            for (of_loss, of_result) in [(0, 30), (6, 42)] {
                let errors = [
                    opened(&shares(&label, 1, Some((liar, of_loss)))).unwrap_err(),
                    open(&c.analyst, &id, &release(Some((liar, of_result)))).unwrap_err(),
                ];
                for error in errors.map(|e| e.to_string()) {
                    assert!(error.contains(&job.compute[liar]), "{error}");
                    assert!(error.contains("different copies"), "{error}");
                }
            }
        }
    }

    #[test]
    fn losses_are_opened_by_the_recipient() {
        let c = consortium();
        let job = JobSpec::parse(tacit_examples::BREAST_CANCER.jobs[0]).unwrap();
        let sealed = shares(&c, "00ff", &seal::loss_label(3), &[0.125], &[]);
        assert_eq!(loss(&c.analyst, "00ff", &job, 3, &sealed).unwrap(), 0.125);
        assert!(loss(&c.analyst, "00ff", &job, 4, &sealed).is_err());
        let long = shares(&c, "00ff", &seal::loss_label(3), &[0.125, 1.0], &[]);
        assert!(loss(&c.analyst, "00ff", &job, 3, &long).is_err());
    }
}
