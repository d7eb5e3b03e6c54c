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

use std::sync::Arc;

use ndarray::ArrayD;
use tacit_api::job::JobSpec;
use tacit_api::policy::{Policy, Refusal};
use tacit_mpc::keys::{Binding, agree};
use tacit_mpc::net::Transport;
use tacit_mpc::{PartyId, Session, kernels};
use tacit_nn::train::{Data, Split};
use tacit_nn::{Engine, fixed};
use tacit_protocols::rep3::{Rep3Engine, Value, contribute};
use zeroize::Zeroizing;

use crate::broadcast::{BroadcastError, Voice};
use crate::coin::{self, Coin};
use crate::data::Rows;
use crate::link_speed;
use crate::row_count::{self, RowCounts};
use crate::seats::Seats;
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
    /// The contributors' weights are not 0 and 1.
    #[error("the weights of the contributors' rows do not add up to a number from 0 to {most}")]
    Weights {
        /// The number of these rows, padding included.
        most: usize,
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
            Self::Protocol(error) => error.culprit(),
            Self::Broadcast(error) => error.culprit(),
            Self::Engine(tacit_nn::Error::Protocol(error)) => error
                .downcast_ref::<tacit_mpc::Error>()
                .and_then(tacit_mpc::Error::culprit),
            Self::Engine(_)
            | Self::Policy(_)
            | Self::Totals
            | Self::Weights { .. }
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
        let comparison = link_speed::comparison(&**net, self.job.protocol.comparison)?;
        let session = Session::new(net.clone(), keys, Arc::from(kernels::cpu()));
        let mut engine = Rep3Engine::with_depth(session, self.fraction_bits(), comparison)?;
        let counts = row_count::collect(&mut engine, &**net, self.seats, self.job, rows.as_ref())?;
        row_count::tell(&**net, self.seats, counts.total)?;
        let own = rows.as_ref().map_or(0, Rows::real);
        self.policy.check_rows(self.job, counts.total, own)?;

        let data = self.collect_rows(&mut engine, &**net, rows, &counts)?;
        let coin = coin::toss(&**net, &self.voice)?;
        let test_fraction = self.plan.recipe().test_fraction;
        let split = Split::new(test_fraction, coin, counts.shared());
        let released =
            self.plan
                .train(&mut engine, &data, &split, &mut |engine, number, loss| {
                    let loss = loss
                        .map(|loss| engine.release(&[loss]))
                        .transpose()?
                        .map(Zeroizing::new);
                    observer(Epoch {
                        number,
                        rounds: engine.session().cost().rounds,
                        loss,
                    })
                })?;
        let values: Vec<&Value> = released
            .model
            .iter()
            .chain(&released.metrics)
            .map(|(_, value)| value)
            .collect();
        let words = Zeroizing::new(engine.release(&values)?);
        Ok(Outcome {
            words: self.with_coin(&words, &coin),
            rounds: engine.session().cost().rounds,
        })
    }

    /// Appends this party's part of the coin, with which the recipient can train the same in plaintext: the coin itself
    /// at party 0 and zeros at the others, which add up to it.
    fn with_coin(&self, words: &[u64], coin: &Coin) -> Zeroizing<Vec<u64>> {
        let part = if self.seats.me() == 0 {
            coin_words(coin)
        } else {
            [0; 4]
        };
        Zeroizing::new([words, &part].concat())
    }

    /// Shares of the rows of all contributors, one below the other.
    fn collect_rows(
        &self,
        engine: &mut Rep3Engine,
        net: &dyn Transport,
        rows: Option<Rows>,
        counts: &RowCounts,
    ) -> Result<Data<Value>, TrainError> {
        let mut part = |own: Option<&ndarray::Array2<f64>>, width: usize| {
            let own = own
                .map(|own| encode(own, self.fraction_bits()))
                .transpose()?;
            let shapes = counts.each.iter().map(|&rows| vec![rows, width]);
            let shares = exchange(net, self.seats, own.as_ref(), shapes)?;
            let joined = engine.concat(0, &shares.iter().collect::<Vec<_>>())?;
            Ok::<_, TrainError>(joined)
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
    part: &ndarray::Array2<f64>,
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

/// At a computing party: shares its own tensor, if it contributes, and receives those of the other contributors, of these
/// shapes, in the order of their indices.
pub(crate) fn exchange(
    net: &dyn Transport,
    seats: &Seats,
    own: Option<&tacit_mpc::Tensor>,
    shapes: impl IntoIterator<Item = Vec<usize>>,
) -> Result<Vec<Value>, TrainError> {
    let own = own
        .map(|own| contribute::send(net, own))
        .transpose()?
        .flatten();
    let share = |(&from, shape): (&PartyId, Vec<usize>)| match &own {
        Some(own) if from == seats.me() => Ok(Value::Numbers(own.clone())),
        _ => Ok(Value::Numbers(contribute::receive(net, from, &shape)?)),
    };
    seats.contributors().iter().zip(shapes).map(share).collect()
}

#[cfg(test)]
mod tests;
