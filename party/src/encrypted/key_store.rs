//! Evaluation keys on disk: by identifier, within quotas, each client's apart.
//!
//! An evaluation key is public: whoever has it can compute on its owner's ciphertexts and read none. It is long, so a
//! client sends it once and names it from then on, also after this server was started again. A key lies at
//! `FOLDER/CLIENT/IDENTIFIER.key`, where the identifier is the SHA-256 of its bytes: a damaged file is noticed when it is
//! read. Other files in the folder are left alone. Nobody uses another client's key or is told whether there is one; that
//! others are active, though not who, shows in a full store and in the number of questions that come first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// How the name of a file on its way begins: only files that are named so are ever cleaned up.
const ON_ITS_WAY: &str = "upload-";
/// How it ends.
const PART: &str = ".part";

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
    /// The keys of one client, the one that it used longest ago first.
    fn keys_of(&self, client: &str) -> Vec<(KeyId, Kept)> {
        let own = self.keys.iter().filter(|((owner, _), _)| owner == client);
        let mut own: Vec<_> = own.map(|((_, id), kept)| (*id, *kept)).collect();
        own.sort_by_key(|(_, kept)| kept.used);
        own
    }

    /// Bytes on their way from one client.
    fn promised_by(&self, client: &str) -> u64 {
        self.promised.get(client).copied().unwrap_or(0)
    }

    /// Bytes of one client, kept or on their way.
    fn bytes_of(&self, client: &str) -> u64 {
        let own = self.keys_of(client);
        let kept: u64 = own.iter().map(|(_, kept)| kept.bytes).sum();
        self.promised_by(client).saturating_add(kept)
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

    /// What all will have, with `more` bytes of `client` to come.
    fn end(&self, client: &str, more: u64, quota: Quota) -> u64 {
        let owners = self.keys.keys().map(|(owner, _)| owner.as_str());
        let senders = self.promised.keys().map(String::as_str);
        let mut others: BTreeSet<_> = owners.chain(senders).collect();
        others.remove(client);
        let others = others.into_iter().map(|other| self.end_of(other, 0, quota));
        others.fold(self.end_of(client, more, quota), u64::saturating_add)
    }

    /// So many bytes of `client` are no longer on their way.
    fn settle(&mut self, client: &str, bytes: u64) {
        if let Some(promised) = self.promised.get_mut(client) {
            *promised = promised.saturating_sub(bytes);
        }
    }
}

impl KeyStore {
    /// Opens the store in `folder`, which is made if it is not there. Unfinished uploads of an earlier run are removed;
    /// what else lies there is not touched, and links are not followed.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn open(folder: &Path, quota: Quota) -> Result<Self, KeyStoreError> {
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
                    index.keys.insert((name.clone(), id), kept);
                }
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
        let folder = self.folder.join(client);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let file = tempfile::Builder::new()
            .prefix(ON_ITS_WAY)
            .suffix(PART)
            .tempfile_in(&folder)
            .map_err(at(&folder))?;
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

/// What lies in this folder.
fn entries(folder: &Path) -> Result<Vec<DirEntry>, KeyStoreError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    entries.collect::<io::Result<_>>().map_err(at(folder))
}

/// Whether a file is named like a key on its way.
fn was_on_its_way(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(ON_ITS_WAY) && name.ends_with(PART))
}

/// The identifier that a file's name says, if it is the name of a key.
fn id_of(file: &Path) -> Option<KeyId> {
    let id = file.file_name()?.to_str()?.strip_suffix(".key")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(id, &mut bytes).ok()?;
    // Capital digits say the same number, but name another file than the one that is read later.
    (KeyId(bytes).to_string() == id).then_some(KeyId(bytes))
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
        assert_eq!(store.lock().end("a", 0, QUOTA), 0);
        // While it is on its way, it has the name by which a later run knows it.
        let half = store.begin("a", id, 10).unwrap();
        assert!(was_on_its_way(half.file.as_ref().unwrap().path()));
    }

    #[test]
    fn at_the_start_only_unfinished_uploads_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/upload-folder.part")).unwrap();
        let capital = format!("a/{}.key", "A".repeat(64));
        let foreign = ["notes.txt", "upload-y.part", "a/.tmp123", capital.as_str()];
        for name in foreign.into_iter().chain(["a/upload-x.part"]) {
            fs::write(at(name), b"half").unwrap();
        }
        let linked = elsewhere.path().join("upload-z.part");
        fs::write(&linked, b"mine").unwrap();
        #[cfg(unix)]
        {
            let link = |target: &Path, name: &str| {
                std::os::unix::fs::symlink(target, at(name)).unwrap();
            };
            link(elsewhere.path(), "b");
            link(&linked, "a/upload-l.part");
            link(&linked, &format!("a/{}.key", "0".repeat(64)));
        }
        let store = KeyStore::open(folder.path(), QUOTA).unwrap();
        assert!(!at("a/upload-x.part").exists());
        assert!(foreign.into_iter().all(|name| at(name).exists()));
        assert!(at("a/upload-folder.part").exists() && linked.exists());
        assert!(store.lock().keys.is_empty());
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
        store.touch("a", first); // now the second one was used longest ago
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
    fn a_key_makes_room_only_for_one_that_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let first = put(&store, "a", &[1; 10]).unwrap();
        let second = put(&store, "a", &[2; 10]).unwrap();
        let other = put(&store, "b", &[3; 10]).unwrap();
        let has = |ids: &[KeyId]| ids.iter().all(|id| store.has("a", *id));
        // Everything is full: who has room within its own quota gets none, who replaces a key of its own does.
        assert!(matches!(
            put(&store, "b", &[4; 10]),
            Err(KeyStoreError::Full)
        ));
        assert!(store.has("b", other));
        let third = KeyId::of(&[5; 10]);
        let broken = store.begin("a", third, 10).unwrap();
        let twice = store.begin("a", third, 10).unwrap();
        assert!(matches!(
            store.begin("a", third, 1),
            Err(KeyStoreError::Full)
        ));
        drop((broken, twice));
        assert!(has(&[first, second]), "nothing came in their place");
        assert_eq!(put(&store, "a", &[5; 10]).unwrap(), third);
        assert!(has(&[second, third]) && !has(&[first]));
        assert_eq!(store.lock().bytes_of("a"), 20);
        assert_eq!(store.lock().end("a", 0, QUOTA), 30);
        assert_eq!(files(folder.path()), 3);
    }

    #[test]
    fn a_key_that_comes_twice_at_once_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let id = KeyId::of(b"evaluation");
        let mut uploads = [(); 2].map(|()| store.begin("a", id, 10).unwrap());
        for upload in &mut uploads {
            upload.write(b"evaluation").unwrap();
        }
        for upload in uploads {
            upload.finish().unwrap();
        }
        assert_eq!(store.read("a", id).unwrap(), b"evaluation");
        assert_eq!(store.lock().bytes_of("a"), 10);
        assert_eq!(files(folder.path()), 1);
    }

    #[test]
    fn a_file_that_is_gone_is_a_key_to_send_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(KeyStore::open(folder.path(), QUOTA).unwrap());
        let id = put(&store, "a", b"evaluation").unwrap();
        fs::remove_file(store.path("a", id)).unwrap();
        assert!(matches!(
            store.read("a", id),
            Err(KeyStoreError::Unknown(_))
        ));
        assert!(!store.has("a", id));
        put(&store, "a", b"evaluation").unwrap();
        assert_eq!(store.read("a", id).unwrap(), b"evaluation");
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
