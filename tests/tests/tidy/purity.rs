//! The core has no effects, and the server's library does not know the client.
//!
//! Invariant: what could make two runs of one decision differ is not in the core at all. What it
//! deliberately does not do: follow re-exports; the table of crates bounds what there is.

use super::source::{Finding, Source, has_word};

/// Names that bring time, chance or unstable order, and what to use instead.
const IMPURE_NAMES: [(&str, &str); 5] = [
    ("Instant", "time is the argument `now`"),
    ("SystemTime", "time is the argument `now`"),
    (
        "HashMap",
        "its order differs from run to run: use `BTreeMap`",
    ),
    (
        "HashSet",
        "its order differs from run to run: use `BTreeSet`",
    ),
    ("Uuid", "ids come in with the command"),
];

/// Modules of `std` that reach outside the process or its one thread of thought.
const IMPURE_MODULES: [&str; 5] = ["fs", "net", "thread", "env", "process"];

const CORE: &str = "server/core/src/";
const SERVER: &str = "server/src/";

/// Where the binary of the server begins: Cargo has no dependencies for one target only.
const BINARY: [&str; 6] = ["main.rs", "demo.rs", "demo/", "run", "agent.rs", "agent/"];

/// Effects in the core.
pub(super) fn core(source: &Source) -> Vec<Finding> {
    if !(source.path.starts_with(CORE) && source.is_own_rust()) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (name, instead) in IMPURE_NAMES {
        findings.extend(source.words(name, &format!("`{name}` in the core: {instead}")));
    }
    for (line, module) in std_modules(&source.code) {
        if IMPURE_MODULES.contains(&module) {
            let what = format!("`std::{module}` in the core: move the effect to the server");
            findings.push(source.finding(line, what));
        }
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Uses of the client in the server's library.
pub(super) fn client_in_server(source: &Source) -> Vec<Finding> {
    let Some(place) = source.path.strip_prefix(SERVER) else {
        return Vec::new();
    };
    if BINARY.iter().any(|allowed| place.starts_with(allowed)) || !source.is_own_rust() {
        return Vec::new();
    }
    let what = "only the binary (main, demo, run, agent) may use the client: move the code there";
    let lines = source.code.lines().enumerate();
    let hits = lines.filter(|(_, line)| has_word(line, "sessiond_client"));
    hits.map(|(at, _)| source.finding(at + 1, what)).collect()
}

/// Each `std::module` of masked code with its line, those of `use std::{a, b::c}` included.
fn std_modules(code: &str) -> Vec<(usize, &str)> {
    let mut modules = Vec::new();
    let mut depth_in_std = 0_usize;
    let mut line = 1;
    let mut tokens = tokens(code).peekable();
    let mut before = "";
    while let Some(token) = tokens.next() {
        match token {
            "\n" => {
                line += 1;
                continue;
            }
            "{" if depth_in_std > 0 => depth_in_std += 1,
            "}" if depth_in_std > 0 => depth_in_std -= 1,
            "std" if tokens.peek() == Some(&"::") => {
                tokens.next();
                match tokens.next() {
                    Some("{") => depth_in_std = 1,
                    Some(module) => modules.push((line, module)),
                    None => {}
                }
            }
            // Deeper names are members of a module, not modules of `std`.
            name if depth_in_std == 1 && before != "::" => modules.push((line, name)),
            _ => {}
        }
        before = token;
    }
    modules
}

/// Words, `::`, line ends and every other character by itself, without blanks.
fn tokens(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', '\r']);
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            ':' if rest.starts_with("::") => 2,
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, lines: &[usize]) {
        let found = core(&Source::new("server/core/src/x.rs", text));
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            lines,
            "{text}"
        );
        assert!(core(&Source::new("server/src/x.rs", text)).is_empty());
    }

    #[test]
    fn effects_are_found_in_the_core() {
        check(
            "use std::time::Instant;\nlet t = SystemTime::now();\n",
            &[1, 2],
        );
        check(
            "use std::collections::{BTreeMap, HashMap};\nHashSet::new();",
            &[1, 2],
        );
        check(
            "std::fs::read(x);\nuse std::net::IpAddr;\n::std::thread::spawn(f);",
            &[1, 2, 3],
        );
        check(
            "use std::{\n  fmt,\n  fs::{self, File},\n  net,\n};\nUuid::nil()",
            &[3, 4, 6],
        );
    }

    #[test]
    fn pure_code_is_not_found() {
        check(
            "use std::time::Duration;\nuse std::{fmt, collections::{self, BTreeMap}};",
            &[],
        );
        check("// HashMap, std::fs\nlet s = \"Instant std::net\";", &[]);
        check("InstantaneousRate; my::std_fs::x; self.fs.net();", &[]);
        check("use std::{fmt};\nlet fs = net;", &[]);
    }

    #[test]
    fn the_client_is_found_in_the_library_only() {
        let text = "use x;\nuse sessiond_client::Client;\n";
        let lines = |path: &str| client_in_server(&Source::new(path, text)).len();
        assert_eq!(lines("server/src/engine.rs"), 1);
        assert_eq!(lines("server/src/grpc/demo.rs"), 1);
        for path in [
            "main.rs",
            "demo.rs",
            "demo/replay.rs",
            "run.rs",
            "run/spawn.rs",
            "agent.rs",
            "agent/link.rs",
        ] {
            assert_eq!(lines(&format!("server/src/{path}")), 0, "{path}");
        }
        assert_eq!(lines("client/src/lib.rs"), 0);
        let comment = Source::new(
            "server/src/x.rs",
            "// sessiond_client\nsessiond_clients::x;",
        );
        assert!(client_in_server(&comment).is_empty());
    }
}
