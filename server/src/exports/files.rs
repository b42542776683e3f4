//! Files of exports on the real machine: the seam to the disk that they lie on, and how a file comes to be whole.
//!
//! Invariant: a file that has its name is whole and on disk, and so is its entry. Until then it has another name, which only
//! one writer uses at a time; what an earlier one left there is removed. Every name is looked up in the folder that was
//! opened, and no link is followed below the directory. What this deliberately does not do: make the directory again when
//! it is gone, for a file system may be missing in its place.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use sessiond_store::data_dir;

use super::place::Place;

/// Keeps exports as files. All of it waits for the disk.
pub trait ExportFiles: Send + Sync + Debug {
    /// Makes the directory unless it is there, readable for this user alone, and sees whether a file can be made in it.
    fn prepare(&self, directory: &Path) -> io::Result<()>;
    /// Begins a file; one that has its name already stays until the new one is whole.
    fn begin(&self, place: &Place) -> io::Result<Box<dyn ExportFile>>;
    /// Whether two directories share the room of one file system.
    fn share_room(&self, one: &Path, other: &Path) -> io::Result<bool>;
}

/// A file that is being written. One that is dropped is removed.
pub trait ExportFile: Write + Send + Debug {
    /// Gives it its name. All of it is on disk when this returns.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The disks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalFiles;

/// A file that is not whole.
#[derive(Debug)]
struct Unfinished {
    directory: OwnedFd,
    folder: OwnedFd,
    file: File,
    name: String,
    unfinished: String,
    is_whole: bool,
}

impl ExportFiles for LocalFiles {
    fn prepare(&self, directory: &Path) -> io::Result<()> {
        data_dir::make_directory(directory)?;
        let directory = open_directory(directory)?;
        // Of a name that another server does not use, which may have the same directory.
        let probe = format!(".probe-{}.part", std::process::id());
        remove(&directory, &probe)?;
        drop(create(&directory, &probe)?);
        remove(&directory, &probe)
    }

    fn begin(&self, place: &Place) -> io::Result<Box<dyn ExportFile>> {
        let directory = open_directory(&place.directory)?;
        match rustix::fs::mkdirat(&directory, &place.folder, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&directory, &place.folder, flags, Mode::empty())?;
        let unfinished = place.unfinished();
        remove(&folder, &unfinished)?;
        let file = create(&folder, &unfinished)?;
        Ok(Box::new(Unfinished {
            directory,
            folder,
            file,
            name: place.name.clone(),
            unfinished,
            is_whole: false,
        }))
    }

    fn share_room(&self, one: &Path, other: &Path) -> io::Result<bool> {
        Ok(std::fs::metadata(one)?.dev() == std::fs::metadata(other)?.dev())
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl ExportFile for Unfinished {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        rustix::fs::renameat(&self.folder, &self.unfinished, &self.folder, &self.name)?;
        self.is_whole = true;
        rustix::fs::fsync(&self.folder)?;
        // The folder may be new.
        rustix::fs::fsync(&self.directory)?;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_whole {
            // The next export of the session removes what stays.
            drop(remove(&self.folder, &self.unfinished));
        }
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// Makes a file that is not there, readable for this user alone.
fn create(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(file))
}

fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
