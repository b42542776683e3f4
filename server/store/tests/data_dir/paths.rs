//! Paths that are no data directory, or one that others may enter: refused, with what to do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sessiond_store::data_dir::OpenError;

use super::refusals::{FILES, sentence};
use super::{open, place};

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let (root, _) = place();
    let file = root.path().join("file");
    fs::write(&file, "mine").expect("write");
    for path in [file.clone(), file.join("below")] {
        let error = open(&path).expect_err("a file");
        assert_eq!(
            sentence(&error),
            format!("{path:?} is not a directory: give sessiond a directory of its own")
        );
    }
    assert_eq!(fs::read(&file).expect("read"), b"mine");
}

#[test]
fn a_store_that_is_no_regular_file_is_refused() {
    for name in FILES {
        no_regular_file(name);
    }
}

fn no_regular_file(name: &str) {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    let path = directory.join(name);
    let elsewhere = directory.join("elsewhere");
    fs::rename(&path, &elsewhere).expect("rename");
    fs::create_dir(&path).expect("mkdir");
    assert!(matches!(open(&directory), Err(OpenError::NotAStore { .. })));
    fs::remove_dir(&path).expect("rmdir");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("symlink");
    assert!(matches!(open(&directory), Err(OpenError::NotAStore { .. })));
}

#[test]
fn a_directory_that_others_may_enter_is_refused_with_the_remedy() {
    let (_root, directory) = place();
    drop(open(&directory).expect("new"));
    for mode in [0o755, 0o750, 0o701, 0o720, 0o777] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("chmod");
        let error = open(&directory).expect_err("open to others");
        assert_eq!(
            sentence(&error),
            format!(
                "data directory {directory:?} is open to other users (mode {mode:04o}): run `chmod 700 {directory:?}`"
            )
        );
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("chmod");
    open(&directory).expect("after the remedy");
}
