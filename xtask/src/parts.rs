//! The parts of a gate: each one timed, all of them listed at the end.
//!
//! Invariant: a gate passes only when every part that was begun passed. What it deliberately does
//! not do: stop at the first failure; the caller decides what a later part still needs.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::say;

/// The parts of one gate, in the order they ran.
#[derive(Debug)]
pub(crate) struct Parts {
    gate: &'static str,
    begun: Instant,
    done: Vec<Part>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Parts {
    /// A gate of which nothing has run.
    pub(crate) fn new(gate: &'static str) -> Self {
        Self {
            gate,
            begun: Instant::now(),
            done: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Runs one part and says how it went; `None` when it failed.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        say(&format!("== {name}"));
        let begun = Instant::now();
        let outcome = work();
        let took = begun.elapsed();
        let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
        let part = Part {
            name,
            took,
            failure,
        };
        say(&format!("== {}", part.line()));
        self.done.push(part);
        outcome.ok()
    }

    /// A line for the closing summary.
    pub(crate) fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// Prints the summary; an error when any part failed, or none was begun.
    pub(crate) fn close(self) -> Result<()> {
        say(&format!(
            "\n{}: {:.1} s",
            self.gate,
            self.begun.elapsed().as_secs_f64()
        ));
        for part in &self.done {
            say(&format!("  {}", part.line()));
        }
        for note in &self.notes {
            say(&format!("  {note}"));
        }
        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|part| part.failure.is_some())
            .map(|part| part.name)
            .collect();
        if self.done.is_empty() {
            bail!("{} ran nothing", self.gate);
        }
        if !failed.is_empty() {
            bail!("{} failed: {}", self.gate, failed.join(", "));
        }
        Ok(())
    }
}

impl Part {
    fn line(&self) -> String {
        let (name, took) = (self.name, self.took.as_secs_f64());
        match &self.failure {
            None => format!("{name:<12} ok     {took:>7.1} s"),
            Some(why) => format!("{name:<12} FAILED {took:>7.1} s: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_part_fails_the_gate_and_later_parts_still_run() {
        let mut parts = Parts::new("gate");
        assert_eq!(parts.run("first", || Ok(1)), Some(1));
        assert_eq!(
            parts.run("second", || -> Result<()> { bail!("broken") }),
            None
        );
        assert_eq!(parts.run("third", || Ok(3)), Some(3));
        assert_eq!(
            parts.close().unwrap_err().to_string(),
            "gate failed: second"
        );
    }

    #[test]
    fn a_gate_that_ran_nothing_fails() {
        assert!(Parts::new("gate").close().is_err());
    }
}
