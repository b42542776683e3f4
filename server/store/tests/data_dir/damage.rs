//! Files of a store of ours that are cut, changed, mixed or alone: refused, and nothing is written.

use std::fs;
use std::path::Path;

use sessiond_store::data_dir;
use sessiond_store::data_dir::{JOURNAL_FILE, OpenError, STORE_FILE};
use sessiond_store::kv::Kv;
use sessiond_store::kv::redb::Identity;

use super::refusals::{FILES, refuse, refuse_in, sentence};
use super::{open, place, put};

/// A file of a store of ours: as a clean close leaves it, or as a crash does.
fn file_of_a_store(name: &str, end: End) -> Vec<u8> {
    let (_root, directory) = place();
    used_store(&directory, end);
    fs::read(directory.join(name)).expect("read")
}

/// Makes a store with rows in both files and leaves it.
fn used_store(directory: &Path, end: End) {
    let kv = open(directory).expect("open");
    for value in 0..20_u8 {
        put(&kv, &[value; 3000]);
    }
    kv.checkpoint().expect("checkpoint");
    put(&kv, &[LAST; 3000]);
    match end {
        End::Closed => kv.close().expect("close"),
        // Copied while the store is open, which is what a crash leaves when all writes have landed.
        End::Crashed => {
            let copies = FILES.map(|name| fs::read(directory.join(name)).expect("read"));
            drop(kv);
            for (name, copy) in FILES.into_iter().zip(copies) {
                fs::write(directory.join(name), copy).expect("write");
            }
        }
    }
}

/// Every byte of the value that is there in the end.
const LAST: u8 = 19;

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Crashed,
}

#[test]
fn the_copy_of_a_store_is_opened_whether_closed_or_crashed() {
    for end in [End::Closed, End::Crashed] {
        let (_root, directory) = place();
        used_store(&directory, end);
        let kv = open(&directory).expect("open");
        assert_eq!(super::read(&kv), Some(vec![LAST; 3000]), "{end:?}");
    }
}

#[test]
fn an_empty_or_cut_file_is_refused() {
    for file in FILES {
        assert!(matches!(refuse(file, b""), OpenError::Corrupted { .. }));
        for end in [End::Closed, End::Crashed] {
            let whole = file_of_a_store(file, end);
            for len in [
                9,
                100,
                319,
                320,
                4096,
                8192,
                whole.len() / 2,
                whole.len() - 4096,
                whole.len() - 1,
            ] {
                let error = refuse(file, &whole[..len]);
                assert!(
                    matches!(error, OpenError::Corrupted { .. }),
                    "{file} {end:?}, {len} bytes: {error}"
                );
                sentence(&error);
            }
        }
    }
}

#[test]
fn a_file_with_something_after_its_end_is_refused() {
    for file in FILES {
        for end in [End::Closed, End::Crashed] {
            let mut longer = file_of_a_store(file, end);
            longer.push(0);
            let error = refuse(file, &longer);
            assert!(
                matches!(error, OpenError::Corrupted { .. }),
                "{file} {end:?}: {error}"
            );
        }
    }
}

/// Files of this size are verified at every open, so one flipped byte in a page that is in use is found before a byte
/// is written.
#[test]
fn a_flipped_byte_is_refused_whether_closed_or_crashed() {
    for file in FILES {
        for end in [End::Closed, End::Crashed] {
            let (_root, directory) = place();
            used_store(&directory, end);
            let mut flipped = fs::read(directory.join(file)).expect("read");
            let value = last_value(&flipped);
            flipped[value] ^= 0x10;
            let error = refuse_in(&directory, file, &flipped);
            assert!(
                matches!(error, OpenError::Corrupted { .. }),
                "{file} {end:?}: {error}"
            );
            sentence(&error);
        }
    }
}

/// Where a copy of the last value lies in a file.
fn last_value(file: &[u8]) -> usize {
    file.windows(64)
        .rposition(|window| window == [LAST; 64])
        .expect("the row is in the file")
}

/// Two files of two stores make none.
#[test]
fn a_file_of_another_store_is_refused() {
    for file in FILES {
        let (_root, directory) = place();
        used_store(&directory, End::Closed);
        let (_other_root, other) = place();
        let identity = Identity {
            version: "1.0.0".to_owned(),
            log_id: [9; 16],
        };
        drop(data_dir::open(&other, &identity).expect("new"));
        fs::copy(other.join(file), directory.join(file)).expect("copy");
        let error = open(&directory).expect_err("a mixture");
        assert!(
            sentence(&error).contains("it belongs to another store"),
            "{error}"
        );
    }
}

/// The files of one store at two times: a journal that does not reach to where the state ends, or begins behind it.
#[test]
fn files_of_two_times_are_refused() {
    let (_root, directory) = place();
    used_store(&directory, End::Closed);
    let early = FILES.map(|name| fs::read(directory.join(name)).expect("read"));
    let kv = open(&directory).expect("open");
    for value in 0..20_u8 {
        put(&kv, &[value; 10]);
        kv.settle().expect("settle");
    }
    drop(kv);
    for (name, content) in FILES.into_iter().zip(early) {
        let late = fs::read(directory.join(name)).expect("read");
        fs::write(directory.join(name), content).expect("write");
        let error = open(&directory).expect_err("a gap");
        assert!(
            sentence(&error).contains("it does not reach to where the state beside it ends"),
            "{error}"
        );
        fs::write(directory.join(name), late).expect("write");
    }
    drop(open(&directory).expect("the files of one time"));
}

/// A journal that was never used, beside tables into which one was carried.
#[test]
fn an_unused_journal_beside_used_tables_is_refused() {
    let (_root, directory) = place();
    used_store(&directory, End::Closed);
    let (_other_root, other) = place();
    drop(open(&other).expect("new"));
    let unused = fs::read(other.join(JOURNAL_FILE)).expect("read");
    let error = refuse_in(&directory, JOURNAL_FILE, &unused);
    assert!(
        sentence(&error).contains("it does not reach to where the state beside it ends"),
        "{error}"
    );
}

#[test]
fn one_file_without_the_other_is_refused_unless_nothing_was_ever_committed() {
    for end in [End::Closed, End::Crashed] {
        for missing in FILES {
            let (_root, directory) = place();
            used_store(&directory, end);
            fs::remove_file(directory.join(missing)).expect("remove");
            let error = open(&directory).expect_err("half a store");
            assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
            assert!(sentence(&error).contains(missing), "{error}");
            assert!(!directory.join(missing).exists());
        }
    }
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    fs::remove_file(directory.join(STORE_FILE)).expect("remove");
    drop(open(&directory).expect("what a crash leaves of a creation"));
}
