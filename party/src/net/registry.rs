//! Where accepted connections wait for the session that they name.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::hello::SessionId;

/// Connections of one member that may wait at a time.
const PER_MEMBER: usize = 8;

/// Accepted connections by session and member.
#[derive(Default)]
pub struct Registry {
    state: Mutex<State>,
    changed: Condvar,
}

type Key = (SessionId, String);

#[derive(Default)]
struct State {
    parked: HashMap<Key, (u64, Channel)>,
    next_ticket: u64,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a connection to the session it names and waits until it is claimed, replaced by a newer one of the same
    /// member, or dropped after `wait`. Says whether the session took it.
    pub(super) fn park(
        &self,
        session: SessionId,
        member: &str,
        channel: Channel,
        wait: Duration,
    ) -> bool {
        let key = (session, member.to_owned());
        let mut state = self.lock();
        let waiting = state
            .parked
            .keys()
            .filter(|(_, name)| name == member)
            .count();
        if waiting >= PER_MEMBER && !state.parked.contains_key(&key) {
            return false;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.parked.insert(key.clone(), (ticket, channel));
        self.changed.notify_all();

        let mine = |s: &State| s.parked.get(&key).is_some_and(|&(t, _)| t == ticket);
        let waited = self.changed.wait_timeout_while(state, wait, |s| mine(s));
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() && mine(&state) {
            state.parked.remove(&key);
            return false;
        }
        true
    }

    /// Takes the connection of `member` for `session`, waiting for it until the given instant.
    pub(super) fn claim(
        &self,
        session: SessionId,
        member: &str,
        until: Instant,
    ) -> Option<Channel> {
        let key = (session, member.to_owned());
        let wait = until.saturating_duration_since(Instant::now());
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), wait, |s| !s.parked.contains_key(&key));
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (_, channel) = state.parked.remove(&key)?;
        self.changed.notify_all();
        Some(channel)
    }
}
