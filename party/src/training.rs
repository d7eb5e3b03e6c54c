//! A party's part in one training session, over links that are already there.
//!
//! All parties follow one script, so that on every link the frames come in the order in which they are read:
//!
//! 1. the computing parties agree on keys, and on how fast their links are;
//! 2. every contributor announces its number of rows to the computing parties, or shares the weights of its rows where
//!    padding hides it;
//! 3. everyone learns the total, and holds it against its own policy before a row leaves it, even as a share;
//! 4. the contributors share their rows;
//! 5. the computing parties toss the coin that splits the rows: nobody chose it, and nobody knew it while there were rows
//!    to choose;
//! 6. they train and re-randomise their shares of what is released.
//!
//! The script is the same by every protocol: contributors that compute input their rows into the engine, those that do not
//! share them to the three, who compare what each two of them got. By `rep3-malicious` whatever leaves the engine (the number
//! of padded rows, that each is padding or none, losses, results) has been proved by then.

use std::sync::Arc;

use ndarray::{Array2, ArrayD};
use tacit_api::job::{JobSpec, Protocol};
use tacit_api::policy::{Policy, Refusal};
use tacit_mpc::keys::{Binding, agree};
use tacit_mpc::net::Transport;
use tacit_mpc::{Kernels, PartyId, Session};
use tacit_nn::fixed;
use tacit_nn::train::{Data, Split};
use tacit_protocols::Replicated;
use tacit_protocols::malicious::{Failures, MaliciousEngine};
use tacit_protocols::rep3::{Rep3Engine, contribute};
use zeroize::{Zeroize, Zeroizing};

use crate::broadcast::{BroadcastError, Voice};
use crate::coin;
use crate::data::Rows;
use crate::link_speed;
use crate::row_count::{self, RowCounts};
use crate::seats::{COMPUTING, Seats};
use crate::train_job::{Plan, coin_words};

/// A training session failed here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrainError {
    /// This party's own policy forbids to go on.
    #[error(transparent)]
    Policy(#[from] Refusal),
    /// A link, a peer or the protocol failed.
    #[error(transparent)]
    Protocol(#[from] tacit_mpc::Error),
    /// The parties do not hear the same of each other.
    #[error(transparent)]
    Broadcast(#[from] BroadcastError),
    /// The engine cannot run the job.
    #[error(transparent)]
    Engine(#[from] tacit_nn::Error),
    /// A contributor heard different totals.
    #[error("the computing parties state different numbers of rows")]
    Totals,
    /// A contributor's rows are neither real nor padding.
    #[error("party {contributor} shares a row whose weight is neither 0 nor 1")]
    Weight {
        /// Its index.
        contributor: PartyId,
    },
    /// The contributors bring too many rows.
    #[error(
        "the contributors bring more than {most} rows together, the most that a session takes of these columns"
    )]
    TooManyRows {
        /// The limit.
        most: usize,
    },
}

impl TrainError {
    /// The party to blame, where there is one.
    pub(crate) fn culprit(&self) -> Option<PartyId> {
        match self {
            Self::Broadcast(error) => error.culprit(),
            Self::Weight { contributor } => Some(*contributor),
            _ => self.protocol().and_then(tacit_mpc::Error::culprit),
        }
    }

    /// What was checked and who is suspected, where somebody cheated.
    pub(crate) fn cheating(&self) -> Option<(&str, &[PartyId])> {
        match self.protocol()? {
            tacit_mpc::Error::CheckFailed { what, suspects, .. } => Some((what, suspects)),
            _ => None,
        }
    }

    /// The error of the protocol, where it is one.
    pub(crate) fn protocol(&self) -> Option<&tacit_mpc::Error> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Engine(tacit_nn::Error::Protocol(error)) => error.downcast_ref(),
            Self::Broadcast(BroadcastError::Session(error)) => Some(error),
            Self::Broadcast(_) => None,
            Self::Engine(_)
            | Self::Policy(_)
            | Self::Totals
            | Self::Weight { .. }
            | Self::TooManyRows { .. } => None,
        }
    }
}

impl From<tacit_mpc::net::Error> for TrainError {
    fn from(error: tacit_mpc::net::Error) -> Self {
        Self::Protocol(error.into())
    }
}

/// What is trained, by whom and under which rules.
pub(crate) struct Training<'a> {
    pub(crate) job: &'a JobSpec,
    pub(crate) plan: &'a Plan,
    pub(crate) seats: &'a Seats,
    pub(crate) policy: &'a Policy,
    pub(crate) binding: &'a Binding,
    /// What computes local products.
    pub(crate) kernels: &'a Arc<dyn Kernels>,
    /// Sessions of this party that ended in a failed proof.
    pub(crate) failures: &'a Failures,
    /// Where this party speaks to both others.
    pub(crate) voice: Voice<'a>,
}

/// The end of an epoch at a computing party.
pub(crate) struct Epoch {
    /// Counted from 1.
    pub(crate) number: usize,
    /// Rounds so far.
    pub(crate) rounds: u64,
    /// This party's share of the mean training loss, where the job releases it.
    pub(crate) loss: Option<Zeroizing<Vec<u64>>>,
}

/// What a computing party ends with.
pub(crate) struct Outcome {
    /// Its share of the words that [`Plan::released`] describes.
    pub(crate) words: Zeroizing<Vec<u64>>,
    /// Rounds in all.
    pub(crate) rounds: u64,
}

impl Training<'_> {
    /// Plays this party's part; `None` for a contributor that does not compute. `rows` are there if it contributes.
    pub(crate) fn run(
        &self,
        net: &Arc<dyn Transport>,
        rows: Option<Rows>,
        observer: &mut dyn FnMut(Epoch) -> tacit_nn::Result<()>,
    ) -> Result<Option<Outcome>, TrainError> {
        if self.seats.computes() {
            return self.compute(net, rows, observer).map(Some);
        }
        if let Some(rows) = rows {
            let total = row_count::announce(&**net, self.job, &rows)?;
            self.policy.check_rows(self.job, total, rows.real())?;
            for part in [&rows.x, &rows.y] {
                contribute::send(&**net, &encode(part, self.fraction_bits())?)?;
            }
        }
        Ok(None)
    }

    fn compute(
        &self,
        net: &Arc<dyn Transport>,
        rows: Option<Rows>,
        observer: &mut dyn FnMut(Epoch) -> tacit_nn::Result<()>,
    ) -> Result<Outcome, TrainError> {
        let keys = agree(&**net, self.binding)?;
        let session = |keys| Session::new(net.clone(), keys, Arc::clone(self.kernels));
        let fraction_bits = self.fraction_bits();
        match self.job.protocol.name {
            Protocol::Rep3 => {
                let comparison = link_speed::comparison(&**net, self.job.protocol.comparison)?;
                let engine = Rep3Engine::with_depth(session(keys), fraction_bits, comparison)?;
                self.compute_by(engine, &**net, rows, observer)
            }
            Protocol::Rep3Malicious => {
                let mut engine = MaliciousEngine::new(session(keys), fraction_bits)?;
                engine.count_failures(self.failures);
                if let Some(mib) = self.job.protocol.verify_every_mib {
                    engine.verify_every(usize::from(mib) << 20);
                }
                self.compute_by(engine, &**net, rows, observer)
            }
        }
    }

    fn compute_by<E: Replicated>(
        &self,
        mut engine: E,
        net: &dyn Transport,
        rows: Option<Rows>,
        observer: &mut dyn FnMut(Epoch) -> tacit_nn::Result<()>,
    ) -> Result<Outcome, TrainError> {
        let counts = row_count::collect(&mut engine, net, self.seats, self.job, rows.as_ref())?;
        row_count::tell(net, self.seats, counts.total)?;
        let own = rows.as_ref().map_or(0, Rows::real);
        self.policy.check_rows(self.job, counts.total, own)?;

        let data = self.collect_rows(&mut engine, net, rows, &counts)?;
        let coin = coin::toss(net, &self.voice)?;
        let test_fraction = self.plan.recipe().test_fraction;
        let split = Split::new(test_fraction, coin, counts.shared());
        let released =
            self.plan
                .train(&mut engine, &data, &split, &mut |engine, number, loss| {
                    let loss = loss
                        .map(|loss| engine.release(&[loss]))
                        .transpose()?
                        .map(|shares| Zeroizing::new(shares.words(self.seats.me())));
                    observer(Epoch {
                        number,
                        rounds: engine.session().cost().rounds,
                        loss,
                    })
                })?;
        let values: Vec<&E::Value> = released
            .model
            .iter()
            .chain(&released.metrics)
            .map(|(_, value)| value)
            .collect();
        let mut shares = engine.release(&values)?;
        // With the coin the recipient can train the same in plaintext.
        shares.push_public(self.seats.me(), &coin_words(&coin));
        Ok(Outcome {
            words: Zeroizing::new(shares.words(self.seats.me())),
            rounds: engine.session().cost().rounds,
        })
    }

    /// Shares of the rows of all contributors, one below the other.
    fn collect_rows<E: Replicated>(
        &self,
        engine: &mut E,
        net: &dyn Transport,
        rows: Option<Rows>,
        counts: &RowCounts<E::Value>,
    ) -> Result<Data<E::Value>, TrainError> {
        let mut part = |own: Option<&Array2<f64>>, width: usize| {
            let shapes = counts.each.iter().map(|&rows| vec![rows, width]);
            exchange(engine, net, self.seats, own, shapes)
        };
        let columns = &self.job.data;
        let rows = rows.as_ref();
        Ok(Data {
            x: part(rows.map(|rows| &rows.x), columns.features.len())?,
            y: part(rows.map(|rows| &rows.y), columns.label_width())?,
            weights: counts.weights.clone(),
        })
    }

    fn fraction_bits(&self) -> u32 {
        self.job.training.fraction_bits
    }
}

/// A part of a party's rows in fixed point.
pub(crate) fn encode(
    part: &Array2<f64>,
    fraction_bits: u32,
) -> Result<tacit_mpc::Tensor, TrainError> {
    let words: Result<Vec<_>, _> = part
        .iter()
        .map(|&v| fixed::encode(v, fraction_bits))
        .collect();
    let (rows, columns) = part.dim();
    ArrayD::from_shape_vec(vec![rows, columns], words?)
        .map_err(|e| tacit_nn::Error::Invalid(e.to_string()).into())
}

/// At a computing party: the shares of all contributors' tensors, of these shapes, one below the other in the order of their
/// indices. Those that compute input theirs into the engine, this one among them if it has one; the others have sent theirs.
pub(crate) fn exchange<E: Replicated>(
    engine: &mut E,
    net: &dyn Transport,
    seats: &Seats,
    own: Option<&Array2<f64>>,
    shapes: impl IntoIterator<Item = Vec<usize>>,
) -> Result<E::Value, TrainError> {
    let mut own: Option<ArrayD<f64>> = own.map(|own| own.clone().into_dyn());
    let (mut shares, mut received) = (Vec::new(), Vec::new());
    for (&from, shape) in seats.contributors().iter().zip(shapes) {
        if from < COMPUTING {
            let mine = own.as_ref().filter(|_| from == seats.me());
            shares.push(engine.input(from, &shape, mine)?);
        } else {
            received.push(contribute::receive(net, from, &shape)?);
        }
    }
    own.iter_mut().flatten().for_each(Zeroize::zeroize);
    if !received.is_empty() {
        // Indices of those that do not compute follow.
        shares.extend(engine.adopt(&received)?);
    }
    Ok(engine.concat(0, &shares.iter().collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests;
