//! `sessionctl session export`: everything on record of one session, into a file.
//!
//! Invariant: a file that has its name is whole and on disk; until then it has another one. What this deliberately does not
//! do: write over a file, or change the session.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use prost::Message as _;
use sessiond_client::pb::export_session_response::Record;
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::{Output, json};

/// What to export, and where to.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    session: SessionArg,
    /// The file to make; it must not exist.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

impl ExportArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        if self.file.exists() {
            return Err(failed(&self.file, "there is such a file already"));
        }
        let unfinished = unfinished(&self.file);
        let written = self.write(client, &unfinished).await;
        match written {
            Ok(summary) => {
                std::fs::rename(&unfinished, &self.file)
                    .map_err(|error| failed(&self.file, error))?;
                let name = self.file.display().to_string();
                output.fields(
                    &summary,
                    &name,
                    || json::line(&summary),
                    || fields(&summary),
                )
            }
            Err(failure) => {
                // What is left of it is of no use; that it could not be removed is no second failure.
                drop(std::fs::remove_file(&unfinished));
                Err(failure)
            }
        }
    }

    async fn write(&self, client: &Client, path: &Path) -> Result<pb::ExportSummary, Failure> {
        let io = |error: std::io::Error| failed(path, error);
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file = BufWriter::new(file.map_err(io)?);
        let mut export = client.export(self.session.session_ref()).await?;
        let mut summary = pb::ExportSummary::default();
        while let Some(record) = export.next().await? {
            if let Record::Summary(whole) = record {
                summary = whole;
            }
            let record = Some(record);
            let bytes = pb::ExportSessionResponse { record }.encode_length_delimited_to_vec();
            file.write_all(&bytes).map_err(io)?;
        }
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        Ok(summary)
    }
}

/// The name of a file that is not whole.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn fields(summary: &pb::ExportSummary) -> Vec<[String; 2]> {
    let counts = [
        ("messages", summary.messages),
        ("dead letters", summary.dead_letters),
        ("events", summary.events),
        ("payload bytes", summary.payload_bytes),
    ];
    let rows = counts.into_iter();
    rows.map(|(name, count)| [name.to_owned(), count.to_string()])
        .collect()
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {why}", path.display()))
}
