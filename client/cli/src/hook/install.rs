//! `sessionctl hook install`: the hooks into a settings file.
//!
//! Invariant: the file is replaced as a whole or not at all, keeps its permissions, and is found
//! through links; nothing is written when nothing changes. What this deliberately does not do: make
//! copies of it behind the user's back.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};

use super::settings::{self, Merged};
use crate::failure::Failure;
use crate::output::Output;
use crate::say;
use crate::target::{Origin, Target};

/// Where to write which hooks.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The agent.
    #[arg(value_enum)]
    agent: Agent,
    /// Write the settings of this user: the default.
    #[arg(long, group = "place")]
    user: bool,
    /// Write the settings of the project in the current directory.
    #[arg(long, group = "place")]
    project: bool,
    /// Write this settings file.
    #[arg(long, value_name = "FILE", group = "place")]
    settings: Option<PathBuf>,
    /// Let the hooks start `sessiond` when it is not running.
    #[arg(long)]
    start_server: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Agent {
    ClaudeCode,
}

impl InstallArgs {
    pub(super) fn run(&self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let Agent::ClaudeCode = self.agent;
        let path = self.path()?;
        let command = self.command(target, &program(self.project)?);
        let done = install(&path, &command)
            .with_context(|| format!("cannot install hooks in `{}`", path.display()))?;
        say::line(&format!("{done}: {command}"));
        output.write(&format!("{}\n", path.display()))
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.settings {
            return Ok(path.clone());
        }
        if self.project {
            return Ok(PathBuf::from(".claude/settings.json"));
        }
        let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let directory = given("CLAUDE_CONFIG_DIR")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(given("HOME")?).join(".claude")));
        let directory = directory.ok_or_else(|| {
            Failure::Usage("`HOME` is not set: name the file with --settings".to_owned())
        })?;
        Ok(directory.join("settings.json"))
    }

    /// What the agent runs. An address, namespace or file of TLS that was given here holds for the hooks too;
    /// the environment holds for them by itself. A token is never written into settings.
    fn command(&self, target: &Target, program: &str) -> String {
        let mut command = quoted(program);
        if target.origin == Origin::Flag {
            command += &format!(" --addr {}", quoted(&target.addr));
        }
        if target.namespace_origin == Origin::Flag {
            command += &format!(" --namespace {}", quoted(&target.namespace));
        }
        for word in &target.tls_flags {
            command += &format!(" {}", quoted(word));
        }
        command += " hook claude-code";
        if self.start_server {
            command += " --start-server";
        }
        command
    }
}

/// How to call this program: by name where PATH leads to it, or where others share the settings,
/// else by its path.
fn program(is_shared: bool) -> Result<String, Failure> {
    const NAME: &str = "sessionctl";
    let own = env::current_exe()
        .and_then(fs::canonicalize)
        .context("cannot tell where this program is")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path =
        env::split_paths(&path).find_map(|directory| fs::canonicalize(directory.join(NAME)).ok());
    if is_shared || in_path.as_ref() == Some(&own) {
        return Ok(NAME.to_owned());
    }
    let own = own.to_str().map(str::to_owned);
    Ok(own.ok_or_else(|| anyhow!("the path of this program is not valid UTF-8"))?)
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Merges the hooks into the file; what was done.
fn install(path: &Path, command: &str) -> anyhow::Result<&'static str> {
    let old = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    match settings::merge(old.as_deref().unwrap_or(""), command)? {
        Merged::Unchanged => Ok("the hooks are installed already"),
        Merged::Changed(text) => {
            replace(path, &text)?;
            Ok("the hooks are installed")
        }
    }
}

/// Replaces a file in one step. A link keeps leading to the file that it leads to.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|one| !one.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let fresh = path.with_extension(format!("json.{}", std::process::id()));
    let written = write(&fresh, &path, text).and_then(|()| fs::rename(&fresh, &path));
    if written.is_err() {
        // What could not take its place must not stay beside it.
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(fresh: &Path, old: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(fresh)?;
    if let Ok(metadata) = fs::metadata(old) {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::args::{Command, parse};
    use crate::hook::HookCommand;

    const COMMAND: &str = "sessionctl hook claude-code";

    #[test]
    fn a_missing_file_is_made_with_its_directory_and_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(".claude/settings.json");
        assert!(!install(&path, COMMAND).unwrap().contains("already"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(install(&path, COMMAND).unwrap().contains("already"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let names = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 1, "nothing else is left there");
    }

    #[test]
    fn permissions_and_links_survive() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().join("dotfiles.json");
        let link = place.path().join("settings.json");
        fs::write(&real, "{\"model\": \"x\"}").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&real, &link).unwrap();
        install(&link, COMMAND).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read_to_string(&real).unwrap();
        assert!(text.contains("\"model\": \"x\"") && text.contains(COMMAND));
    }

    #[test]
    fn what_is_not_understood_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("settings.json");
        for text in ["{ \"a\": 1, }", "[]"] {
            fs::write(&path, text).unwrap();
            let error = install(&path, COMMAND).expect_err(text);
            assert!(error.to_string().contains("left as it is"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, [0xff]).unwrap();
        install(&path, COMMAND).expect_err("not text");
        assert_eq!(fs::read(&path).unwrap(), [0xff]);
    }

    #[test]
    fn hooks_call_the_server_that_was_named() {
        let command = |arguments: &[&str]| {
            let line = [&["sessionctl", "hook", "install", "claude-code"], arguments].concat();
            let (cli, target) = parse(line).unwrap();
            let Command::Hook(HookCommand::Install(args)) = cli.command else {
                panic!("another command");
            };
            args.command(&target, "/my bin/sessionctl")
        };
        let addressed = command(&["--addr", "unix:/run/a b", "--start-server", "--token", "t"]);
        assert_eq!(
            addressed,
            "'/my bin/sessionctl' --addr 'unix:/run/a b' hook claude-code --start-server"
        );
        let secured = command(&["--ca", "/tls/ca.pem", "--client-key", "/tls/key"]);
        assert_eq!(
            secured,
            "'/my bin/sessionctl' --ca /tls/ca.pem --client-key /tls/key hook claude-code"
        );
        let spaced = command(&["--namespace", "it's", "--project"]);
        assert!(spaced.contains(r"--namespace 'it'\''s' hook"), "{spaced}");
    }
}
