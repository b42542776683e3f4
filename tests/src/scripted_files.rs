//! Files of exports that fail or wait when a test says so, and else are those of this machine.
//!
//! What this deliberately does not do: keep anything in memory.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use sessiond::exports::files::{ExportFile, ExportFiles, LocalFiles};
use sessiond::exports::place::Place;
use tokio::sync::watch;

/// How long a file is held at most, so that a test that fails ends.
const HELD_MAX: Duration = Duration::from_secs(60);

/// What becomes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// They come to be.
    #[default]
    Works,
    /// They fail at this step, with this error of the system.
    Fails(Step, i32),
    /// What is written waits to have its name until the answer is another one.
    Waits,
}

/// A step on the way of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// When it is begun.
    Begin,
    /// When it is written.
    Write,
    /// When it is to be on disk.
    Finish,
}

#[derive(Debug, Default)]
struct Script {
    answer: Mutex<Answer>,
    changed: Condvar,
    /// How many files were begun.
    begun: watch::Sender<usize>,
    /// How many were held.
    held: watch::Sender<usize>,
}

/// The files; clones share one script.
#[derive(Clone, Debug, Default)]
pub struct ScriptedFiles(Arc<Script>);

impl ScriptedFiles {
    /// Has files do this from now on, those that wait too.
    pub fn answer(&self, answer: Answer) {
        *self.current() = answer;
        self.0.changed.notify_all();
    }

    /// Completes when so many files were begun, those that failed included.
    ///
    /// # Panics
    /// Never: the files are there as long as they are asked.
    pub async fn begun(&self, files: usize) {
        let mut begun = self.0.begun.subscribe();
        drop(
            begun
                .wait_for(|begun| *begun >= files)
                .await
                .expect("it is there"),
        );
    }

    /// How many files were begun.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.0.begun.borrow()
    }

    /// Completes when so many files were held.
    ///
    /// # Panics
    /// Never: the files are there as long as they are asked.
    pub async fn held(&self, files: usize) {
        let mut held = self.0.held.subscribe();
        drop(
            held.wait_for(|held| *held >= files)
                .await
                .expect("it is there"),
        );
    }

    fn current(&self) -> MutexGuard<'_, Answer> {
        self.0.answer.lock().expect("no holder panics")
    }

    fn check(&self, step: Step) -> io::Result<()> {
        match *self.current() {
            Answer::Fails(at, error) if at == step => Err(io::Error::from_raw_os_error(error)),
            Answer::Fails(..) | Answer::Works | Answer::Waits => Ok(()),
        }
    }
}

impl ExportFiles for ScriptedFiles {
    fn prepare(&self, directory: &Path) -> io::Result<()> {
        LocalFiles.prepare(directory)
    }

    fn begin(&self, place: &Place) -> io::Result<Box<dyn ExportFile>> {
        self.0.begun.send_modify(|begun| *begun += 1);
        self.check(Step::Begin)?;
        let file = LocalFiles.begin(place)?;
        let files = self.clone();
        Ok(Box::new(ScriptedFile { file, files }))
    }

    fn share_room(&self, one: &Path, other: &Path) -> io::Result<bool> {
        LocalFiles.share_room(one, other)
    }
}

/// One of them.
#[derive(Debug)]
struct ScriptedFile {
    file: Box<dyn ExportFile>,
    files: ScriptedFiles,
}

impl Write for ScriptedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.files.check(Step::Write)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl ExportFile for ScriptedFile {
    fn finish(self: Box<Self>) -> io::Result<()> {
        let script = &self.files.0;
        let answer = self.files.current();
        if *answer == Answer::Waits {
            script.held.send_modify(|held| *held += 1);
        }
        let waits = |answer: &mut Answer| *answer == Answer::Waits;
        let waited = script.changed.wait_timeout_while(answer, HELD_MAX, waits);
        drop(waited.expect("no holder panics"));
        self.files.check(Step::Finish)?;
        self.file.finish()
    }
}
