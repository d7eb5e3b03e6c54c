//! Evaluation keys in memory, ready to compute with: the few that were used last.

use std::sync::{Arc, Mutex, PoisonError};

use super::key_store::KeyId;

/// Whose key, and which.
pub(crate) type Owned = (String, KeyId);

/// The keys that were used last, at most so many. What is in use lives on until its last user has ended.
#[derive(Debug)]
pub(crate) struct ReadyKeys<K> {
    most: usize,
    /// The one that was used last comes last.
    keys: Mutex<Vec<(Owned, Arc<K>)>>,
}

impl<K> ReadyKeys<K> {
    /// Room for so many keys, one at least.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
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
            keys.remove(0);
        }
        keys.push((owned.clone(), key.clone()));
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_used_stay() {
        let ready = ReadyKeys::new(2);
        let owned = |k: u8| ("a".to_owned(), KeyId([k; 32]));
        let mut expanded = Vec::new();
        for k in [1, 2, 1, 3, 1, 2] {
            let key = ready.get(&owned(k), || {
                expanded.push(k);
                Ok::<u8, ()>(k)
            });
            assert_eq!(*key.unwrap(), k);
        }
        assert_eq!(expanded, [1, 2, 3, 2]);
        assert_eq!(ready.get(&owned(9), || Err("not a key")), Err("not a key"));
        let other = ready.get(&("b".to_owned(), KeyId([1; 32])), || Ok::<u8, ()>(7));
        assert_eq!(
            *other.unwrap(),
            7,
            "keys of different clients are different"
        );
    }
}
