//! Very many sessions: their namespaces, and how they are opened.
//!
//! A pool takes 1,000 live sessions of a namespace, so many sessions need many namespaces. What it
//! deliberately does not do: change a limit of the server.

use std::sync::Arc;

use anyhow::Result;
use sessiond_proto::v1 as pb;

use crate::caller::Caller;
use crate::samples::{Samples, each_once};

/// Live sessions of one namespace; the default limit of a pool.
const SESSIONS_PER_NAMESPACE: usize = 1_000;
/// Calls under way while sessions are opened.
const OPENS_AT_ONCE: usize = 128;
/// Bytes of a key.
const KEY_DIGITS: usize = 34;
/// Bytes of a prompt.
const PROMPT_BYTES: usize = 512;

/// Names of enough namespaces for this many live sessions.
pub(super) fn namespaces(sessions: usize) -> Vec<String> {
    let enough = sessions.div_ceil(SESSIONS_PER_NAMESPACE);
    (0..enough).map(|index| format!("crowd-{index}")).collect()
}

/// The server's callers in each of these namespaces, over one connection.
pub(super) fn callers(caller: &Caller, namespaces: &[String]) -> Arc<[Caller]> {
    namespaces.iter().map(|name| caller.within(name)).collect()
}

/// A session of the crowd: 40 bytes of key, 2 labels, a prompt.
pub(super) fn session(index: usize) -> pb::OpenSessionRequest {
    let labels = [("team", "memory"), ("agent", "claude-code")];
    pb::OpenSessionRequest {
        key: format!("crowd/{index:0KEY_DIGITS$}"),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        prompt: "p".repeat(PROMPT_BYTES),
        ..pb::OpenSessionRequest::default()
    }
}

/// Opens this many sessions; answers with whose caller each belongs to and its id, and how it went.
pub(super) async fn open(
    callers: &Arc<[Caller]>,
    sessions: usize,
) -> Result<(Vec<(Caller, String)>, Samples)> {
    let all = Arc::clone(callers);
    let opened = each_once(
        OPENS_AT_ONCE,
        (0..sessions).collect(),
        move |index: usize| {
            let caller = all[index % all.len()].clone();
            async move {
                let id = caller.open(session(index)).await?;
                Ok((caller, id))
            }
        },
    );
    opened.await
}
