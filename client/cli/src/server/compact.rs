//! `sessionctl server compact-events`: deletes old events now.
//!
//! What this deliberately does not do: say which events are old; whoever asks names the last that is to go.

use clap::Args;
use sessiond_client::{Client, pb};

use crate::failure::Failure;
use crate::output::{Output, json};

/// Which events to delete.
#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// Up to and including this revision, and what was committed with it.
    #[arg(value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    through: u64,
}

// === impl CompactArgs ===

impl CompactArgs {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        compacted(&client.compact_events(self.through).await?, output)
    }
}

/// Prints how the log begins now.
fn compacted(answer: &pb::CompactEventsResponse, output: &mut Output) -> Result<(), Failure> {
    let number = |name: &str, value: u64| [name.to_owned(), value.to_string()];
    let held_by = match answer.held_by.as_str() {
        "" => "-",
        name => name,
    };
    output.fields(
        answer,
        &answer.oldest_revision.to_string(),
        || json::line(answer),
        || {
            vec![
                number("oldest", answer.oldest_revision),
                number("newest", answer.current_revision),
                ["held by".to_owned(), held_by.to_owned()],
            ]
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::check;
    use crate::output::{Detail, Format};

    #[test]
    fn how_the_log_begins_is_told_with_whom_more_stays_for() {
        let mut answer = pb::CompactEventsResponse {
            oldest_revision: 4,
            current_revision: 9,
            held_by: "default/memory".to_owned(),
        };
        let rows = Detail::RowsWithHeader;
        let table = "oldest   4\nnewest   9\nheld by  default/memory\n";
        check(Format::Table, rows, table, |output| {
            compacted(&answer, output)
        });
        check(Format::Table, Detail::Ids, "4\n", |output| {
            compacted(&answer, output)
        });
        answer.held_by.clear();
        let table = "oldest   4\nnewest   9\nheld by  -\n";
        check(Format::Table, rows, table, |output| {
            compacted(&answer, output)
        });
    }
}
