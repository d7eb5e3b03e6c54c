//! Evaluation keys on disk: by identifier, within quotas, each client's apart.
//!
//! An evaluation key is public: whoever has it can compute on its owner's ciphertexts and read none. It is long, so a
//! client sends it once and names it from then on, also after this server was started again. A key lies at
//! `FOLDER/CLIENT/IDENTIFIER.key`, where the identifier is the SHA-256 of its bytes: a damaged file is noticed when it is
//! read. Other files in the folder are left alone. Nobody uses another client's key or is told whether there is one; that
//! others are active, though not who, shows in a full store and in the number of questions that come first.
//!
//! Keys of clients that are no longer listed, and of parameter sets that no model has any longer, lie idle: nobody can use
//! them, they count towards no quota, and they make room for all others. They stay until then, so that a mistake in the
//! list costs no client an upload.

mod files;
mod index;
#[cfg(test)]
mod tests;
mod upload;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use files::{ON_ITS_WAY, PART, at, entries, id_of, start_of, was_on_its_way};
use index::{Idle, Index, Kept};
use sha2::{Digest, Sha256};
pub use upload::Upload;

/// What a key is called: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// The identifier of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many bytes of keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Of one client: beyond that, the key that it used longest ago makes room, once the new one is whole. Until then
    /// both are on disk.
    pub client: u64,
    /// Of all: beyond that, new keys are refused.
    pub all: u64,
}

/// Why a key is not kept or not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// A single key is longer than a client's quota.
    #[error("a key of {bytes} bytes is longer than the {quota} bytes that are kept for a client")]
    TooLong {
        /// The key's length.
        bytes: u64,
        /// What is kept for a client.
        quota: u64,
    },
    /// The store is full.
    #[error("there is no room for another key; ask the service's operator for a larger quota")]
    Full,
    /// What came is not what was announced.
    #[error("the key that came is not the one that was announced: {0}")]
    Different(&'static str),
    /// The client has no key of this identifier here.
    #[error("there is no key {0} of yours here: send it first")]
    Unknown(KeyId),
    /// The file of a key is not what it was.
    #[error("{}: the file was changed or damaged; it was removed, send the key again", .0.display())]
    Damaged(PathBuf),
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// All keys of a service.
#[derive(Debug)]
pub struct KeyStore {
    folder: PathBuf,
    quota: Quota,
    index: Mutex<Index>,
}

impl KeyStore {
    /// Opens the store in `folder`, which is made if it is not there. Unfinished uploads of an earlier run are removed;
    /// what else lies there is not touched, and links are not followed. Of a client's name and how a key's file begins
    /// (128 bytes of it), `of_use` says whether the client may use it; other keys lie idle.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn open(
        folder: &Path,
        quota: Quota,
        of_use: impl Fn(&str, &[u8]) -> bool,
    ) -> Result<Self, KeyStoreError> {
        let mut index = Index::default();
        fs::create_dir_all(folder).map_err(at(folder))?;
        for client in entries(folder)? {
            let folder = client.path();
            // The names of clients are text; a folder of another name is somebody else's.
            let Ok(name) = client.file_name().into_string() else {
                continue;
            };
            if !client.file_type().map_err(at(&folder))?.is_dir() {
                continue;
            }
            for file in entries(&folder)? {
                let path = file.path();
                if !file.file_type().map_err(at(&path))?.is_file() {
                    continue;
                }
                if was_on_its_way(&path) {
                    fs::remove_file(&path).map_err(at(&path))?;
                } else if let Some(id) = id_of(&path) {
                    let about = file.metadata().map_err(at(&path))?;
                    let kept = Kept {
                        bytes: about.len(),
                        used: about.modified().map_err(at(&path))?,
                    };
                    if of_use(&name, &start_of(&path)?) {
                        index.keys.insert((name.clone(), id), kept);
                    } else {
                        let client = name.clone();
                        index.idle.push(Idle { client, id, kept });
                    }
                }
            }
        }
        index
            .idle
            .sort_by_key(|idle| std::cmp::Reverse(idle.kept.used));
        if !index.idle.is_empty() {
            tracing::info!(
                "{} evaluation keys of {} bytes lie idle, for their clients are not listed or no model has their \
                 parameters: they make room for others",
                index.idle.len(),
                index.idle_bytes()
            );
        }
        let this = Self {
            folder: folder.to_owned(),
            quota,
            index: Mutex::default(),
        };
        this.clear(&mut index, "", 0);
        *this.lock() = index;
        Ok(this)
    }

    /// Removes keys that lie idle, those that were used longest ago first, until there is room for what is there and for
    /// `more` bytes of `client`.
    fn clear(&self, index: &mut Index, client: &str, more: u64) {
        let end = index.end(client, more, self.quota);
        while end.saturating_add(index.idle_bytes()) > self.quota.all {
            let Some(idle) = index.idle.pop() else { break };
            let path = self.path(&idle.client, idle.id);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // It counts again from the next start on.
                    tracing::error!(
                        "an idle evaluation key should have made room: {}",
                        at(&path)(error)
                    );
                }
                _ => {
                    tracing::info!(client = idle.client, key = %idle.id, "removed an evaluation key that lay idle")
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, client: &str, id: KeyId) -> PathBuf {
        self.folder.join(client).join(format!("{id}.key"))
    }

    /// Whether `client` has this key here.
    pub fn has(&self, client: &str, id: KeyId) -> bool {
        self.lock().keys.contains_key(&(client.to_owned(), id))
    }

    /// `client` used this key now, be it from disk or from memory: others of its keys make room first.
    pub fn touch(&self, client: &str, id: KeyId) {
        let now = SystemTime::now();
        match self.lock().keys.get_mut(&(client.to_owned(), id)) {
            Some(kept) => kept.used = now,
            None => return,
        }
        // The file's time only says after a restart which key was used last: to miss one use there harms nobody.
        let _ = File::open(self.path(client, id)).and_then(|file| file.set_modified(now));
    }

    /// Begins to keep a key that is about to come, for which there will be room. Older keys stay until it is whole.
    ///
    /// # Errors
    /// If it is too long or the store is full.
    pub fn begin(
        self: &Arc<Self>,
        client: &str,
        id: KeyId,
        bytes: u64,
    ) -> Result<Upload, KeyStoreError> {
        let quota = self.quota;
        if bytes > quota.client {
            return Err(KeyStoreError::TooLong {
                bytes,
                quota: quota.client,
            });
        }
        let mut index = self.lock();
        // Uploads of its own that are under way are not pushed aside.
        let promised = index.promised_by(client).saturating_add(bytes);
        if promised > quota.client || index.end(client, bytes, quota) > quota.all {
            return Err(KeyStoreError::Full);
        }
        self.clear(&mut index, client, bytes);
        let folder = self.folder.join(client);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let file = tempfile::Builder::new()
            .prefix(ON_ITS_WAY)
            .suffix(PART)
            .tempfile_in(&folder)
            .map_err(at(&folder))?;
        index.promise(client, bytes);
        drop(index);
        Ok(Upload {
            store: self.clone(),
            client: client.to_owned(),
            id,
            bytes,
            came: 0,
            hash: Sha256::new(),
            file: Some(file),
        })
    }

    /// The bytes of a key of `client`.
    ///
    /// # Errors
    /// If there is none, or its file is damaged.
    pub fn read(&self, client: &str, id: KeyId) -> Result<Vec<u8>, KeyStoreError> {
        self.touch(client, id);
        let path = self.path(client, id);
        let mut index = self.lock();
        let key = (client.to_owned(), id);
        if !index.keys.contains_key(&key) {
            return Err(KeyStoreError::Unknown(id));
        }
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody removed the file: without its entry, the client may send the key again.
                index.keys.remove(&key);
                return Err(KeyStoreError::Unknown(id));
            }
            opened => opened.map_err(at(&path))?,
        };
        drop(index);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(at(&path))?;
        if KeyId::of(&bytes) != id {
            self.remove(&mut self.lock(), client, id)?;
            return Err(KeyStoreError::Damaged(path));
        }
        Ok(bytes)
    }

    fn remove(&self, index: &mut Index, client: &str, id: KeyId) -> Result<(), KeyStoreError> {
        let path = self.path(client, id);
        index.keys.remove(&(client.to_owned(), id));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }
}
