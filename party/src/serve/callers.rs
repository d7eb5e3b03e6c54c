//! The clients of a service: takes their calls, reads their questions, sends their answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use tacit_mpc::PartyId;

use super::agree::Ticket;
use super::question::{Question, message_len};
use super::queue::Queue;
use super::wire::{Answer, Ask, Greeting};
use crate::net::{Allowance, Call, Caller, Connector, SessionId};

/// How often an idle service looks whether it has ended.
const LOOK: Duration = Duration::from_millis(200);
/// How long the clients have, once the service ends, to read what was sent to them.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes of answers that may wait for a client to read them, where no two answers have more.
const UNSENT: usize = 16 << 20;

/// How patient a service is with a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long it may be silent.
    pub(super) silence: Duration,
    /// How long a frame to it may take.
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connected: HashMap<u16, Arc<Caller>>,
    /// Clients whose call is being answered.
    greeted: HashSet<u16>,
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
                scope.spawn(move || self.attend(client, call));
            }
        }
    }

    fn allowance(&self) -> Allowance {
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
        }
    }

    /// One call, until the client leaves.
    fn attend(&self, client: u16, call: Call) {
        let name = &self.clients[usize::from(client)];
        let answered = self
            .connector
            .answer_call(self.session, name, call, self.allowance());
        let mut state = self.state();
        state.greeted.remove(&client);
        let caller = match answered {
            Ok(caller) => Arc::new(caller),
            Err(e) => return tracing::warn!("a client could not be served: {e}"),
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
        tracing::info!(client = name, "connected");
        let reason = self.listen_to(client, &caller);
        tracing::info!(client = name, "disconnected: {reason}");
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
            let question = Question::read(self.me, self.session, client, &ask, self.greeting);
            let taken = question.and_then(|question| {
                let ticket = Ticket { client, number };
                let put = self.queue.put(ticket, question, caller.clone());
                put.map_err(|e| e.to_string())
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
        if let Err(e) = caller.send(Answer { number, outcome }.encode()) {
            tracing::info!(client = self.clients[caller.member], "dropped: {e}");
            caller.hang_up();
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
