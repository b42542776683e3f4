//! One spool file: a header, lines, and a mark of how far they are sent.
//!
//! Invariant: a line counts only with its end, so a torn one is as if it had never been written,
//! and the next append removes it; a mark counts only for the generation it names. What this
//! deliberately does not do: lock, which the spool does for the callers.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::record::{Header, Owner};
use super::{SpoolError, Waiting};
use crate::state_dir;

/// A partly sent file is rewritten without its beginning once that is this long, in bytes: often
/// enough for the bound, rarely enough for the disk.
const COMPACT_BYTES: u64 = 1024 * 1024;

/// How many bytes from the end of a file are searched at once for the end of a line.
const SEARCH_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct SpoolFile {
    path: PathBuf,
}

/// The lines of a file that are not sent, from the first.
#[derive(Debug)]
pub(super) struct Unsent {
    reader: BufReader<File>,
    generation: String,
    marks: PathBuf,
    mark_file: Option<File>,
    /// Where the line begins that was read last, and where the next one does.
    at: u64,
    next: u64,
}

// === impl SpoolFile ===

impl SpoolFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Adds a line behind all whole ones. Needs the lock.
    pub(super) fn append(&self, owner: &Owner, line: &[u8]) -> Result<(), SpoolError> {
        let mut file = state_dir::file_options()
            .read(true)
            .append(true)
            .create(true)
            .open(&self.path)?;
        let whole = whole_lines(&mut file)?;
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        if whole == 0 {
            let mut lines = Header::new(owner).line();
            lines.extend_from_slice(line);
            file.write_all(&lines)?;
            file.sync_all()?;
            state_dir::sync(directory(&self.path))?;
        } else {
            self.check(&mut file, owner)?;
            file.write_all(line)?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// What is not sent; `None` when there is no file.
    pub(super) fn unsent(&self, owner: &Owner) -> Result<Option<Unsent>, SpoolError> {
        let Some((header, unsent)) = self.open()? else {
            return Ok(None);
        };
        if header.owner != *owner {
            return Err(SpoolError::Foreign(self.path.clone()));
        }
        Ok(Some(unsent))
    }

    /// How much is not sent; `None` when there is no file, or none of this format.
    pub(super) fn waiting(&self) -> io::Result<Option<Waiting>> {
        let Some((header, mut unsent)) = self.open()? else {
            return Ok(None);
        };
        let (mut events, mut bytes) = (0, 0);
        while let Some(line) = unsent.next_line()? {
            events += 1;
            bytes += line.len() as u64;
        }
        Ok(Some(Waiting {
            owner: header.owner,
            events,
            bytes,
        }))
    }

    /// Removes the file if nothing follows what was read. Needs the lock.
    pub(super) fn remove_if_sent(&self, unsent: &Unsent) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        if whole_lines(&mut file)? > unsent.next {
            return Ok(false);
        }
        // In this order: a mark without its file means nothing.
        fs::remove_file(&self.path)?;
        remove_if_there(&unsent.marks)?;
        Ok(true)
    }

    /// Drops the sent beginning, if it is long. Needs the lock.
    pub(super) fn compact(&self, owner: &Owner, unsent: &Unsent) -> io::Result<()> {
        if unsent.at < COMPACT_BYTES {
            return Ok(());
        }
        let mut old = File::open(&self.path)?;
        let whole = whole_lines(&mut old)?;
        old.seek(SeekFrom::Start(unsent.at))?;
        let fresh = self.path.with_extension("new");
        let mut new = state_dir::file_options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&fresh)?;
        new.write_all(&Header::new(owner).line())?;
        io::copy(&mut old.take(whole - unsent.at), &mut new)?;
        new.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        state_dir::sync(directory(&self.path))?;
        remove_if_there(&unsent.marks)
    }

    /// The header, and a reader behind what is marked as sent. A file whose header was torn is as
    /// good as none.
    fn open(&self) -> io::Result<Option<(Header, Unsent)>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let Some(header) = Header::read(&line) else {
            return Ok(None);
        };
        let marks = self.path.with_extension("sent");
        let sent = read_mark(&marks, &header.generation).unwrap_or(0);
        let at = sent.max(line.len() as u64);
        reader.seek(SeekFrom::Start(at))?;
        let unsent = Unsent {
            reader,
            generation: header.generation.clone(),
            marks,
            mark_file: None,
            at,
            next: at,
        };
        Ok(Some((header, unsent)))
    }

    fn check(&self, file: &mut File, owner: &Owner) -> Result<(), SpoolError> {
        let mut line = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        BufReader::new(file).read_until(b'\n', &mut line)?;
        match Header::read(&line) {
            Some(header) if header.owner == *owner => Ok(()),
            Some(_) | None => Err(SpoolError::Foreign(self.path.clone())),
        }
    }
}

// === impl Unsent ===

impl Unsent {
    /// The next whole line without its end; `None` when there is none.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        self.at = self.next;
        self.next += line.len() as u64 + 1;
        Ok(Some(line))
    }

    /// Marks everything as sent up to and with the line that was read last. Not synced: a mark
    /// that is lost costs a repetition, which is harmless.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        let file = match &mut self.mark_file {
            Some(file) => file,
            none => none.insert(
                state_dir::file_options()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&self.marks)?,
            ),
        };
        file.seek(SeekFrom::Start(0))?;
        // Always of one length, so that nothing of an older mark shows behind it.
        file.write_all(format!("{} {:020}\n", self.generation, self.next).as_bytes())
    }
}

fn read_mark(path: &Path, generation: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let (found, offset) = text.lines().next()?.split_once(' ')?;
    (found == generation).then(|| offset.parse().ok()).flatten()
}

/// Up to where the file consists of whole lines.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(SEARCH_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().expect("a spool file is in the spool")
}
