//! What must not be written down anywhere: registries, and paths of somebody's machine.
//!
//! Invariant: every text file is searched, but for the lock files that tools write. What it
//! deliberately does not do: name a host or a path whole, or this file would find itself.

use super::source::{Finding, Source};

/// Hosts that packages come from; the package tools know them.
const REGISTRY_HOSTS: [&str; 16] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("sum.golang", ".org"),
    concat!("repo.maven", ".apache.org"),
    concat!("repo1.maven", ".org"),
    concat!("rubygems", ".org"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
    concat!("registry-1.docker", ".io"),
    concat!("static.rust", "-lang.org"),
    concat!("sh.rust", "up.rs"),
];

/// Folders of the machine this was written on.
const MACHINE_PATHS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];

const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", "uv.lock"];

/// Lines that name a registry.
pub(super) fn registry_hosts(source: &Source) -> Vec<Finding> {
    let name = source.path.rsplit('/').next().unwrap_or(&source.path);
    if LOCK_FILES.contains(&name) {
        return Vec::new();
    }
    let names_one = |line: &str| REGISTRY_HOSTS.iter().any(|host| line.contains(host));
    lines(
        source,
        names_one,
        "names a package registry: name the package and its tool instead",
    )
}

/// Lines that name a path of a machine.
pub(super) fn machine_paths(source: &Source) -> Vec<Finding> {
    let names_one = |line: &str| MACHINE_PATHS.iter().any(|path| names_root(line, path));
    lines(
        source,
        names_one,
        "names a path of one machine: use a relative or temporary one",
    )
}

/// Whether the path begins here: in `a/work/`, `../work/` and `{dir}/work/` it does not.
fn names_root(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~$})]>%*".contains(c))
    })
}

fn lines(source: &Source, rule: impl Fn(&str) -> bool, what: &str) -> Vec<Finding> {
    let hits = source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| rule(line));
    hits.map(|(at, _)| source.finding(at + 1, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_found_in_any_text_but_lock_files() {
        for host in REGISTRY_HOSTS {
            let text = format!("fine\nsee https://www.{host}/x\n");
            for path in ["x.rs", "README.md", ".ci/run", "a/b.yaml"] {
                let findings = registry_hosts(&Source::new(path, &text));
                assert_eq!(findings.len(), 1, "{host} in {path}");
                assert_eq!(findings[0].line, 2);
            }
            assert!(registry_hosts(&Source::new("Cargo.lock", &text)).is_empty());
        }
    }

    #[test]
    fn machine_paths_are_found_where_they_begin() {
        for path in MACHINE_PATHS {
            let check = |text: String| machine_paths(&Source::new("x.sh", &text)).len();
            assert_eq!(check(format!("{path}x")), 1);
            assert_eq!(check(format!("cd '{path}x'")), 1);
            assert_eq!(check(format!("X={path}x")), 1);
            assert_eq!(check(format!("file://{path}x")), 1);
            assert_eq!(
                check(format!("a{path}x ..{path}x {{dir}}{path}x $X{path}x")),
                0
            );
        }
    }
}
