//! What a command inherits of an event that is handled.

use std::ffi::OsStr;

use tokio::process::Command;

use super::forget_cause;

/// What a command is told of the cause: none if it inherits that, and then whether it has one.
fn told(command: &Command) -> Option<Option<&OsStr>> {
    let mut said = command.as_std().get_envs();
    said.find(|(name, _)| *name == "SESSIOND_CAUSE")
        .map(|(_, value)| value)
}

#[test]
fn a_command_inherits_no_cause_but_has_the_one_it_is_given() {
    let mut command = Command::new("sh");
    forget_cause(&mut command);
    assert_eq!(told(&command), Some(None));
    let mut command = Command::new("sh");
    command.env("SESSIOND_CAUSE", "1-1");
    forget_cause(&mut command);
    assert_eq!(told(&command), Some(Some(OsStr::new("1-1"))));
}
