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
    /// The members that may call for the services that are open.
    services: HashMap<SessionId, Vec<String>>,
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

    /// Lets these members call for `session`, whether they are parties or clients.
    pub(super) fn open(&self, session: SessionId, members: &[String]) {
        self.lock().services.insert(session, members.to_vec());
    }

    /// Ends what [`Registry::open`] began.
    pub(super) fn close(&self, session: SessionId) {
        self.lock().services.remove(&session);
    }

    /// Whether the member may call for the session as for a service.
    pub(super) fn invites(&self, session: SessionId, member: &str) -> bool {
        let state = self.lock();
        let invited = state.services.get(&session);
        invited.is_some_and(|members| members.iter().any(|name| name == member))
    }

    /// Takes the connection of any of these members for `session` that has waited longest, waiting for one until the given
    /// instant; the member's place among them.
    pub(super) fn claim_any(
        &self,
        session: SessionId,
        members: &[String],
        until: Instant,
    ) -> Option<(usize, Channel)> {
        let position = |s: &State| {
            let calls = s.parked.iter().filter(|((id, _), _)| *id == session);
            first_of(
                members,
                calls.map(|((_, name), (ticket, _))| (*ticket, name)),
            )
        };
        let wait = until.saturating_duration_since(Instant::now());
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), wait, |s| position(s).is_none());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let member = position(&state)?;
        let (_, channel) = state.parked.remove(&(session, members[member].clone()))?;
        self.changed.notify_all();
        Some((member, channel))
    }
}

/// The place among `members` of the earliest of these calls.
fn first_of<'c>(
    members: &[String],
    calls: impl Iterator<Item = (u64, &'c String)>,
) -> Option<usize> {
    let places = calls.filter_map(|(ticket, name)| {
        let place = members.iter().position(|member| member == name)?;
        Some((ticket, place))
    });
    places.min().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_called_first_is_served_first_wherever_he_stands_in_the_list() {
        let members = ["clinic", "ward", "lab"].map(String::from);
        let calls = [(7, 0), (3, 2), (5, 1)].map(|(ticket, k): (u64, usize)| (ticket, &members[k]));
        assert_eq!(first_of(&members, calls.into_iter()), Some(2));
        let stranger = "stranger".to_owned();
        assert_eq!(first_of(&members, [(1, &stranger)].into_iter()), None);
        assert_eq!(first_of(&members, [].into_iter()), None);
    }
}
