//! Who runs PostgreSQL, and where: it refuses to run as root.
//!
//! Invariant: the account may enter the place, and the place is on the file system that was asked for,
//! as peers are compared on one disk. What it deliberately does not do: change the rights of a directory
//! that it did not make.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;
use tempfile::TempDir;

/// Accounts that may run it in place of root, the best first.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// Where accounts are listed.
const ACCOUNT_LIST: &str = "/etc/passwd";

/// The right of anybody to pass through a directory.
const ENTER_BY_ANY: u32 = 0o001;

/// The account a server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// Whoever runs the benchmark.
    Own,
    /// Another one, as root may choose.
    Other { user: u32, group: u32 },
}

impl Account {
    /// The one that PostgreSQL can run as.
    ///
    /// # Errors
    /// When root runs the benchmark and there is no other account.
    pub(crate) fn choose() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let list = fs::read_to_string(ACCOUNT_LIST);
        let list = list.with_context(|| format!("cannot read {ACCOUNT_LIST}"))?;
        let found = ACCOUNTS.iter().find_map(|name| entry(&list, name));
        found.with_context(|| format!("none of the accounts {ACCOUNTS:?} is there to run it"))
    }

    /// Has `command` run as this account.
    pub(crate) fn apply(self, command: &mut Command) {
        match self {
            Self::Own => {}
            Self::Other { user, group } => {
                command.uid(user).gid(group);
            }
        }
    }

    /// A directory of the account's own, in `wanted` or in the nearest place above that it may enter.
    ///
    /// # Errors
    /// When there is no such place on the same file system.
    pub(crate) fn directory_near(self, wanted: &Path) -> Result<TempDir> {
        let wanted = wanted.canonicalize();
        let wanted = wanted.context("the directory for peers is not there")?;
        let Self::Other { user, group } = self else {
            return new_in(&wanted);
        };
        let device = fs::metadata(&wanted)?.dev();
        for place in wanted.ancestors() {
            let is_root = place.parent().is_none();
            if is_root || fs::metadata(place)?.dev() != device {
                break;
            }
            if can_any_enter(place)? {
                let directory = new_in(place)?;
                chown(directory.path(), Some(user), Some(group))
                    .context("cannot give a directory to another account")?;
                return Ok(directory);
            }
        }
        bail!(
            "no directory at or above {} can be entered by the account that runs PostgreSQL",
            wanted.display()
        )
    }
}

fn new_in(place: &Path) -> Result<TempDir> {
    let directory = tempfile::Builder::new()
        .prefix("postgresql-")
        .tempdir_in(place);
    directory.with_context(|| format!("cannot make a directory in {}", place.display()))
}

/// Whether anybody may pass through all of a path.
fn can_any_enter(path: &Path) -> Result<bool> {
    for part in path.ancestors() {
        if fs::metadata(part)?.permissions().mode() & ENTER_BY_ANY == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn entry(list: &str, name: &str) -> Option<Account> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        let (_password, user, group) = (fields.next()?, fields.next()?, fields.next()?);
        let (user, group) = (user.parse().ok()?, group.parse().ok()?);
        is_it.then_some(Account::Other { user, group })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let list =
            "root:x:0:0:root:/:/bin/sh\nbroken\npostgres2:x:1:2::/:\npostgres:x:101:104::/:\n";
        let postgres = Account::Other {
            user: 101,
            group: 104,
        };
        assert_eq!(entry(list, "postgres"), Some(postgres));
        assert_eq!(entry(list, "broken"), None);
        assert_eq!(entry(list, "nobody"), None);
    }

    #[test]
    fn a_closed_directory_is_avoided_and_left_closed() {
        let closed = fs::Permissions::from_mode(0o700);
        let outer = tempfile::Builder::new().permissions(closed).tempdir();
        let outer = outer.unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        assert!(!can_any_enter(&inner).unwrap());
        let own = Account::Own.directory_near(&inner).unwrap();
        assert_eq!(
            own.path().parent(),
            Some(inner.canonicalize().unwrap().as_path())
        );
        let account = Account::choose().unwrap();
        if account == Account::Own {
            return;
        }
        let other = account.directory_near(&inner).unwrap();
        assert!(!other.path().starts_with(outer.path()));
        assert!(can_any_enter(other.path().parent().unwrap()).unwrap());
        let mode = fs::metadata(outer.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
