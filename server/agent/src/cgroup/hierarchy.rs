//! Where cgroups are in the file system: the mount of cgroup v2, which may be the only hierarchy or stand beside the older
//! ones, and the directories below it.
//!
//! Invariant: a mount is used only after the directory that must be this process's own was seen to list it, so that paths
//! of `/proc/PID/cgroup` mean the directories they are taken for. Every walk is bounded. What this deliberately does not do:
//! make or enter a cgroup, or judge the processes in it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Name, PROCESSES, write};
use crate::platform;
use crate::terms::PROCESSES_MAX;

/// How many directories are looked at for those of a name: a large machine has some thousands, which take some 5 µs each.
const DIRECTORIES_MAX: usize = 4_096;

/// How many directories a resource's cgroup may have below it for anything to be done with it as a whole.
const NESTED_MAX: usize = 256;

/// The most that is read of a file of a cgroup: as many numbers as there may be processes.
const FILE_BYTES_MAX: u64 = 8 * PROCESSES_MAX as u64;

/// The links of a directory without any below it: the kernel counts one more for each.
const LEAF_LINKS: u64 = 2;

/// How long the kernel is waited for to freeze a cgroup: mostly less than a look at it takes, but a process in the middle
/// of a call to a disk is frozen only after it.
const FROZEN_WITHIN: Duration = Duration::from_millis(100);

/// How long is waited between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A mount of cgroup v2 in which this process is.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    /// What of the hierarchy is mounted, as a path of `/proc/PID/cgroup`.
    root: String,
    /// Where.
    point: PathBuf,
    /// The cgroup of this process.
    own: PathBuf,
}

/// A cgroup that is there, and that our user made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// As in `/proc/PID/cgroup` of what is in it.
    pub(crate) path: String,
    pub(crate) directory: PathBuf,
}

/// What is left of a path below another one; nothing for the path itself.
pub(crate) fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    rest.strip_prefix('/').or(rest.is_empty().then_some(rest))
}

/// Removes a cgroup and those below it, as far as they are empty.
pub(crate) fn remove(directory: &Path) {
    let Ok(all) = with_nested(directory) else {
        return;
    };
    for directory in all.iter().rev() {
        // One that is not empty, or not ours, stays.
        drop(fs::remove_dir(directory));
    }
}

// === impl Hierarchy ===

impl Hierarchy {
    /// The first mount where this process is found.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn find() -> io::Result<Self> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 is mounted here");
        let pid = platform::own_pid();
        let path = platform::cgroup_path(pid).ok_or_else(none)?;
        let mounts = platform::mounts()?;
        let mut found = mounts.lines().filter_map(mount).filter_map(|mount| {
            let (root, point) = mount;
            let own = directory(&root, &point, &path)?;
            let is_ours = listed(&own).is_ok_and(|pids| pids.contains(&pid));
            is_ours.then_some(Self { root, point, own })
        });
        found.next().ok_or_else(none)
    }

    /// The cgroup of this process.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    /// The cgroup of a path, if it is there and our user's.
    pub(crate) fn place(&self, path: &str) -> Option<Place> {
        Place::at(path.to_owned(), directory(&self.root, &self.point, path)?)
    }

    /// All cgroups of a name that are our user's, as far as there are not too many others.
    pub(crate) fn named(&self, name: &Name) -> Vec<Place> {
        let mut found = Vec::new();
        let mut left = VecDeque::from([(self.root.clone(), self.point.clone())]);
        let mut seen = 0;
        while let Some((path, directory)) = left.pop_front() {
            for child in children(&directory) {
                seen += 1;
                if seen > DIRECTORIES_MAX {
                    return found;
                }
                let Some(last) = child.file_name().and_then(|last| last.to_str()) else {
                    continue;
                };
                let path = format!("{}/{last}", path.trim_end_matches('/'));
                if last == name.as_str() {
                    found.extend(Place::at(path, child));
                } else if fs::metadata(&child).is_ok_and(|of| of.nlink() > LEAF_LINKS) {
                    left.push_back((path, child));
                }
            }
        }
        found
    }
}

// === impl Place ===

impl Place {
    fn at(path: String, directory: PathBuf) -> Option<Self> {
        let of = fs::metadata(&directory).ok()?;
        let is_ours = of.is_dir() && of.uid() == platform::own_uid();
        is_ours.then_some(Self { path, directory })
    }

    /// Whether a process runs in it or below it.
    pub(crate) fn is_populated(&self) -> bool {
        self.says("populated 1")
    }

    /// The processes in it and below it; 0 for one that is not in our pid namespace.
    ///
    /// # Errors
    ///
    /// When there are too many, or it cannot be read.
    pub(crate) fn processes(&self) -> io::Result<Vec<i32>> {
        let mut pids = Vec::new();
        for directory in with_nested(&self.directory)? {
            pids.extend(listed(&directory)?);
            if pids.len() > PROCESSES_MAX {
                return Err(too_many());
            }
        }
        Ok(pids)
    }

    /// Keeps everything in it from running, as far as it can be kept.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        write(&self.directory.join("cgroup.freeze"), "1")?;
        let until = Instant::now() + FROZEN_WITHIN;
        while !self.says("frozen 1") && Instant::now() < until {
            platform::wait(&mut [], Instant::now() + LOOK_EVERY).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Lets it run again.
    pub(crate) fn thaw(&self) {
        // What is left frozen is killed by the next release.
        drop(write(&self.directory.join("cgroup.freeze"), "0"));
    }

    /// Ends everything in it and below it at once.
    ///
    /// # Errors
    ///
    /// When the kernel has no such file (before Linux 5.14), or it is not ours.
    pub(crate) fn kill(&self) -> io::Result<()> {
        write(&self.directory.join("cgroup.kill"), "1")
    }

    fn says(&self, line: &str) -> bool {
        let events = read(&self.directory.join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|said| said == line))
    }
}

/// The directory of a path, below a mount of a part of the hierarchy. What is outside of our cgroup namespace begins with
/// `/..` and has none.
fn directory(root: &str, point: &Path, path: &str) -> Option<PathBuf> {
    let is_outside = |path: &str| path.split('/').any(|component| component == "..");
    if is_outside(root) || is_outside(path) {
        return None;
    }
    Some(point.join(below(root, path)?))
}

/// What is mounted and where, of a line of `mountinfo` about cgroup v2:
/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD…] - cgroup2 …`.
fn mount(line: &str) -> Option<(String, PathBuf)> {
    let (of, how) = line.split_once(" - ")?;
    if how.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = of.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    Some((unescaped(root), PathBuf::from(unescaped(point))))
}

/// Blanks and backslashes stand there as three octal digits.
fn unescaped(field: &str) -> String {
    let [blank, tab, line, backslash] = [r"\040", r"\011", r"\012", r"\134"];
    let field = field.replace(blank, " ").replace(tab, "\t");
    field.replace(line, "\n").replace(backslash, "\\")
}

/// A directory and all below it, in an order in which each comes after what it is in.
fn with_nested(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(directory) = all.get(next) {
        next += 1;
        let children = children(directory);
        all.extend(children);
        if all.len() > NESTED_MAX {
            return Err(too_many());
        }
    }
    Ok(all)
}

/// The directories in one; none if it has gone meanwhile.
fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let entries = entries.filter_map(Result::ok);
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|of| of.is_dir()));
    let paths = directories.map(|entry| entry.path());
    paths.take(DIRECTORIES_MAX).collect()
}

fn listed(directory: &Path) -> io::Result<Vec<i32>> {
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "not a list of processes");
    let text = read(&directory.join(PROCESSES))?;
    let pids = text.lines().map(|line| line.parse::<i32>().ok());
    pids.collect::<Option<_>>().ok_or_else(unreadable)
}

/// A file of a cgroup; one that is longer than it may be is an error, as half of a list is none.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(too_many());
    }
    Ok(text)
}

fn too_many() -> io::Error {
    io::Error::new(
        io::ErrorKind::QuotaExceeded,
        "more than can be looked at in a cgroup",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_is_so_by_whole_components() {
        for (root, path, rest) in [
            ("/", "/", Some("")),
            ("/", "/a/b", Some("a/b")),
            ("/a", "/a", Some("")),
            ("/a", "/a/b/c", Some("b/c")),
            ("/a", "/ab", None),
            ("/a/b", "/a", None),
        ] {
            assert_eq!(below(root, path), rest, "{path:?} below {root:?}");
        }
    }

    #[test]
    fn both_ways_to_mount_it_are_found_and_nothing_else_is() {
        let line = "31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let found =
            |line: &str| mount(line).map(|(root, point)| (root, point.display().to_string()));
        let is = |root: &str, point: &str| Some((root.to_owned(), point.to_owned()));
        assert_eq!(found(line), is("/", "/sys/fs/cgroup"));
        let hybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(found(hybrid), is("/", "/sys/fs/cgroup/unified"));
        let part = r"9 8 0:7 /a\040b /mnt/c\134d rw - cgroup2 none rw";
        assert_eq!(found(part), is("/a b", r"/mnt/c\d"));
        for other in [
            "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd",
            "22 1 8:1 / /cgroup2 rw - ext4 /dev/sda1 rw",
            "41 31 0:38 / - cgroup2",
            "",
        ] {
            assert_eq!(found(other), None, "{other:?}");
        }
    }

    #[test]
    fn paths_outside_of_what_is_mounted_have_no_directory() {
        let at = |root, path| directory(root, Path::new("/m"), path);
        assert_eq!(at("/", "/a/b"), Some(PathBuf::from("/m/a/b")));
        assert_eq!(at("/a", "/a/b"), Some(PathBuf::from("/m/b")));
        for (root, path) in [("/a", "/b"), ("/", "/../b"), ("/..", "/"), ("/", "/a/../b")] {
            assert_eq!(at(root, path), None, "{path:?} of {root:?}");
        }
    }
}
