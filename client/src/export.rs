//! An export of a session, read record by record.
//!
//! Keeps one connection, and nothing but the record at hand. It is not resumed:
//! an export that breaks off ends in an error, and is begun anew.

use std::time::Duration;

use futures_util::StreamExt as _;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::export_session_response::Record;

use crate::client::Client;
use crate::error::Error;

/// How long the server may take for the next record: it has the disk to read.
const RECORD_TIMEOUT: Duration = Duration::from_secs(30);

/// An export under way.
#[derive(Debug)]
pub struct Export {
    records: tonic::Streaming<pb::ExportSessionResponse>,
    /// Whether the summary was read, which comes last.
    whole: bool,
}

impl Client {
    /// Begins to read everything on record of one session.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; what a connection that breaks brings.
    pub async fn export(&self, session: pb::SessionRef) -> Result<Export, Error> {
        let request = pb::ExportSessionRequest {
            r#ref: Some(session),
        };
        let mut sessions = self.session_streams();
        let call = sessions.export_session(self.request(request));
        let response = tokio::time::timeout(RECORD_TIMEOUT, Box::pin(call)).await;
        let response = response.map_err(|_| late())?.map_err(Error::from)?;
        Ok(Export {
            records: response.into_inner(),
            whole: false,
        })
    }
}

impl Export {
    /// The next record; `None` behind the summary, so that one that ends is
    /// whole.
    ///
    /// # Errors
    ///
    /// When the export breaks off before its summary.
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        let next = tokio::time::timeout(RECORD_TIMEOUT, self.records.next()).await;
        let Some(response) = next.map_err(|_| late())? else {
            let broken = || Error::broken_link("the export broke off before its summary");
            return if self.whole { Ok(None) } else { Err(broken()) };
        };
        let record = response.map_err(Error::from)?.record;
        self.whole |= matches!(record, Some(Record::Summary(_)));
        match record {
            Some(record) => Ok(Some(record)),
            None => Err(Error::broken_link(
                "the export has a record of no known kind",
            )),
        }
    }
}

fn late() -> Error {
    Error::deadline(format!("no record within {RECORD_TIMEOUT:?}"))
}
