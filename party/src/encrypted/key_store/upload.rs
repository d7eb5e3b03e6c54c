//! A key on its way into the store.

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::files::at;
use super::index::Kept;
use super::{KeyId, KeyStore, KeyStoreError};

/// A key on its way. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    pub(super) store: Arc<KeyStore>,
    pub(super) client: String,
    pub(super) id: KeyId,
    pub(super) bytes: u64,
    pub(super) came: u64,
    pub(super) hash: Sha256,
    pub(super) file: Option<NamedTempFile>,
}

impl Upload {
    /// The next bytes.
    ///
    /// # Errors
    /// More than were announced, or the disk.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), KeyStoreError> {
        self.came += piece.len() as u64;
        if self.came > self.bytes {
            return Err(KeyStoreError::Different("it is longer"));
        }
        self.hash.update(piece);
        match &mut self.file {
            Some(file) => file.write_all(piece).map_err(at(file.path())),
            None => Ok(()),
        }
    }

    /// That was all: the key is kept, if it is the one that was announced, and the client's older ones make room.
    ///
    /// # Errors
    /// If it is not, or the disk.
    pub fn finish(mut self) -> Result<(), KeyStoreError> {
        if self.came < self.bytes {
            return Err(KeyStoreError::Different("it was cut off"));
        }
        let id = KeyId(std::mem::take(&mut self.hash).finalize().into());
        if id != self.id {
            return Err(KeyStoreError::Different("its hash is another"));
        }
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let path = self.store.path(&self.client, id);
        file.as_file().sync_all().map_err(at(&path))?;
        let quota = self.store.quota;
        let key = (self.client.clone(), id);
        let mut index = self.store.lock();
        if index.keys.contains_key(&key) {
            return Ok(()); // it came twice at once, and the other one was faster
        }
        file.persist(&path)
            .map_err(|error| at(&path)(error.error))?;
        while index.bytes_of(&self.client) > quota.client
            || index.end(&self.client, 0, quota) > quota.all
        {
            let Some((oldest, _)) = index.keys_of(&self.client).first().copied() else {
                break;
            };
            if let Err(error) = self.store.remove(&mut index, &self.client, oldest) {
                // The new key is whole all the same; the file counts again from the next start on.
                tracing::error!("an evaluation key should have made room: {error}");
            }
        }
        // A damaged file by this name lay idle, and this one has taken its place.
        index
            .idle
            .retain(|idle| (&idle.client, idle.id) != (&self.client, id));
        // No longer on its way, so that it is not counted twice.
        let bytes = std::mem::take(&mut self.bytes);
        index.settle(&self.client, bytes);
        let used = SystemTime::now();
        index.keys.insert(key, Kept { bytes, used });
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.store.lock().settle(&self.client, self.bytes);
    }
}
