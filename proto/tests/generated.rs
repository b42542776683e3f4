//! Generates the crate's code from the `.proto` files and compares it with what
//! is committed; with `SESSIOND_CODEGEN=write` it writes it instead.
//!
//! Keeps the committed code equal to the contract, byte for byte, without
//! `protoc` and without a build script. Does not judge the contract itself:
//! `contract.rs` does.

mod sources;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use sources::{compile, crate_root};

/// Set to `write` to replace the committed files.
const MODE_VARIABLE: &str = "SESSIOND_CODEGEN";

/// The file with the Rust code, named by prost after the package.
const CODE_FILE: &str = "sessiond.v1.rs";

/// The file with the encoded descriptors, imports included.
const DESCRIPTOR_FILE: &str = "descriptor.bin";

/// What a generated file is called and what is in it.
struct Generated {
    name: &'static str,
    content: Vec<u8>,
}

#[test]
fn committed_code_is_what_the_contract_generates() {
    let files = generate();
    let folder = crate_root().join("src/generated");
    match env::var(MODE_VARIABLE).as_deref() {
        Ok("write") => write(&folder, &files),
        Ok(other) => panic!("{MODE_VARIABLE} must be `write` or unset, not `{other}`"),
        Err(_) => compare(&folder, &files),
    }
}

/// Generating twice gives the same bytes: a map or a directory's order in the
/// output would make the comparison fail on another machine only.
#[test]
fn generation_is_repeatable() {
    let (first, second) = (generate(), generate());
    for (first, second) in first.iter().zip(&second) {
        assert!(first.content == second.content, "{} differs", first.name);
    }
}

fn generate() -> Vec<Generated> {
    vec![
        Generated {
            name: CODE_FILE,
            content: generate_code(),
        },
        Generated {
            name: DESCRIPTOR_FILE,
            content: generate_descriptors(),
        },
    ]
}

fn generate_code() -> Vec<u8> {
    // A folder of its own for each call: tests run at the same time.
    let out = scratch_folder();
    tonic_prost_build::configure()
        .out_dir(&out)
        .bytes(".sessiond.v1")
        // Sorted maps: equal messages encode to equal bytes, so a hash of a
        // request recognises its repeat.
        .btree_map(".sessiond.v1")
        .emit_rerun_if_changed(false)
        // Each half needs a part of tonic that the other half does not.
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(compile().file_descriptor_set())
        .expect("code can be generated from a contract that compiles");
    let code = fs::read(out.join(CODE_FILE)).expect("the generator wrote the package's file");
    fs::remove_dir_all(&out).expect("the scratch folder is ours");
    code
}

/// The descriptors without comments: reflection and the JSON mapping need names
/// and types, and a better comment should not change what programs embed.
fn generate_descriptors() -> Vec<u8> {
    let mut set = compile().file_descriptor_set();
    for file in &mut set.file {
        file.source_code_info = None;
    }
    set.encode_to_vec()
}

fn scratch_folder() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("codegen-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

fn write(folder: &Path, files: &[Generated]) {
    fs::create_dir_all(folder).expect("the source folder is writable");
    for file in files {
        let path = folder.join(file.name);
        // An untouched file keeps its time stamp, and cargo its build.
        if fs::read(&path).ok().as_deref() != Some(&file.content) {
            fs::write(&path, &file.content).expect("the source folder is writable");
        }
    }
}

fn compare(folder: &Path, files: &[Generated]) {
    let stale: Vec<&str> = files
        .iter()
        .filter(|file| fs::read(folder.join(file.name)).ok().as_deref() != Some(&file.content))
        .map(|file| file.name)
        .collect();
    assert!(
        stale.is_empty(),
        "the contract generates something else than what is committed: {}. \
         Run `cargo xtask codegen`, read the diff, commit both.",
        stale.join(", ")
    );
    let unknown: Vec<String> = fs::read_dir(folder)
        .expect("the generated files are committed")
        .map(|entry| entry.expect("the folder's entries are readable"))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !files.iter().any(|file| file.name == name))
        .collect();
    assert!(
        unknown.is_empty(),
        "not a generated file: {}",
        unknown.join(", ")
    );
}
