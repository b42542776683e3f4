//! A place that this user may not use: refused with a sentence that says what to do, and left as it is.
//!
//! Root may use everything, so a test that runs as root has the server run as somebody else, and any
//! other test takes the permission from itself. What it deliberately does not do: change who the test is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use sessiond_tests::binaries;
use tempfile::TempDir;

use super::run::{Run, command};

/// Nobody, by the custom of every system with users: owns nothing and may do nothing.
const NOBODY: u32 = 65_534;

/// A directory that everybody may look into, with a server that everybody may run.
struct Place {
    temporary: TempDir,
    server: PathBuf,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let server = temporary.path().join("sessiond");
        // What the tests were built into may be closed to others.
        fs::copy(binaries::sessiond(), &server).expect("the server can be copied");
        for path in [temporary.path(), &server] {
            set_mode(path, 0o755);
        }
        Self { temporary, server }
    }

    /// A directory in it that its owner alone may use.
    fn directory(&self, name: &str) -> PathBuf {
        let path = self.temporary.path().join(name);
        fs::create_dir(&path).expect("a directory can be made");
        set_mode(&path, 0o700);
        path
    }

    /// Runs a server on a directory while it may not use `denied`.
    fn refused(&self, directory: &Path, denied: &Path) -> String {
        let path = directory.to_str().expect("a temporary path is UTF-8");
        let tool = command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", path]);
        let mut server = std::process::Command::new(&self.server);
        server.args(tool.get_args());
        for (name, value) in tool.get_envs() {
            match value {
                Some(value) => server.env(name, value),
                None => server.env_remove(name),
            };
        }
        let mode = mode(denied);
        if geteuid().is_root() {
            server.uid(NOBODY).gid(NOBODY);
        } else {
            set_mode(denied, 0);
        }
        let (status, said) = Run::start(server).ended();
        set_mode(denied, mode);
        assert_eq!(status.code(), Some(3), "{said:?}");
        assert_eq!(said.len(), 1, "one sentence: {said:?}");
        said.concat()
    }
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("permissions can be set");
}

fn is_empty(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).expect("it can be listed");
    entries.next().is_none()
}

/// Names what is closed, and says what to do about it.
#[track_caller]
fn check(said: &str, path: &Path) {
    assert!(said.contains(&format!("{path:?}")), "{said}");
    let remedy = "run as the user that owns it, or change its owner";
    assert!(said.contains(remedy), "{said}");
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let place = Place::new();
    let directory = place.directory("data");
    let said = place.refused(&directory, &directory);
    check(&said, &directory.join("LOCK"));
    assert!(is_empty(&directory), "nothing was made in it");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let place = Place::new();
    let above = place.directory("above");
    let directory = above.join("deep").join("data");
    let said = place.refused(&directory, &above);
    check(&said, &directory);
    assert!(is_empty(&above), "nothing was made in it");
}

#[test]
fn a_store_of_somebody_else_is_refused_untouched() {
    const FILES: [&str; 2] = ["state.redb", "journal.redb"];
    for name in FILES {
        let place = Place::new();
        let directory = place.directory("data");
        let denied = directory.join(name);
        for file in FILES.map(|name| directory.join(name)) {
            fs::write(&file, "not yours").expect("a file can be written");
            set_mode(&file, 0o600);
            if file != denied {
                give_away(&file);
            }
        }
        give_away(&directory);
        let said = place.refused(&directory, &denied);
        check(&said, &denied);
        for file in FILES.map(|name| directory.join(name)) {
            let after = fs::read(&file).expect("root, or its owner, can read it");
            assert_eq!(after, b"not yours");
        }
    }
}

/// To the user that the server runs as, if that is another one.
fn give_away(path: &Path) {
    if geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))
            .expect("root may give anything away");
    }
}
