//! The clients of a service: takes their calls, reads their questions, sends their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tacit_mpc::PartyId;
use tacit_protocols::rep3::{Rep3, contribute};

use super::agree::Ticket;
use super::queue::{Question, Queue};
use super::wire::{Answer, Ask, Greeting};
use crate::net::{Allowance, Caller, Connector, SessionId};

/// How often an idle service looks whether it has ended.
const LOOK: Duration = Duration::from_millis(200);
/// Frames that a client may leave unread here.
const UNREAD_FRAMES: usize = 4;

/// Those that are connected, by their place among the clients.
pub(super) struct Callers<'s> {
    pub(super) me: PartyId,
    pub(super) connector: &'s Connector,
    pub(super) session: SessionId,
    pub(super) clients: &'s [String],
    pub(super) greeting: &'s Greeting,
    pub(super) queue: &'s Queue,
    /// How long a client may be silent.
    pub(super) silence: Duration,
    connected: Mutex<HashMap<u16, Arc<Caller>>>,
    ended: Mutex<bool>,
}

impl<'s> Callers<'s> {
    pub(super) fn new(
        me: PartyId,
        connector: &'s Connector,
        session: SessionId,
        clients: &'s [String],
        greeting: &'s Greeting,
        queue: &'s Queue,
        silence: Duration,
    ) -> Self {
        Self {
            me,
            connector,
            session,
            clients,
            greeting,
            queue,
            silence,
            connected: Mutex::default(),
            ended: Mutex::new(false),
        }
    }

    fn connected(&self) -> MutexGuard<'_, HashMap<u16, Arc<Caller>>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> bool {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes calls until the service ends; a thread for each client.
    pub(super) fn take_calls<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let question: usize = self
            .greeting
            .inputs
            .iter()
            .map(|p| contribute::part_len(self.me, self.greeting.max_rows * p.width()))
            .sum();
        let frame = question + 64;
        let allowance = Allowance {
            frame,
            unread: UNREAD_FRAMES * (frame + 128),
            silence: self.silence,
        };
        let open = self.connector.open(self.session, self.clients);
        while !self.ended() {
            let until = Instant::now() + LOOK;
            match open.next_caller(allowance, until) {
                Ok(None) => {}
                Err(e) => tracing::warn!("a client could not be served: {e}"),
                Ok(Some(caller)) => {
                    let caller = Arc::new(caller);
                    let client = caller.member as u16;
                    // The newest call of a client replaces its older one.
                    if let Some(older) = self.connected().insert(client, caller.clone()) {
                        older.hang_up();
                        self.queue.forget(client);
                    }
                    scope.spawn(move || self.listen_to(client, &caller));
                }
            }
        }
    }

    /// Reads a client's questions until it leaves.
    fn listen_to(&self, client: u16, caller: &Arc<Caller>) {
        let name = &self.clients[usize::from(client)];
        tracing::info!(client = name, "connected");
        let greeted = caller.send(self.greeting.encode());
        let reason = match greeted {
            Err(e) => e.to_string(),
            Ok(()) => loop {
                let frame = match caller.recv() {
                    Ok(frame) => frame,
                    Err(e) => break e.to_string(),
                };
                let Some(ask) = Ask::decode(frame) else {
                    break "it sent something else than a question".into();
                };
                let number = ask.number;
                let taken = self.read(client, &ask).and_then(|q| {
                    self.queue
                        .put(Ticket { client, number }, q)
                        .map_err(|e| e.to_string())
                });
                if let Err(reason) = taken {
                    self.tell(client, number, Err(reason));
                }
            },
        };
        tracing::info!(client = name, "disconnected: {reason}");
        caller.hang_up();
        let mut connected = self.connected();
        if connected
            .get(&client)
            .is_some_and(|c| Arc::ptr_eq(c, caller))
        {
            connected.remove(&client);
            self.queue.forget(client);
        }
    }

    /// This party's shares of a question.
    fn read(&self, client: u16, ask: &Ask) -> Result<Question, String> {
        let rows = ask.rows as usize;
        if rows == 0 || rows > self.greeting.max_rows {
            return Err(format!(
                "a question has 1 to {} rows, and this one {rows}",
                self.greeting.max_rows
            ));
        }
        let mut peers = [0, 1, 2].map(|_| {
            Sha256::new()
                .chain_update(b"tacit question v1")
                .chain_update(self.session.0)
                .chain_update(client.to_le_bytes())
                .chain_update(ask.number.to_le_bytes())
                .chain_update(ask.rows.to_le_bytes())
        });
        let mut rest: Bytes = ask.shares.clone();
        let mut inputs: Vec<Rep3> = Vec::with_capacity(self.greeting.inputs.len());
        for port in &self.greeting.inputs {
            let shape = [&[rows], &port.shape[..]].concat();
            let len = contribute::part_len(self.me, rows * port.width());
            let part = (rest.len() >= len).then(|| rest.split_to(len));
            let shares = part.and_then(|part| {
                for (peer, hash) in peers.iter_mut().enumerate() {
                    hash.update(contribute::common(self.me, peer, &part));
                }
                contribute::read(self.me, &part, &shape)
            });
            inputs.push(shares.ok_or_else(|| {
                format!(
                    "the shares of {} do not have {rows} rows of shape {:?}",
                    port.name, port.shape
                )
            })?);
        }
        if !rest.is_empty() {
            return Err("the question is longer than its inputs".into());
        }
        Ok(Question {
            rows,
            inputs,
            fingerprints: peers.map(|hash| hash.finalize().into()),
        })
    }

    /// Answers a question, if the client is still there.
    pub(super) fn tell(&self, client: u16, number: u64, outcome: Result<Vec<u64>, String>) {
        let caller = self.connected().get(&client).cloned();
        if let Some(caller) = caller
            && let Err(e) = caller.send(Answer { number, outcome }.encode())
        {
            tracing::info!(client = self.clients[usize::from(client)], "lost: {e}");
            caller.hang_up();
        }
    }

    /// Takes leave of everybody: what was sent before still arrives.
    pub(super) fn end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.queue.close();
        self.connected()
            .drain()
            .for_each(|(_, caller)| caller.leave());
    }
}
