//! What the store knows of its files: who has which keys, what is on its way, what is of no use any longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::{KeyId, Quota};

/// All keys of a store.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) keys: BTreeMap<(String, KeyId), Kept>,
    /// Keys that nobody may use: they lie there while there is room, count towards no quota, and go first. The one that
    /// was used longest ago comes last.
    pub(super) idle: Vec<Idle>,
    /// Bytes that uploads under way need, by client.
    promised: BTreeMap<String, u64>,
}

/// A key that its client can use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) bytes: u64,
    pub(super) used: SystemTime,
}

/// A key that nobody may use, be it that its client is no longer listed or that no model has its parameters.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    pub(super) client: String,
    pub(super) id: KeyId,
    pub(super) kept: Kept,
}

impl Index {
    /// The keys of one client, the one that it used longest ago first.
    pub(super) fn keys_of(&self, client: &str) -> Vec<(KeyId, Kept)> {
        let own = self.keys.iter().filter(|((owner, _), _)| owner == client);
        let mut own: Vec<_> = own.map(|((_, id), kept)| (*id, *kept)).collect();
        own.sort_by_key(|(_, kept)| kept.used);
        own
    }

    /// Bytes on their way from one client.
    pub(super) fn promised_by(&self, client: &str) -> u64 {
        self.promised.get(client).copied().unwrap_or(0)
    }

    /// So many bytes of `client` are on their way.
    pub(super) fn promise(&mut self, client: &str, bytes: u64) {
        *self.promised.entry(client.to_owned()).or_default() += bytes;
    }

    /// So many bytes of `client` are no longer on their way.
    pub(super) fn settle(&mut self, client: &str, bytes: u64) {
        if let Some(promised) = self.promised.get_mut(client) {
            *promised = promised.saturating_sub(bytes);
        }
    }

    /// Bytes of one client, kept or on their way.
    pub(super) fn bytes_of(&self, client: &str) -> u64 {
        let own = self.keys_of(client);
        let kept: u64 = own.iter().map(|(_, kept)| kept.bytes).sum();
        self.promised_by(client).saturating_add(kept)
    }

    /// Bytes of keys that nobody may use.
    pub(super) fn idle_bytes(&self) -> u64 {
        let bytes = self.idle.iter().map(|idle| idle.kept.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// What one client will have, with `more` bytes to come: at least what it has now, since what is on its way may fail.
    fn end_of(&self, client: &str, more: u64, quota: Quota) -> u64 {
        let own = self.keys_of(client);
        let coming = self.promised_by(client).saturating_add(more);
        let kept: u64 = own.iter().map(|(_, kept)| kept.bytes).sum();
        let mut left = kept;
        for (_, oldest) in own {
            if left.saturating_add(coming) <= quota.client {
                break;
            }
            left -= oldest.bytes;
        }
        kept.max(left.saturating_add(coming))
    }

    /// What all will have, with `more` bytes of `client` to come; keys that nobody may use do not count.
    pub(super) fn end(&self, client: &str, more: u64, quota: Quota) -> u64 {
        let owners = self.keys.keys().map(|(owner, _)| owner.as_str());
        let senders = self.promised.keys().map(String::as_str);
        let mut others: BTreeSet<_> = owners.chain(senders).collect();
        others.remove(client);
        let others = others.into_iter().map(|other| self.end_of(other, 0, quota));
        others.fold(self.end_of(client, more, quota), u64::saturating_add)
    }
}
