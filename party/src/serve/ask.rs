//! The client's side of a service.

use std::collections::HashMap;
use std::num::Wrapping;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::net::{Error as LinkError, Transport};
use tacit_mpc::{PartyId, Tensor};
use tacit_nn::fixed;
use tacit_protocols::release::{ReleaseError, combined};
use tacit_protocols::rep3::contribute;

use super::wire::{Answer, Ask, Greeting, Port};
use crate::net::{Connector, Peer, RATE, SessionId, TlsNet};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// A link to a party failed.
    #[error(transparent)]
    Link(#[from] tacit_mpc::net::Error),
    /// The question cannot be shared.
    #[error(transparent)]
    Share(#[from] tacit_mpc::Error),
    /// A number has no encoding.
    #[error(transparent)]
    Encode(#[from] tacit_nn::Error),
    /// The parties serve different things.
    #[error("the parties describe the service differently: ask their operators")]
    Greetings,
    /// A party sent something that makes no sense.
    #[error("party {peer} {what}")]
    Misbehaved {
        /// Which.
        peer: PartyId,
        /// What it did, as the end of a sentence about it.
        what: String,
    },
    /// The parts of the answer do not make up one.
    #[error(transparent)]
    Answer(#[from] ReleaseError),
    /// The tensors do not fit the model.
    #[error("{0}")]
    Question(String),
    /// A party refused the question.
    #[error("party {peer} refused the question: {reason}")]
    Refused {
        /// Which.
        peer: PartyId,
        /// What it said.
        reason: String,
    },
}

/// A connection to the three parties of a service.
pub struct Asker {
    net: Arc<TlsNet>,
    /// What the parties send, as it comes.
    inbox: Receiver<(PartyId, Result<Bytes, LinkError>)>,
    /// How long an answer may take to begin.
    deadline: Duration,
    greeting: Greeting,
    next: u64,
    /// Answers that have come before they were asked for, by party and number.
    early: HashMap<(PartyId, u64), Result<Vec<u64>, String>>,
    rows: HashMap<u64, usize>,
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.net.abort(); // also wakes those who listen
    }
}

/// Frames of the parties that wait to be read.
const UNREAD: usize = 16;

/// The place of the asker in its session with the three parties.
const ASKER: PartyId = 3;

impl Asker {
    /// Calls the three parties, in the order of their indices.
    ///
    /// # Errors
    /// A party cannot be reached, or they do not agree on what they serve.
    pub fn connect(
        connector: &Connector,
        session: SessionId,
        parties: &[Peer; 3],
    ) -> Result<Self, AskError> {
        let net = Arc::new(connector.connect(session, ASKER, parties)?);
        let mut greetings = Vec::with_capacity(3);
        for peer in 0..3 {
            let greeting = Greeting::decode(&net.recv(peer)?);
            greetings.push(greeting.ok_or_else(|| AskError::Misbehaved {
                peer,
                what: "greeted with something that is no greeting".into(),
            })?);
        }
        // Numbers begin anywhere, so that questions over an earlier connection have others.
        let mut first = [0; 8];
        getrandom::fill(&mut first).map_err(|e| tacit_mpc::Error::Randomness(e.to_string()))?;
        match greetings.pop() {
            Some(greeting)
                if greetings.iter().all(|other| *other == greeting)
                    && greeting.bounds.len() == greeting.inputs.len()
                    && greeting.kinds.len() == greeting.inputs.len() =>
            {
                let (inbox, deadline) = (listen(&net)?, connector.deadlines.exchange);
                Ok(Self {
                    net,
                    inbox,
                    deadline,
                    greeting,
                    next: u64::from_le_bytes(first),
                    early: HashMap::new(),
                    rows: HashMap::new(),
                })
            }
            _ => Err(AskError::Greetings),
        }
    }

    /// What is served.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Shares a question to the parties: a tensor for every input, rows first. The number by which to ask for the answer;
    /// several questions may be on their way.
    ///
    /// # Errors
    /// The tensors do not fit the model, a number has no encoding, or a link failed.
    pub fn ask(&mut self, inputs: &[ArrayD<f64>]) -> Result<u64, AskError> {
        self.share(inputs, |_, _| {})
    }

    /// The same with messages changed on their way.
    #[cfg(test)]
    pub(super) fn ask_changed(
        &mut self,
        inputs: &[ArrayD<f64>],
        change: impl Fn(PartyId, &mut Vec<u8>),
    ) -> Result<u64, AskError> {
        self.share(inputs, change)
    }

    /// The same without a look at the numbers.
    #[cfg(test)]
    pub(super) fn ask_unchecked(&mut self, inputs: &[ArrayD<f64>]) -> Result<u64, AskError> {
        let words = self.encode(inputs)?;
        self.ask_words(&words)
    }

    /// Any words.
    #[cfg(test)]
    pub(super) fn ask_words(&mut self, inputs: &[Tensor]) -> Result<u64, AskError> {
        self.send_words(inputs, |_, _| {})
    }

    /// Numbers the next questions from here on.
    #[cfg(test)]
    pub(super) fn number_from(&mut self, number: u64) {
        self.next = number;
    }

    /// Sends a party anything.
    #[cfg(test)]
    pub(super) fn send_raw(&self, peer: PartyId, frame: Bytes) {
        self.net.send(peer, frame).unwrap();
    }

    fn share(
        &mut self,
        inputs: &[ArrayD<f64>],
        change: impl Fn(PartyId, &mut Vec<u8>),
    ) -> Result<u64, AskError> {
        self.check(inputs)?;
        let words = self.encode(inputs)?;
        self.send_words(&words, change)
    }

    fn encode(&self, inputs: &[ArrayD<f64>]) -> Result<Vec<Tensor>, AskError> {
        let encode = |x| fixed::encode_tensor(x, self.greeting.fraction_bits);
        let words: Result<_, _> = inputs.iter().map(encode).collect();
        Ok(words?)
    }

    /// Shares words, of as many rows each.
    fn send_words(
        &mut self,
        inputs: &[Tensor],
        change: impl Fn(PartyId, &mut Vec<u8>),
    ) -> Result<u64, AskError> {
        let rows = inputs.first().and_then(|x| x.shape().first().copied());
        let rows = rows.unwrap_or(0);
        let mut messages: [Vec<u8>; 3] = Default::default();
        for words in inputs {
            let parts = contribute::share(words)?;
            for (message, part) in messages.iter_mut().zip(&parts.messages) {
                message.extend_from_slice(part);
            }
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        for (peer, mut message) in messages.into_iter().enumerate() {
            change(peer, &mut message);
            let ask = Ask {
                number,
                rows: rows as u32,
                shares: message.into(),
            };
            self.net.send(peer, ask.encode())?;
        }
        self.rows.insert(number, rows);
        Ok(number)
    }

    /// The answer to a question: a tensor for every output, rows first.
    ///
    /// # Errors
    /// A party refused, sent something else, or a link failed.
    pub fn answer(&mut self, number: u64) -> Result<Vec<ArrayD<f64>>, AskError> {
        let rows = self.rows.remove(&number).ok_or_else(|| {
            AskError::Question(format!("question {number} was not asked, or is answered"))
        })?;
        let widths = self.greeting.outputs.iter().map(Port::width);
        let total = rows * widths.sum::<usize>();
        let parts = self.words(number, total)?;
        let sum = combined(parts.each_ref().map(|part| &part[..]), self.greeting.copies)?;
        if sum.len() != total {
            let what = format!(
                "answered, with both others, {} words instead of {total}",
                sum.len()
            );
            return Err(AskError::Misbehaved { peer: 0, what });
        }
        let mut rest = &sum[..];
        let mut outputs = Vec::with_capacity(self.greeting.outputs.len());
        for port in &self.greeting.outputs {
            let (words, later) = rest.split_at(rows * port.width());
            rest = later;
            let reals = words
                .iter()
                .map(|&w| fixed::decode(Wrapping(w), self.greeting.fraction_bits));
            let shape = [&[rows], &port.shape[..]].concat();
            let tensor = ArrayD::from_shape_vec(IxDyn(&shape), reals.collect());
            outputs.push(tensor.map_err(|e| AskError::Question(e.to_string()))?);
        }
        Ok(outputs)
    }

    /// What all parties say to a question that has so many words for an answer. The first that refuses it decides. A long
    /// answer may take as long as the parties let it.
    fn words(&mut self, number: u64, total: usize) -> Result<[Vec<u64>; 3], AskError> {
        let reading = Duration::from_secs_f64(8.0 * total as f64 / f64::from(RATE));
        let until = Instant::now() + self.deadline + reading;
        loop {
            for peer in 0..3 {
                if let Some(Err(reason)) = self.early.get(&(peer, number)) {
                    let reason = reason.clone();
                    (0..3).for_each(|peer| drop(self.early.remove(&(peer, number))));
                    return Err(AskError::Refused { peer, reason });
                }
            }
            if (0..3).all(|peer| self.early.contains_key(&(peer, number))) {
                let words = |peer| self.early.remove(&(peer, number)).and_then(Result::ok);
                return Ok([0, 1, 2].map(words).map(Option::unwrap_or_default));
            }
            let wait = until.saturating_duration_since(Instant::now());
            let Ok((peer, frame)) = self.inbox.recv_timeout(wait) else {
                let missing = (0..3).find(|&peer| !self.early.contains_key(&(peer, number)));
                let peer = missing.unwrap_or_default();
                return Err(LinkError::Timeout { peer }.into());
            };
            let answer = Answer::decode(frame?).ok_or_else(|| AskError::Misbehaved {
                peer,
                what: "sent something that is no answer".into(),
            })?;
            // What comes to a question that another party has refused already is of no use.
            if answer.number == number || self.rows.contains_key(&answer.number) {
                self.early.insert((peer, answer.number), answer.outcome);
            }
        }
    }

    /// Whether a question fits the model.
    fn check(&self, inputs: &[ArrayD<f64>]) -> Result<(), AskError> {
        let ports = &self.greeting.inputs;
        if inputs.len() != ports.len() {
            return Err(AskError::Question(format!(
                "the model takes {} inputs, {} were given",
                ports.len(),
                inputs.len()
            )));
        }
        let rows = inputs
            .first()
            .and_then(|x| x.shape().first().copied())
            .unwrap_or(0);
        for (x, port) in inputs.iter().zip(ports) {
            let want = [&[rows], &port.shape[..]].concat();
            if x.shape() != want {
                return Err(AskError::Question(format!(
                    "input {} has shape {:?}, the model takes [rows, {:?}]",
                    port.name,
                    x.shape(),
                    port.shape
                )));
            }
        }
        self.greeting.check_rows(rows).map_err(AskError::Question)?;
        for (x, (port, &(lo, hi))) in inputs.iter().zip(ports.iter().zip(&self.greeting.bounds)) {
            let outside = x.iter().find(|v| v.is_finite() && !(lo..=hi).contains(*v));
            if let Some(v) = outside {
                return Err(AskError::Question(format!(
                    "input {} has {v}, and the service takes numbers from {lo} to {hi}: beyond, they count as the bound",
                    port.name
                )));
            }
        }
        for (x, (port, kind)) in inputs.iter().zip(ports.iter().zip(&self.greeting.kinds)) {
            if let Some(v) = x.iter().find(|v| v.is_finite() && !kind.holds(**v)) {
                return Err(AskError::Question(format!(
                    "input {} has {v}, and the model takes {} there",
                    port.name,
                    kind.plural()
                )));
            }
        }
        Ok(())
    }
}

/// A thread for each party that passes on what it sends, until its link ends.
fn listen(net: &Arc<TlsNet>) -> Result<Receiver<(PartyId, Result<Bytes, LinkError>)>, AskError> {
    let (out, inbox) = sync_channel(UNREAD);
    for peer in 0..3 {
        let (net, out): (_, SyncSender<_>) = (net.clone(), out.clone());
        let listen = move || {
            loop {
                let frame = net.recv(peer);
                // Nobody asks anything for a while.
                if matches!(frame, Err(LinkError::Timeout { .. })) {
                    continue;
                }
                let last = frame.is_err();
                if out.send((peer, frame)).is_err() || last {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name(format!("answers of {peer}"));
        spawned.spawn(listen).map_err(|e| LinkError::Io {
            peer,
            what: e.to_string(),
        })?;
    }
    Ok(inbox)
}
