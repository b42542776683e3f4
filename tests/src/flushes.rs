//! The moments at which a real server makes something durable, in the hands of a test: a library in front of libc that lets a
//! flush hang, or kills the process right before or right after a certain one.
//!
//! Invariant: nothing else of the process is changed. A flush that hangs holds up who waits for the disk and nobody else; a
//! process that is killed before a flush may have written, and one that is killed after it has. What it deliberately does not
//! do: lose anything; what was written is in the file, as the system may have it after a real crash.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Flushes wait while the file `hangs` exists in the directory that the variable names, and look again every 10 ms. If the
/// file `kill` says `SIDE NUMBER`, they are counted from then on, and that one is the last thing the process does.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static atomic_long counted;
static FILE *open_in(const char *name) {
    char path[4096];
    const char *directory = getenv("SESSIOND_TEST_FLUSHES");
    if (!directory || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return 0;
    return fopen(path, "r");
}
static void die(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/died", getenv("SESSIOND_TEST_FLUSHES"));
    fclose(fopen(path, "w"));
    raise(SIGKILL);
}
static int flush(int fd, long call) {
    FILE *file;
    long last = 0, number = 0;
    char side = 0;
    while ((file = open_in("hangs"))) { fclose(file); usleep(10000); }
    if ((file = open_in("kill"))) {
        if (fscanf(file, "%c %ld", &side, &last) == 2) number = ++counted;
        fclose(file);
    }
    if (number && number == last && side == 'b') die();
    int done = (int)syscall(call, fd);
    if (number && number == last && side == 'a') die();
    return done;
}
int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }
"#;

/// The flushes of the servers that are started under it.
#[derive(Debug)]
pub struct Flushes {
    library: PathBuf,
    directory: PathBuf,
}

/// A moment of a server: right before or right after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Which flush from the time on that it was said: 1 is the next.
    pub flush: u64,
    /// Right after it, not right before.
    pub after: bool,
}

impl Flushes {
    /// Those of servers still to be started, with its files in this directory.
    ///
    /// # Panics
    /// If there is no C compiler.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let source = directory.join("flushes.c");
        let library = directory.join("flushes.so");
        std::fs::write(&source, SOURCE).expect("a temporary directory can be written to");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output()
            .expect("there is a C compiler");
        assert!(made.status.success(), "{made:?}");
        Self {
            library,
            directory: directory.to_owned(),
        }
    }

    /// Puts the library under a command.
    pub fn under(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("SESSIOND_TEST_FLUSHES", &self.directory);
    }

    /// From now on no flush is answered.
    pub fn hang(&self) {
        self.say("hangs", "");
    }

    /// From now on they are.
    pub fn go_on(&self) {
        self.unsay("hangs");
    }

    /// Kills the server at this moment of those that are to come.
    pub fn kill_at(&self, moment: Moment) {
        let side = if moment.after { 'a' } else { 'b' };
        self.say("kill", &format!("{side} {}", moment.flush));
    }

    /// Whether a server came to such a moment.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.directory.join("died").exists()
    }

    fn say(&self, name: &str, text: &str) {
        // In one step: a server must not read half of it.
        let (draft, place) = (self.directory.join("draft"), self.directory.join(name));
        std::fs::write(&draft, text).expect("a temporary directory can be written to");
        std::fs::rename(draft, place).expect("a temporary directory can be written to");
    }

    fn unsay(&self, name: &str) {
        std::fs::remove_file(self.directory.join(name)).expect("it was said");
    }
}
