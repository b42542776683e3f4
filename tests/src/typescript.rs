//! The example plugin in TypeScript, as it was built for the tests.
//!
//! What this deliberately does not do: build it, or install a Node.

use std::path::PathBuf;
use std::process::Command;

/// Names a folder with a Node in it, as `node`, and the plugin's program.
const VARIABLE: &str = "SESSIOND_TYPESCRIPT";

/// The command of the plugin.
///
/// # Panics
/// If none is named.
#[must_use]
pub fn memory_plugin() -> Command {
    let folder = std::env::var_os(VARIABLE).map_or_else(
        || {
            panic!(
                "{VARIABLE} names no folder: run this by `cargo xtask test`, or set it to a build of \
                 examples/memory-plugin-ts with a link to node in it"
            )
        },
        PathBuf::from,
    );
    let mut command = Command::new(folder.join("node"));
    command.arg(folder.join("dist/main.js"));
    command
}
