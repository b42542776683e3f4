//! Which crate may depend on which, and what no crate may do.
//!
//! Invariant: a new crate or edge fails until its row is written here. What it deliberately does
//! not do: look at dependencies of tests, or resolve versions.

use std::process::Command;

use serde_json::Value;

use super::source::{Finding, Source, root};

/// A crate of the workspace and the crates of the workspace it may use outside its tests.
#[derive(Debug)]
struct Edges {
    name: &'static str,
    may_use: &'static [&'static str],
}

const EDGES: [Edges; 11] = [
    Edges {
        name: "sessiond-agent",
        may_use: &[],
    },
    Edges {
        name: "sessiond-core",
        may_use: &[],
    },
    Edges {
        name: "sessiond-store",
        may_use: &["sessiond-core"],
    },
    Edges {
        name: "sessiond-proto",
        may_use: &[],
    },
    Edges {
        name: "sessiond",
        may_use: &[
            "sessiond-agent",
            "sessiond-core",
            "sessiond-store",
            "sessiond-proto",
            "sessiond-client",
        ],
    },
    Edges {
        name: "sessiond-client",
        may_use: &["sessiond-proto"],
    },
    Edges {
        name: "sessionctl",
        may_use: &["sessiond-client", "sessiond-proto"],
    },
    Edges {
        name: "memory-plugin",
        may_use: &["sessiond-client"],
    },
    Edges {
        name: "sessiond-tests",
        may_use: &[
            "sessiond-core",
            "sessiond-store",
            "sessiond-proto",
            "sessiond",
            "sessiond-client",
            "sessionctl",
        ],
    },
    Edges {
        name: "sessiond-bench",
        may_use: &[
            "sessiond-core",
            "sessiond-store",
            "sessiond-proto",
            "sessiond",
            "sessiond-client",
        ],
    },
    Edges {
        name: "xtask",
        may_use: &[],
    },
];

/// What the rules may be made of: no runtime, no disk, no chance.
const CORE: &str = "sessiond-core";
const CORE_MAY_USE: [&str; 5] = ["bytes", "foldhash", "indexmap", "sha2", "thiserror"];

const LICENCE: &str = "Apache-2.0";

/// What cargo says about the workspace's own crates.
pub(super) fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ];
    let said = Command::new(cargo)
        .current_dir(root())
        .args(arguments)
        .output();
    let said = said.expect("cargo runs");
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    serde_json::from_slice(&said.stdout).expect("cargo prints JSON")
}

/// Dependencies that are not in the table.
pub(super) fn edges(metadata: &Value) -> Vec<Finding> {
    let packages = list(metadata, "packages");
    let names: Vec<&str> = packages
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = text(package, "name");
        let Some(known) = EDGES.iter().find(|edges| edges.name == name) else {
            findings.push(finding(
                package,
                format!("crate `{name}` has no row in {}: add one", file!()),
            ));
            continue;
        };
        // Normal dependencies have no kind; the table is silent about those of tests.
        for dependency in list(package, "dependencies")
            .iter()
            .filter(|d| d["kind"].is_null())
        {
            let used = text(dependency, "name");
            if names.contains(&used) && !known.may_use.contains(&used) {
                let what = format!("`{name}` must not depend on `{used}`: move the code");
                findings.push(finding(package, what));
            }
            if name == CORE && !CORE_MAY_USE.contains(&used) {
                let what =
                    format!("the core must not depend on `{used}`: effects are the server's");
                findings.push(finding(package, what));
            }
        }
    }
    findings
}

/// Crates with a build script, another licence or a dependency outside the registry.
pub(super) fn plainness(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in list(metadata, "packages") {
        let name = text(package, "name");
        if text(package, "license") != LICENCE {
            findings.push(finding(
                package,
                format!("`{name}` needs `license.workspace = true`"),
            ));
        }
        let kinds = list(package, "targets")
            .iter()
            .flat_map(|target| list(target, "kind"));
        if kinds.into_iter().any(|kind| kind == "custom-build") {
            let what = format!("`{name}` has a build script: commit what it makes, and test that");
            findings.push(finding(package, what));
        }
        for dependency in list(package, "dependencies") {
            if text(dependency, "source").starts_with("git+") {
                let used = text(dependency, "name");
                findings.push(finding(
                    package,
                    format!("`{used}` comes from git: use a release"),
                ));
            }
        }
    }
    findings
}

/// Manifests that replace what the registry gives.
pub(super) fn manifest(source: &Source) -> Vec<Finding> {
    let is_manifest = source.path == "Cargo.toml"
        || source.path.ends_with("/Cargo.toml")
        || source.path.starts_with(".cargo/");
    let starts_table = |line: &str| {
        let line = line.trim_start();
        ["[patch", "[replace", "[source"]
            .iter()
            .any(|table| line.starts_with(table))
    };
    let lines = source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_manifest && starts_table(line));
    let mut findings: Vec<Finding> = lines
        .map(|(at, _)| source.finding(at + 1, "replaces a release: wait for one, or vendor openly"))
        .collect();
    if source.path == "Cargo.lock" {
        let lines = source.text.lines().enumerate();
        let from_git = lines.filter(|(_, line)| line.starts_with("source = \"git+"));
        findings.extend(
            from_git.map(|(at, _)| source.finding(at + 1, "comes from git: use a release")),
        );
    }
    findings
}

fn finding(package: &Value, what: String) -> Finding {
    let path = text(package, "manifest_path");
    let path = path
        .strip_prefix(&format!("{}/", root().display()))
        .unwrap_or(path);
    Finding {
        path: path.to_owned(),
        line: 1,
        what,
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Value {
        let normal = |name: &&str| json!({ "name": name, "kind": null, "source": null });
        json!({
            "name": name,
            "license": LICENCE,
            "manifest_path": "Cargo.toml",
            "targets": [{ "kind": ["lib"] }],
            "dependencies": dependencies.iter().map(normal).collect::<Vec<_>>(),
        })
    }

    #[track_caller]
    fn check(packages: &[Value], edges_found: usize, plainness_found: usize) {
        let metadata = json!({ "packages": packages });
        assert_eq!(edges(&metadata).len(), edges_found);
        assert_eq!(plainness(&metadata).len(), plainness_found);
    }

    #[test]
    fn edges_outside_the_table_are_found() {
        let core = || package(CORE, &["bytes", "thiserror"]);
        check(&[core(), package("sessiond-store", &[CORE, "redb"])], 0, 0);
        check(&[core(), package("sessiond-client", &[CORE])], 1, 0);
        check(&[core(), package("sessiond-new", &[])], 1, 0);
        check(&[package(CORE, &["tokio"])], 1, 0);
        check(
            &[
                package(CORE, &["sessiond-store"]),
                package("sessiond-store", &[]),
            ],
            2,
            0,
        );
    }

    #[test]
    fn dependencies_of_tests_are_free() {
        let mut core = package(CORE, &["tempfile"]);
        core["dependencies"][0]["kind"] = json!("dev");
        check(&[core], 0, 0);
    }

    #[test]
    fn licences_build_scripts_and_git_are_found() {
        let mut other = package(CORE, &["bytes"]);
        other["license"] = Value::Null;
        other["targets"] = json!([{ "kind": ["lib"] }, { "kind": ["custom-build"] }]);
        other["dependencies"][0]["source"] = json!("git+https://example.org/bytes");
        check(&[other], 0, 3);
    }

    #[test]
    fn replaced_releases_are_found() {
        let lines = |path: &str, text: &str| manifest(&Source::new(path, text)).len();
        assert_eq!(
            lines(
                "Cargo.toml",
                "[patch.x]\na = 1\n[replace]\n[dependencies]\n"
            ),
            2
        );
        assert_eq!(lines(".cargo/config.toml", "[source.x]\n"), 1);
        assert_eq!(
            lines("Cargo.lock", "source = \"git+https://example.org/a#1\"\n"),
            1
        );
        assert_eq!(lines("docs/a.md", "[patch.x]\n"), 0);
    }
}
