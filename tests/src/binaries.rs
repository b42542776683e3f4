//! The binaries under test, built by whoever tests them.
//!
//! A test that runs a stale binary proves nothing, so the first one in a process has cargo bring them
//! up to date, in the profile the tests themselves were built in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The server.
#[must_use]
pub fn sessiond() -> PathBuf {
    built().join("sessiond")
}

/// The command line.
#[must_use]
pub fn sessionctl() -> PathBuf {
    built().join("sessionctl")
}

/// The memory plugin of the examples.
#[must_use]
pub fn memory_plugin() -> PathBuf {
    built().join("memory-plugin")
}

/// The workspace's root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests crate lies in the workspace")
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/PROFILE/deps/TEST-HASH
        let exe = std::env::current_exe().expect("a running test has a path");
        let directory = exe
            .ancestors()
            .nth(2)
            .expect("a test lies in target/PROFILE/deps")
            .to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(root())
            // The whole workspace, as `cargo xtask` builds it: for a part of it cargo would choose other features of the
            // dependencies, and build them all again.
            .args(["build", "--locked", "--quiet", "--workspace", "--bins"])
            .arg("--target-dir")
            .arg(
                directory
                    .parent()
                    .expect("a profile lies in a target directory"),
            );
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let status = cargo
            .status()
            .expect("cargo built this test, so it can be run");
        assert!(status.success(), "the binaries under test do not build");
        directory
    })
}
