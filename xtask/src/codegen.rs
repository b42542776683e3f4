//! Writes what is generated anew: the code of `sessiond-proto` from the `.proto` files, the references of
//! the configuration and the metrics from the tables of the server, and the page of features from what the tests say of themselves.
//!
//! Keeps one generator for each: a test, which compares when it is run as a test and writes when asked to, so what
//! `check` compares is what this wrote. It deliberately does not
//! look at the result: whoever changed the contract reads the diff and commits both.

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// Tells the test to write; it refuses any other value.
const MODE: (&str, &str) = ("SESSIOND_CODEGEN", "write");

/// The folder of the generated files, from the root of the checkout.
const GENERATED_FOLDER: &str = "proto/src/generated";

/// The files which the crate includes.
const GENERATED_FILES: [&str; 2] = ["sessiond.v1.rs", "descriptor.bin"];

/// Generates everything and writes what differs. Fails, and writes nothing, when the contract does
/// not compile.
pub(crate) fn run() -> Result<()> {
    make_includable(&workspace::root().join(GENERATED_FOLDER))?;
    let mut generate =
        workspace::cargo(&["test", "--package", "sessiond-proto", "--test", "generated"]);
    process::run(generate.env(MODE.0, MODE.1))?;
    let mut describe = workspace::cargo(&["test", "--package", "sessiond", "--test", "reference"]);
    process::run(describe.env(MODE.0, MODE.1))?;
    let mut gather = workspace::cargo(&["test", "--package", "sessiond-tests", "--test", "tidy"]);
    gather.args(["--", "the_page_of_features"]);
    process::run(gather.env(MODE.0, MODE.1))
}

/// The generator is a test of the crate that includes the files, so they must exist before it can
/// be built. Empty ones do: deleting the folder is the way out when a new generator no longer
/// compiles what the old one wrote.
fn make_includable(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("could not make the folder `{}`", folder.display()))?;
    for name in GENERATED_FILES {
        let path = folder.join(name);
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("could not make the file `{}`", path.display()))?;
    }
    Ok(())
}
