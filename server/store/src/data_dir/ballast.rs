//! Ballast: room on the disk that is held back, so that there is some when everything else is used.
//!
//! A full disk lets no store open, for opening one writes. Then the ballast is removed, and what it held is enough to
//! start, to settle, to end and to remove. Invariant: it is removed by whoever owns the directory and by nobody else, and
//! what it holds is really held: a file of zeros that nobody wrote would hold nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::BALLAST_FILE;
use crate::disk;
use crate::space::Space;

/// How much the ballast holds back, in bytes. A start takes a few pages of it, and the rest is 100,000 settlements.
pub const BALLAST_BYTES: u64 = 64 << 20;

/// What is written at once where the file system gives no room without being written to.
const CHUNK_BYTES: usize = 1 << 20;

/// Blocks of the system's count are of this many bytes, whatever those of the disk are.
const BLOCK_BYTES: u64 = 512;

const FILE_MODE: u32 = 0o600;

/// Makes the ballast of `directory`, unless it is there and whole. What there is of one that cannot be made is removed.
///
/// # Errors
///
/// What the operating system reports. No start and no commit depends on it.
pub fn lay(directory: &Path) -> io::Result<()> {
    let path = directory.join(BALLAST_FILE);
    if is_whole(&path)? {
        return Ok(());
    }
    match fill(&path) {
        Ok(()) => disk::sync_directory(directory),
        Err(error) => {
            // The reason why it could not be made is worth more than why it could not be removed.
            drop(super::remove_if_there(&path));
            Err(error)
        }
    }
}

/// Removes the ballast if less is free than it holds. For the owner of the directory, before anything is written.
pub(super) fn relieve(directory: &Path, look: &dyn Fn(&Path) -> io::Result<Space>) {
    let free = match look(directory) {
        Ok(space) if space.free >= BALLAST_BYTES => return,
        Ok(space) => space.free,
        Err(error) => {
            tracing::warn!(%error, "failed to look how much room the disk has");
            return;
        }
    };
    let path = directory.join(BALLAST_FILE);
    match fs::remove_file(&path) {
        Ok(()) => tracing::warn!(
            free_bytes = free,
            "the disk is full: the ballast was removed to start all the same"
        ),
        Err(error) => {
            tracing::warn!(free_bytes = free, %error, "the disk is full, and there is no ballast to remove");
        }
    }
}

/// Whether all of it is there and takes room. A copy may have made holes of it; half leaves a file system that compresses
/// its way.
fn is_whole(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(file) => {
            let taken = file.blocks().saturating_mul(BLOCK_BYTES);
            Ok(file.is_file() && file.len() == BALLAST_BYTES && taken >= BALLAST_BYTES / 2)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn fill(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_out(file, BALLAST_BYTES),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes noise: what compresses well would take no room where files are compressed.
fn write_out(mut file: File, bytes: u64) -> io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        for word in chunk.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let now = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        file.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    // Until then nothing of it need have a place on the disk.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_takes_its_room() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("noise");
        let bytes = 3 * (CHUNK_BYTES as u64) + 5;
        write_out(File::create(&path).expect("a file"), bytes).expect("room");
        let file = fs::metadata(&path).expect("it is there");
        assert_eq!(file.len(), bytes);
        assert!(file.blocks() * BLOCK_BYTES >= bytes, "{}", file.blocks());
        let noise = fs::read(&path).expect("it can be read");
        let (first, second) = (&noise[..CHUNK_BYTES], &noise[CHUNK_BYTES..][..CHUNK_BYTES]);
        assert!(first != second, "a pattern that repeats compresses");
    }
}
