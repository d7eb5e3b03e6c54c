//! Evaluation keys on disk: by identifier, within quotas, each client's apart.
//!
//! An evaluation key is public: whoever has it can compute on its owner's ciphertexts and read none. It is long, so a
//! client sends it once and names it from then on, also after this server was started again. A key lies at
//! `FOLDER/CLIENT/IDENTIFIER.key`, where the identifier is the SHA-256 of its bytes: a damaged file is noticed when it is
//! read. Nobody uses another client's key, so that nobody can tell who else is served.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

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
    /// Of one client: beyond that, the key that it used longest ago makes room.
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

#[derive(Debug, Default)]
struct Index {
    keys: BTreeMap<(String, KeyId), Kept>,
    /// Bytes that uploads under way need, by client.
    promised: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    bytes: u64,
    used: SystemTime,
}

impl Index {
    /// Bytes kept or on their way, of all clients.
    fn bytes(&self) -> u64 {
        let kept: u64 = self.keys.values().map(|kept| kept.bytes).sum();
        kept + self.promised.values().sum::<u64>()
    }

    /// The same of one client.
    fn bytes_of(&self, client: &str) -> u64 {
        let own = self.keys.iter().filter(|((owner, _), _)| owner == client);
        let kept: u64 = own.map(|(_, kept)| kept.bytes).sum();
        kept + self.promised.get(client).copied().unwrap_or(0)
    }

    /// The key that `client` used longest ago.
    fn oldest_of(&self, client: &str) -> Option<KeyId> {
        let own = self.keys.iter().filter(|((owner, _), _)| owner == client);
        own.min_by_key(|(_, kept)| kept.used)
            .map(|((_, id), _)| *id)
    }
}

impl KeyStore {
    /// Opens the store in `folder`, which is made if it is not there. Unfinished uploads of an earlier run are removed.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn open(folder: &Path, quota: Quota) -> Result<Self, KeyStoreError> {
        let mut index = Index::default();
        let read = |path: &Path| -> Result<Vec<PathBuf>, KeyStoreError> {
            let entries = fs::read_dir(path).map_err(at(path))?;
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<io::Result<_>>().map_err(at(path))
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        for client in read(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = client.file_name().unwrap_or_default().to_string_lossy();
            for file in read(&client)? {
                let Some(id) = id_of(&file) else {
                    // Nothing else is ever written here but what was on its way.
                    fs::remove_file(&file).map_err(at(&file))?;
                    continue;
                };
                let about = file.metadata().map_err(at(&file))?;
                let kept = Kept {
                    bytes: about.len(),
                    used: about.modified().map_err(at(&file))?,
                };
                index.keys.insert((name.clone().into_owned(), id), kept);
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            quota,
            index: Mutex::new(index),
        })
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

    /// Makes room for a key that is about to come, and begins to keep it.
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
        while index.bytes_of(client) + bytes > quota.client {
            // Uploads of its own that are under way are not pushed aside.
            let oldest = index.oldest_of(client).ok_or(KeyStoreError::Full)?;
            self.remove(&mut index, client, oldest)?;
        }
        if index.bytes() + bytes > quota.all {
            return Err(KeyStoreError::Full);
        }
        let folder = self.folder.join(client);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let file = NamedTempFile::new_in(&folder).map_err(at(&folder))?;
        *index.promised.entry(client.to_owned()).or_default() += bytes;
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
        let path = self.path(client, id);
        let mut index = self.lock();
        let kept = index.keys.get_mut(&(client.to_owned(), id));
        let kept = kept.ok_or(KeyStoreError::Unknown(id))?;
        kept.used = SystemTime::now();
        let file = File::open(&path).map_err(at(&path))?;
        file.set_modified(kept.used).map_err(at(&path))?;
        drop(index);
        let bytes = fs::read(&path).map_err(at(&path))?;
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

/// A key on its way. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    store: Arc<KeyStore>,
    client: String,
    id: KeyId,
    bytes: u64,
    came: u64,
    hash: Sha256,
    file: Option<NamedTempFile>,
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

    /// That was all: the key is kept, if it is the one that was announced.
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
        if let Some(file) = self.file.take() {
            let path = self.store.path(&self.client, id);
            file.as_file().sync_all().map_err(at(&path))?;
            file.persist(&path)
                .map_err(|error| at(&path)(error.error))?;
            let kept = Kept {
                bytes: self.bytes,
                used: SystemTime::now(),
            };
            let key = (self.client.clone(), id);
            self.store.lock().keys.insert(key, kept);
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut index = self.store.lock();
        if let Some(promised) = index.promised.get_mut(&self.client) {
            *promised -= self.bytes;
        }
    }
}

/// The identifier that a file's name says, if it is the name of a key.
fn id_of(file: &Path) -> Option<KeyId> {
    let id = file.file_name()?.to_str()?.strip_suffix(".key")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    Some(KeyId(bytes))
}

/// An error at this path.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyStoreError {
    let path = path.to_owned();
    move |source| KeyStoreError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        client: 20,
        all: 30,
    };

    fn put(store: &Arc<KeyStore>, client: &str, key: &[u8]) -> Result<KeyId, KeyStoreError> {
        let id = KeyId::of(key);
        let mut upload = store.begin(client, id, key.len() as u64)?;
        for piece in key.chunks(3) {
            upload.write(piece)?;
        }
        upload.finish().map(|()| id)
    }

    fn files(folder: &Path) -> usize {
        let count = |path: PathBuf| fs::read_dir(path).unwrap().count();
        let clients = fs::read_dir(folder).unwrap();
        clients.map(|client| count(client.unwrap().path())).sum()
    }

    #[test]
    fn a_key_is_kept_for_its_owner_alone_and_outlives_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let store = open();
        let id = put(&store, "a", b"evaluation").unwrap();
        for store in [store, open()] {
            assert!(store.has("a", id) && !store.has("b", id));
            assert_eq!(store.read("a", id).unwrap(), b"evaluation");
            assert!(matches!(store.read("b", id), Err(KeyStoreError::Unknown(k)) if k == id));
        }
    }

    #[test]
    fn what_is_not_what_was_announced_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let id = KeyId::of(b"evaluation");
        let mut short = store.begin("a", id, 10).unwrap();
        short.write(b"evaluat").unwrap();
        assert!(matches!(
            short.finish(),
            Err(KeyStoreError::Different("it was cut off"))
        ));
        let mut long = store.begin("a", id, 10).unwrap();
        assert!(long.write(b"evaluation key").is_err());
        drop(long);
        let mut other = store.begin("a", id, 10).unwrap();
        other.write(b"evaluatioN").unwrap();
        assert!(matches!(
            other.finish(),
            Err(KeyStoreError::Different("its hash is another"))
        ));
        assert!(!store.has("a", id));
        assert_eq!(files(folder.path()), 0);
        assert_eq!(store.lock().bytes(), 0);
        // A server that was killed in between cleans up when it starts.
        fs::write(folder.path().join("a/.tmp123"), b"half").unwrap();
        KeyStore::open(folder.path(), QUOTA).unwrap();
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn quotas_hold() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let too_long = put(&store, "a", &[1; 21]);
        assert!(matches!(
            too_long,
            Err(KeyStoreError::TooLong {
                bytes: 21,
                quota: 20
            })
        ));
        let first = put(&store, "a", &[1; 10]).unwrap();
        let second = put(&store, "a", &[2; 10]).unwrap();
        store.read("a", first).unwrap(); // now the second one was used longest ago
        let third = put(&store, "a", &[3; 10]).unwrap();
        assert_eq!(
            [first, second, third].map(|id| store.has("a", id)),
            [true, false, true]
        );
        // Uploads under way count, towards both quotas.
        let under_way = store.begin("b", KeyId([0; 32]), 10).unwrap();
        assert!(matches!(
            put(&store, "c", &[4; 10]),
            Err(KeyStoreError::Full)
        ));
        assert!(matches!(
            store.begin("b", KeyId([0; 32]), 11),
            Err(KeyStoreError::Full)
        ));
        drop(under_way);
        put(&store, "c", &[4; 10]).unwrap();
        assert_eq!(files(folder.path()), 3);
    }

    #[test]
    fn a_damaged_file_is_noticed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let id = put(&store, "a", b"evaluation").unwrap();
        fs::write(store.path("a", id), b"evaluatioN").unwrap();
        assert!(matches!(
            store.read("a", id),
            Err(KeyStoreError::Damaged(_))
        ));
        assert!(matches!(
            store.read("a", id),
            Err(KeyStoreError::Unknown(_))
        ));
    }
}
