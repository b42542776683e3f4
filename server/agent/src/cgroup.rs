//! Cgroups: a directory of the kernel (cgroup v2) for all processes of one resource, which none of them leaves by forking.
//!
//! Whoever starts a resource makes one below its own cgroup, where that is delegated to it, and has the command begin in it.
//! Its name is made of the marker, so nothing needs to be on record: whose a process is stands in its `/proc/PID/cgroup`,
//! whatever became of its environment, its parent, its group and its session.
//!
//! ```text
//! own cgroup of whoever starts it
//!   └── sessiond-MARKER        cgroup.procs, cgroup.kill, cgroup.events
//!         └── …                what the command makes below it
//! ```
//!
//! Invariant: a name means a whole component of a path, never the beginning of one. What cannot be made or entered leaves a
//! command without a cgroup, never unstarted. What this deliberately does not do: limit what processes may use, or make a
//! cgroup anywhere but below that of this process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::marker::Marker;

mod hierarchy;

pub(crate) use hierarchy::{Hierarchy, Place, below, remove};

/// What the name of a resource's cgroup begins with; the marker follows. Other programs that start resources say the same.
pub const PREFIX: &str = "sessiond-";

/// The longest marker that a cgroup is named after, in bytes: a name of the file system has 255, and ids are far shorter.
const MARKER_BYTES_MAX: usize = 200;

/// The file that says which processes are in a cgroup, and takes those that are to be.
const PROCESSES: &str = "cgroup.procs";

/// The name of a resource's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

/// A stay of this process in the cgroup of a resource.
#[derive(Debug)]
struct Visit {
    directory: PathBuf,
    /// The way back, opened before: what must be written is in its place already.
    home: File,
}

/// Starts something in a cgroup of its own, and otherwise where this process is. The second answer is whether it has one;
/// the error says why not.
///
/// This process goes into the cgroup, starts the command and goes back: what is started begins where its parent is, so
/// nothing that it does is too early, and no code has to run between fork and exec. The stay takes milliseconds. All
/// threads take part in it, so call this only where no other one starts processes meanwhile.
///
/// When it cannot go back, for which somebody must change its own cgroup in this moment, it stays: then the cgroup counts
/// for nothing in a release by this process, and the command is found by the other means.
pub fn start_within<T, E>(
    marker: &Marker,
    start: impl FnOnce() -> Result<T, E>,
) -> (Result<T, E>, io::Result<()>) {
    let visit = match Visit::begin(marker) {
        Ok(visit) => visit,
        Err(why) => return (start(), Err(why)),
    };
    let started = start();
    let Visit { directory, home } = visit;
    let back = go_into(home);
    if started.is_err() {
        remove(&directory);
    }
    (started, back)
}

/// Writes what the kernel reads; makes no file.
pub(crate) fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(file)?;
    file.write_all(text.as_bytes())
}

/// Has this process go where the file is from.
fn go_into(mut processes: File) -> io::Result<()> {
    processes.write_all(b"0")
}

// === impl Visit ===

impl Visit {
    fn begin(marker: &Marker) -> io::Result<Self> {
        let name = Name::of(marker).ok_or(io::ErrorKind::InvalidInput)?;
        let hierarchy = Hierarchy::find()?;
        let processes = |of: &Path| {
            let file = of.join(PROCESSES);
            OpenOptions::new().write(true).open(file)
        };
        let home = processes(hierarchy.own())?;
        let directory = hierarchy.own().join(name.as_str());
        match fs::create_dir(&directory) {
            // The name is the resource's, whoever made it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        match processes(&directory).and_then(go_into) {
            Ok(()) => Ok(Self { directory, home }),
            Err(why) => {
                remove(&directory);
                Err(why)
            }
        }
    }
}

// === impl Name ===

impl Name {
    /// Of a marker that can be a component of a path as it is; no other has a cgroup.
    pub(crate) fn of(marker: &Marker) -> Option<Self> {
        let value = marker.value();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = value.len() <= MARKER_BYTES_MAX && value.bytes().all(is_plain);
        fits.then(|| Self(format!("{PREFIX}{value}")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The beginning of the path of a cgroup, up to the component of this name.
    pub(crate) fn root_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut end = 0;
        for component in path.split('/') {
            end += component.len();
            if component == self.0 {
                return path.get(..end);
            }
            end += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(marker: &str) -> Option<Name> {
        Name::of(&Marker::new(marker).expect("a marker"))
    }

    #[test]
    fn a_name_means_a_whole_component() {
        let name = name("r-1").expect("a name");
        for (path, root) in [
            ("/sessiond-r-1", Some("/sessiond-r-1")),
            ("/a/sessiond-r-1/b/c", Some("/a/sessiond-r-1")),
            ("/../a/sessiond-r-1", Some("/../a/sessiond-r-1")),
            ("/sessiond-r-1/sessiond-r-1", Some("/sessiond-r-1")),
            ("/sessiond-r-12", None),
            ("/sessiond-r-1 (deleted)", None),
            ("/xsessiond-r-1", None),
            ("/r-1", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(name.root_in(path), root, "{path:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_component_has_no_name() {
        for marker in ["a/b", "../x", "a b", "a\nb", "\u{e4}", &"x".repeat(201)] {
            assert_eq!(name(marker), None, "{marker:?}");
        }
        assert!(name(&"x".repeat(200)).is_some());
        assert!(name("..").is_some_and(|name| name.as_str() == "sessiond-.."));
    }
}
