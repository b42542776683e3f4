//! Reads and compiles the `.proto` files of this crate, for the tests that look
//! at them.
//!
//! Keeps the order of files fixed, so that two compilations of the same sources
//! give the same bytes. Does not know what the result is used for.

use std::fs;
use std::path::{Path, PathBuf};

use protox::Compiler;

/// The package's folder below the root of the imports.
const PACKAGE_FOLDER: &str = "sessiond/v1";

/// The names of all `.proto` files of the package as imports write them, sorted.
pub(crate) fn proto_files() -> Vec<String> {
    let folder = crate_root().join(PACKAGE_FOLDER);
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the package's folder is readable")
        .map(|entry| {
            entry
                .expect("the folder's entries are readable")
                .file_name()
        })
        .map(|name| name.into_string().expect("file names are UTF-8"))
        .filter(|name| name.ends_with(".proto"))
        .map(|name| format!("{PACKAGE_FOLDER}/{name}"))
        .collect();
    names.sort();
    names
}

/// Compiles every `.proto` file, comments and imports included. Panics with the
/// compiler's report when one is wrong.
pub(crate) fn compile() -> Compiler {
    let mut compiler = Compiler::new([crate_root()]).expect("the crate's folder is readable");
    compiler.include_source_info(true).include_imports(true);
    if let Err(report) = compiler.open_files(proto_files()) {
        panic!("the contract does not compile: {report:?}");
    }
    compiler
}

/// The folder of this crate's manifest, which is the root of the imports.
pub(crate) fn crate_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}
