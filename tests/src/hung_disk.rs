//! A disk that hangs, under a real server: a library in front of libc that answers no flush while a file is there.
//!
//! Invariant: nothing else of the process is changed, so all that hangs is who waits for the disk. What it deliberately does
//! not do: lose anything; what was written is in the file, as the system may have it after a real one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Flushes wait while the file that `SESSIOND_TEST_HANG` names exists, and look again every 10 ms.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void hang(void) {
    const char *file = getenv("SESSIOND_TEST_HANG");
    while (file && access(file, F_OK) == 0) usleep(10000);
}
int fsync(int fd) { hang(); return (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { hang(); return (int)syscall(SYS_fdatasync, fd); }
"#;

/// The disk.
#[derive(Debug)]
pub struct HungDisk {
    library: PathBuf,
    hangs: PathBuf,
}

impl HungDisk {
    /// One that does not hang yet, with its files in this directory.
    ///
    /// # Panics
    /// If there is no C compiler.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let source = directory.join("hung_disk.c");
        let library = directory.join("hung_disk.so");
        std::fs::write(&source, SOURCE).expect("a temporary directory can be written to");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output()
            .expect("there is a C compiler");
        assert!(made.status.success(), "{made:?}");
        Self {
            library,
            hangs: directory.join("hangs"),
        }
    }

    /// Puts it under a command.
    pub fn under(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("SESSIOND_TEST_HANG", &self.hangs);
    }

    /// From now on no flush is answered.
    ///
    /// # Panics
    /// If the file cannot be made.
    pub fn hang(&self) {
        std::fs::write(&self.hangs, "").expect("a temporary directory can be written to");
    }

    /// From now on they are.
    ///
    /// # Panics
    /// If it did not hang.
    pub fn go_on(&self) {
        std::fs::remove_file(&self.hangs).expect("it hung");
    }
}
