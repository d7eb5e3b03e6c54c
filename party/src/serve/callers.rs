//! The clients of a service: takes their calls, reads their questions, sends their answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use tacit_mpc::PartyId;

use super::agree::Ticket;
use super::question::{Question, message_len};
use super::queue::Queue;
use super::wire::{Answer, Ask, Greeting};
use crate::log_limit::LogLimit;
use crate::net::{Allowance, Budget, Call, Caller, Connector, SessionId};

/// How often an idle service looks whether it has ended.
const LOOK: Duration = Duration::from_millis(200);
/// How long the clients have, once the service ends, to read what was sent to them.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes of answers that may wait for a client to read them, where no two answers have more.
const UNSENT: usize = 16 << 20;

/// Bytes that frames of all clients may take outside the queue: half of them in equal parts for each.
const FRAMES: usize = 1 << 30;

/// How patient a service is with a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long it may be silent.
    pub(super) silence: Duration,
    /// How long it may take nothing of what is sent to it.
    pub(super) write: Duration,
}

/// Those that are connected, by their place among the clients.
pub(super) struct Callers<'s> {
    pub(super) me: PartyId,
    pub(super) connector: &'s Connector,
    pub(super) session: SessionId,
    pub(super) clients: &'s [String],
    pub(super) greeting: &'s Greeting,
    pub(super) queue: &'s Queue<Arc<Caller>>,
    pub(super) patience: Patience,
    budget: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connected: HashMap<u16, Arc<Caller>>,
    /// Clients whose call is being answered.
    greeted: HashSet<u16>,
    /// When the log last told of each: that it came, and that it was dropped.
    came: HashMap<u16, LogLimit>,
    dropped: HashMap<u16, LogLimit>,
    /// When it last told that there is no thread.
    no_thread: LogLimit,
    ended: bool,
}

impl<'s> Callers<'s> {
    pub(super) fn new(
        me: PartyId,
        connector: &'s Connector,
        session: SessionId,
        clients: &'s [String],
        greeting: &'s Greeting,
        queue: &'s Queue<Arc<Caller>>,
        patience: Patience,
    ) -> Self {
        Self {
            me,
            connector,
            session,
            clients,
            greeting,
            queue,
            patience,
            budget: Budget::new(FRAMES, clients.len()),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes calls until the service ends; a thread for each client.
    pub(super) fn take_calls<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let open = self.connector.open(self.session, self.clients);
        while !self.state().ended {
            let Some(call) = open.next_call(Instant::now() + LOOK) else {
                continue;
            };
            let client = call.member as u16;
            // One at a time: a client that calls and calls holds one thread.
            if self.state().greeted.insert(client) {
                let attend = move || self.attend(client, call);
                if let Err(e) = Builder::new().spawn_scoped(scope, attend) {
                    let mut state = self.state();
                    state.greeted.remove(&client);
                    if let Some(more) = state.no_thread.tell(Instant::now()) {
                        tracing::warn!(more, "there is no thread for a client: {e}");
                    }
                }
            }
        }
    }

    fn allowance(&self, client: u16) -> Allowance {
        let Greeting {
            inputs,
            outputs,
            max_rows,
            ..
        } = self.greeting;
        let answer = 8 * max_rows * outputs.iter().map(|port| port.width()).sum::<usize>();
        Allowance {
            frame: message_len(self.me, *max_rows, inputs) + 64,
            // One frame waits to be read, and no more is taken from the socket.
            unread: 1,
            silence: self.patience.silence,
            unsent: UNSENT.max(2 * (answer + 256)),
            write: self.patience.write,
            account: self.budget.account(usize::from(client)),
        }
    }

    /// One call, until the client leaves.
    fn attend(&self, client: u16, call: Call) {
        let name = &self.clients[usize::from(client)];
        let answered = self
            .connector
            .answer_call(self.session, name, call, self.allowance(client));
        let mut state = self.state();
        state.greeted.remove(&client);
        let told = state.came.entry(client).or_default().tell(Instant::now());
        let caller = match answered {
            Ok(caller) => Arc::new(caller),
            Err(e) => {
                if let Some(more) = told {
                    tracing::warn!(more, "a client could not be served: {e}");
                }
                return;
            }
        };
        // Looked at while nobody can end the service: whoever is entered here is taken leave of.
        if state.ended {
            return caller.hang_up();
        }
        // The newest call of a client replaces its older one.
        let older = state.connected.insert(client, caller.clone());
        drop(state);
        if let Some(older) = older {
            self.drop_caller(&older);
        }
        if let Some(more) = told {
            tracing::info!(client = name, more, "connected");
        }
        let reason = self.listen_to(client, &caller);
        if told.is_some() {
            tracing::info!(client = name, "disconnected: {reason}");
        }
        let mut state = self.state();
        let current = state.connected.get(&client);
        if current.is_some_and(|c| Arc::ptr_eq(c, &caller)) {
            state.connected.remove(&client);
        }
        drop(state);
        self.drop_caller(&caller);
    }

    /// Cuts a client's link, and forgets what it asked over it.
    fn drop_caller(&self, caller: &Arc<Caller>) {
        caller.hang_up();
        self.queue.forget(|asker| Arc::ptr_eq(asker, caller));
    }

    /// Reads a client's questions until it leaves; why it left.
    fn listen_to(&self, client: u16, caller: &Arc<Caller>) -> String {
        if let Err(e) = caller.send(self.greeting.encode()) {
            return e.to_string();
        }
        loop {
            let frame = match caller.recv() {
                Ok(frame) => frame,
                Err(e) => return e.to_string(),
            };
            let Some(ask) = Ask::decode(frame) else {
                return "it sent something else than a question".into();
            };
            let number = ask.number;
            let taken = Question::check(self.me, &ask, self.greeting).and_then(|bytes| {
                let ticket = Ticket { client, number };
                let make = || Question::read(self.me, self.session, client, &ask, self.greeting);
                let taken = self.queue.admit(ticket, bytes, make, caller.clone());
                taken.map_err(|e| e.to_string())
            });
            if let Err(reason) = taken {
                self.tell(caller, number, Err(reason));
            }
        }
    }

    /// Answers a question to the connection that asked it, and to no other. Never waits: a client that does not read its
    /// answers is dropped.
    pub(super) fn tell(
        &self,
        caller: &Arc<Caller>,
        number: u64,
        outcome: Result<Vec<u64>, String>,
    ) {
        let Err(e) = caller.send(Answer { number, outcome }.encode()) else {
            return;
        };
        caller.hang_up();
        let mut state = self.state();
        let limit = state.dropped.entry(caller.member as u16).or_default();
        if let Some(more) = limit.tell(Instant::now()) {
            tracing::info!(client = self.clients[caller.member], more, "dropped: {e}");
        }
    }

    /// Takes leave of everybody: what was sent before still arrives, where the client reads it soon.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        let callers: Vec<_> = state.connected.drain().map(|(_, caller)| caller).collect();
        drop(state);
        self.queue.close();
        let until = Instant::now() + LINGER;
        callers.iter().for_each(|caller| caller.leave());
        for caller in callers {
            caller.wait_for_end(until.saturating_duration_since(Instant::now()));
            caller.hang_up();
        }
    }
}

/// Takes leave of the clients when it is dropped, however that comes: threads that listen to them would keep a scope open.
pub(super) struct Leave<'c, 's>(pub(super) &'c Callers<'s>);

impl Drop for Leave<'_, '_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
