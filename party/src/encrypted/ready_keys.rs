//! Evaluation keys in memory, ready to compute with: the few that were used last.

use std::sync::{Arc, Mutex, PoisonError};

use super::key_store::KeyId;

/// Whose key, and which.
pub(crate) type Owned = (String, KeyId);

/// The keys that were used last, at most so many. What is in use lives on until its last user has ended.
///
/// Every client has an equal share, one key at least. A client that has its share replaces its own keys, however fast it
/// goes through them; room that others leave is anybody's until they want it back. Where there are more clients than
/// room, one that has no key here takes the place of the key that was used longest ago.
#[derive(Debug)]
pub(crate) struct ReadyKeys<K> {
    most: usize,
    share: usize,
    /// The one that was used last comes last.
    keys: Mutex<Vec<(Owned, Arc<K>)>>,
}

impl<K> ReadyKeys<K> {
    /// Room for so many keys, one at least, among so many clients.
    pub(crate) fn new(most: usize, clients: usize) -> Self {
        let most = most.max(1);
        Self {
            most,
            share: (most / clients.max(1)).max(1),
            keys: Mutex::default(),
        }
    }

    /// The key, which `expand` makes ready if it is not.
    pub(crate) fn get<E>(
        &self,
        owned: &Owned,
        expand: impl FnOnce() -> Result<K, E>,
    ) -> Result<Arc<K>, E> {
        let lock = || self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut keys = lock();
            if let Some(at) = keys.iter().position(|(owner, _)| owner == owned) {
                let found = keys.remove(at);
                let key = found.1.clone();
                keys.push(found);
                return Ok(key);
            }
        }
        // Not under the lock: this takes long. Two workers that do it at once both get a key, and one of them is kept.
        let key = Arc::new(expand()?);
        let mut keys = lock();
        keys.retain(|(owner, _)| owner != owned);
        if keys.len() >= self.most {
            let makes_room = self.makes_room(&keys, &owned.0);
            keys.remove(makes_room);
        }
        keys.push((owned.clone(), key.clone()));
        Ok(key)
    }

    /// Which key makes room for one of `client`, where there is none left.
    fn makes_room(&self, keys: &[(Owned, Arc<K>)], client: &str) -> usize {
        let of = |client: &str| {
            keys.iter()
                .filter(|((owner, _), _)| owner == client)
                .count()
        };
        let goes = |((owner, _), _): &(Owned, Arc<K>)| {
            if of(client) >= self.share {
                owner == client
            } else {
                of(owner) > self.share
            }
        };
        keys.iter().position(goes).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that had to be made ready, where clients ask with keys one after the other.
    fn expanded(
        most: usize,
        clients: usize,
        asked: &[(&'static str, u8)],
    ) -> Vec<(&'static str, u8)> {
        let ready = ReadyKeys::new(most, clients);
        let mut expanded = Vec::new();
        for &(client, k) in asked {
            let key = ready.get(&(client.to_owned(), KeyId([k; 32])), || {
                expanded.push((client, k));
                Ok::<_, ()>((client, k))
            });
            assert_eq!(*key.unwrap(), (client, k), "everybody gets its own key");
            assert!(ready.keys.lock().unwrap().len() <= most);
        }
        expanded
    }

    #[test]
    fn the_last_used_stay() {
        let asked = [1, 2, 1, 3, 1, 2].map(|k| ("a", k));
        let wanted = [1, 2, 3, 2].map(|k| ("a", k));
        assert_eq!(expanded(2, 1, &asked), wanted);
        let ready = ReadyKeys::<u8>::new(2, 1);
        let owned = ("a".to_owned(), KeyId([9; 32]));
        assert_eq!(ready.get(&owned, || Err("not a key")), Err("not a key"));
    }

    #[test]
    fn who_goes_through_many_keys_takes_no_place_from_another() {
        let mut asked = vec![("honest", 0)];
        asked.extend((1..9).map(|k| ("flood", k)));
        asked.push(("honest", 0));
        for clients in [2, 3, 40] {
            let expanded = expanded(4, clients, &asked);
            assert_eq!(expanded.len(), 9, "{clients} clients: {expanded:?}");
        }
    }

    #[test]
    fn room_that_others_leave_is_given_back() {
        // `flood` fills all four places; then each of the others gets its share of two, and keeps it.
        let mut asked: Vec<_> = (1..5).map(|k| ("flood", k)).collect();
        asked.extend([("honest", 1), ("honest", 2), ("flood", 9), ("flood", 8)]);
        let before = asked.len();
        asked.extend([("honest", 1), ("honest", 2)]);
        assert_eq!(expanded(4, 2, &asked).len(), before);
    }

    #[test]
    fn with_more_clients_than_places_the_one_longest_ago_goes() {
        let asked = [("a", 1), ("b", 1), ("c", 1), ("b", 1), ("a", 1), ("b", 1)];
        let wanted = [("a", 1), ("b", 1), ("c", 1), ("a", 1)];
        assert_eq!(expanded(2, 3, &asked), wanted);
        // Who has a place replaces its own key, and no other's.
        let asked = [("a", 1), ("b", 1), ("b", 2), ("b", 3), ("a", 1)];
        assert_eq!(expanded(2, 3, &asked).len(), 4);
    }
}
