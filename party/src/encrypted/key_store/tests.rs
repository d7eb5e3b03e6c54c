//! Keys come and go within quotas, and what is not the store's stays as it is.

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

/// A store of which all keys are of use.
fn open(folder: &Path) -> Result<KeyStore, KeyStoreError> {
    KeyStore::open(folder, QUOTA, |_, _| true)
}

fn files(folder: &Path) -> usize {
    let count = |path: PathBuf| fs::read_dir(path).unwrap().count();
    let clients = fs::read_dir(folder).unwrap();
    clients.map(|client| count(client.unwrap().path())).sum()
}

#[test]
fn a_key_is_kept_for_its_owner_alone_and_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let again = || Arc::new(open(folder.path()).unwrap());
    let store = again();
    let id = put(&store, "a", b"evaluation").unwrap();
    for store in [store, again()] {
        assert!(store.has("a", id) && !store.has("b", id));
        assert_eq!(store.read("a", id).unwrap(), b"evaluation");
        assert!(matches!(store.read("b", id), Err(KeyStoreError::Unknown(k)) if k == id));
    }
}

#[test]
fn what_is_not_what_was_announced_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
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
    let store = open(folder.path()).unwrap();
    assert!(!at("a/upload-x.part").exists());
    assert!(foreign.into_iter().all(|name| at(name).exists()));
    assert!(at("a/upload-folder.part").exists() && linked.exists());
    assert!(store.lock().keys.is_empty());
}

#[test]
fn quotas_hold() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
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
    let store = Arc::new(open(folder.path()).unwrap());
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
    let store = Arc::new(open(folder.path()).unwrap());
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
    let store = Arc::new(open(folder.path()).unwrap());
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
    let store = Arc::new(open(folder.path()).unwrap());
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

/// The store that `listed` clients may use, for keys that begin with `served`.
fn open_for(folder: &Path, listed: &[&str], served: &[u8]) -> Arc<KeyStore> {
    let of_use = |client: &str, start: &[u8]| listed.contains(&client) && start.starts_with(served);
    Arc::new(KeyStore::open(folder, QUOTA, of_use).unwrap())
}

#[test]
fn keys_that_nobody_may_use_take_no_room_from_those_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_for(folder.path(), &["a", "b"], b"set 1");
    let gone = put(&store, "b", b"set 1 of b").unwrap();
    let old = put(&store, "a", b"set 2 of a").unwrap();
    let served = put(&store, "a", b"set 1 of a").unwrap();
    // Everything is full, as long as everybody is listed.
    assert!(matches!(
        put(&store, "b", b"set 1 of B"),
        Err(KeyStoreError::Full)
    ));
    // Clocks of files are coarse.
    let long_ago = SystemTime::now() - std::time::Duration::from_secs(60);
    let file = File::open(store.path("b", gone)).unwrap();
    file.set_modified(long_ago).unwrap();
    drop(store);
    let store = open_for(folder.path(), &["a"], b"set 1");
    assert!(store.has("a", served) && !store.has("a", old) && !store.has("b", gone));
    assert_eq!(files(folder.path()), 3, "there is room for them still");
    assert_eq!(store.lock().end("a", 0, QUOTA), 10);
    // Now there is none: who was away longest goes first, and the other when it must.
    let exists = |client: &str, id: KeyId| store.path(client, id).exists();
    put(&store, "a", b"set 1 no 2").unwrap();
    assert!(!exists("b", gone) && exists("a", old), "the older one goes");
    put(&store, "c", b"set 1 of c").unwrap();
    assert!(!exists("a", old) && store.has("a", served));
}

#[test]
fn at_the_start_idle_keys_go_until_the_rest_is_within_the_quota() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    for k in 0..3 {
        let key = [k; 10];
        let name = format!("b/{}.key", KeyId::of(&key));
        fs::write(folder.path().join(name), key).unwrap();
    }
    let quota = Quota { all: 15, ..QUOTA };
    let store = KeyStore::open(folder.path(), quota, |client, _| client == "a").unwrap();
    assert_eq!((store.lock().idle.len(), files(folder.path())), (1, 1));
}

#[test]
fn a_whole_key_takes_the_place_of_a_damaged_one_that_lay_idle() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_for(folder.path(), &["a"], b"set 1");
    let id = put(&store, "a", b"set 1 of a").unwrap();
    fs::write(store.path("a", id), b"Set 1 of a").unwrap();
    drop(store);
    let store = open_for(folder.path(), &["a"], b"set 1");
    assert!(!store.has("a", id));
    put(&store, "a", b"set 1 of a").unwrap();
    // What needs room does not take it from the key that came.
    for k in 1..=2 {
        put(&store, "b", &[k; 10]).unwrap();
    }
    assert_eq!(store.read("a", id).unwrap(), b"set 1 of a");
}
