//! The pages of the reference say what the tables of the server say; `SESSIOND_CODEGEN=write` writes them.

use std::path::Path;

use sessiond::{config, metrics};

/// Compares a page with what it must be, or writes it.
fn is(page: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    match std::env::var("SESSIOND_CODEGEN").as_deref() {
        Ok("write") => std::fs::write(path, made).expect("the docs can be written"),
        Ok(other) => panic!("SESSIOND_CODEGEN must be `write` or unset, not `{other}`"),
        Err(_) => {
            let written = std::fs::read_to_string(path).expect("the reference is committed");
            assert!(
                made == written,
                "docs/{page} is not what the server says; write it with `cargo xtask codegen`"
            );
        }
    }
}

#[test]
fn the_reference_is_that_of_the_keys() {
    is("configuration.md", &config::reference::markdown());
}

#[test]
fn the_reference_is_that_of_the_metrics() {
    is("metrics.md", &metrics::reference::markdown());
}
