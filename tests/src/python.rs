//! Python's own gRPC, with stubs which its own generator makes of `proto/`.
//!
//! What this deliberately does not do: install Python's packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::binaries;

/// Names a Python that can import grpc and `grpc_tools`.
const VARIABLE: &str = "SESSIOND_PYTHON";

/// The one to use.
///
/// # Panics
/// If none is named.
#[must_use]
pub fn python() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(
        || {
            panic!(
                "{VARIABLE} names no Python: run this by `cargo xtask test`, or set it to a Python that \
                 has the packages grpcio and grpcio-tools"
            )
        },
        PathBuf::from,
    )
}

/// Has Python's own generator make the stubs of the contract.
///
/// # Panics
/// If it cannot.
pub fn generate(into: &Path) {
    let root = binaries::root();
    let contract = root.join("proto");
    let protos = std::fs::read_dir(contract.join("sessiond/v1")).expect("the contract is there");
    let protos = protos.map(|entry| entry.expect("a folder can be read").path());
    let protos: Vec<PathBuf> = protos
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "proto")
        })
        .collect();
    assert!(!protos.is_empty(), "the contract is empty");
    let details = root.join("tests/python");
    let made = Command::new(python())
        .args(["-m", "grpc_tools.protoc"])
        .arg("-I")
        .arg(&contract)
        .arg("-I")
        .arg(&details)
        .arg("--python_out")
        .arg(into)
        .arg("--grpc_python_out")
        .arg(into)
        .args(protos)
        .arg(details.join("rpc_status.proto"))
        .output()
        .expect("Python can be started");
    assert!(made.status.success(), "no stubs:\n{}", said(&made));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
