//! The ballast: that it takes its room, that a start on a full disk removes it, and that nobody else does.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sessiond_store::data_dir::{self, BALLAST_BYTES, BALLAST_FILE, OpenError};
use sessiond_store::kv::journaled::JournaledKv;
use sessiond_store::space::Space;

use super::{identity, mode, open, place, put, read};

/// Opens a directory on a disk that has so much left.
fn open_with_free(directory: &Path, free: u64) -> Result<JournaledKv, OpenError> {
    let look = |_: &Path| Ok(Space { free, growth: 0 });
    data_dir::open_with(directory, &identity(), &look)
}

#[test]
fn it_takes_the_room_it_holds() {
    let (_root, directory) = place();
    drop(open(&directory).expect("open"));
    let ballast = directory.join(BALLAST_FILE);
    assert!(!ballast.exists(), "an open waits for no ballast");
    data_dir::lay_ballast(&directory).expect("room for it");
    let file = fs::metadata(&ballast).expect("it is there");
    assert_eq!((file.len(), mode(&ballast)), (BALLAST_BYTES, 0o600));
    assert!(file.blocks() * 512 >= BALLAST_BYTES, "{}", file.blocks());
    data_dir::lay_ballast(&directory).expect("it is there");
    let again = fs::metadata(&ballast).expect("it is there");
    assert_eq!(again.ino(), file.ino());
    assert_eq!(again.mtime_nsec(), file.mtime_nsec(), "nothing is written");
}

#[test]
fn one_that_is_cut_short_or_full_of_holes_is_made_again() {
    let (_root, directory) = place();
    drop(open(&directory).expect("open"));
    let ballast = directory.join(BALLAST_FILE);
    for length in [0, 1, BALLAST_BYTES - 1, BALLAST_BYTES] {
        // A length that nobody wrote to is a hole.
        let file = fs::File::create(&ballast).expect("create");
        file.set_len(length).expect("a length");
        data_dir::lay_ballast(&directory).expect("room for it");
        let made = fs::metadata(&ballast).expect("it is there");
        assert_eq!(made.len(), BALLAST_BYTES, "after {length}");
        assert!(made.blocks() * 512 >= BALLAST_BYTES, "after {length}");
    }
}

#[test]
fn what_has_its_name_and_is_no_file_is_an_error_and_stays() {
    let (_root, directory) = place();
    drop(open(&directory).expect("open"));
    let ballast = directory.join(BALLAST_FILE);
    fs::create_dir(&ballast).expect("create");
    data_dir::lay_ballast(&directory).expect_err("it is a directory");
    assert!(ballast.is_dir());
    let kv = open_with_free(&directory, 0).expect("it is no reason not to start");
    put(&kv, b"1");
}

#[test]
fn a_start_removes_it_when_less_is_free_than_it_holds_and_not_before() {
    let (_root, directory) = place();
    let kv = open(&directory).expect("open");
    put(&kv, b"1");
    drop(kv);
    let ballast = directory.join(BALLAST_FILE);
    data_dir::lay_ballast(&directory).expect("room for it");
    drop(open_with_free(&directory, BALLAST_BYTES).expect("open"));
    assert!(ballast.exists(), "there is as much as it holds");
    let kv = open_with_free(&directory, BALLAST_BYTES - 1).expect("open");
    assert!(!ballast.exists());
    assert_eq!(read(&kv).as_deref(), Some(b"1".as_slice()));
    drop(kv);
    let kv = open_with_free(&directory, 0).expect("without it too, if it can");
    put(&kv, b"2");
}

#[test]
fn who_may_not_have_the_directory_leaves_it_there() {
    let (_root, directory) = place();
    let owner = open(&directory).expect("open");
    data_dir::lay_ballast(&directory).expect("room for it");
    let refused = open_with_free(&directory, 0).expect_err("it is in use");
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(directory.join(BALLAST_FILE).exists());
    drop(owner);
}

#[test]
fn a_disk_that_cannot_be_looked_at_opens_and_keeps_it() {
    let (_root, directory) = place();
    drop(open(&directory).expect("open"));
    data_dir::lay_ballast(&directory).expect("room for it");
    let blind = |_: &Path| Err(io::ErrorKind::TimedOut.into());
    drop(data_dir::open_with(&directory, &identity(), &blind).expect("open"));
    assert!(directory.join(BALLAST_FILE).exists());
}
