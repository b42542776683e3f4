//! `docs/configuration.md` says what the table of keys says; `SESSIOND_CODEGEN=write` writes it.

use std::path::Path;

use sessiond::config::reference;

#[test]
fn the_reference_is_that_of_the_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let made = reference::markdown();
    match std::env::var("SESSIOND_CODEGEN").as_deref() {
        Ok("write") => std::fs::write(path, made).expect("the docs can be written"),
        Ok(other) => panic!("SESSIOND_CODEGEN must be `write` or unset, not `{other}`"),
        Err(_) => {
            let written = std::fs::read_to_string(path).expect("the reference is committed");
            assert!(
                made == written,
                "docs/configuration.md is not what the keys say; write it with \
                 `cargo xtask codegen`"
            );
        }
    }
}
