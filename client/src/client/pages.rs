//! Lists as streams: the pages are fetched as they are read.
//!
//! Keeps the order of the server, and ends after the first error. A list is a
//! fuzzy snapshot: an entry shows its own revision. Nothing is fetched ahead of
//! the reader.

use std::collections::VecDeque;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use sessiond_proto::v1 as pb;

use super::Client;
use crate::error::Error;

/// Where a list is.
struct Pages<T> {
    ready: VecDeque<T>,
    next: Next,
}

/// What to fetch when everything that was fetched is read.
enum Next {
    Page { token: String },
    Nothing,
}

/// One page: its entries and the token of the next.
type Page<T> = (Vec<T>, String);

impl Client {
    /// Lists sessions, newest first: the page of the request and all that
    /// follow.
    pub fn list_all(
        &self,
        request: pb::ListSessionsRequest,
    ) -> impl Stream<Item = Result<pb::Session, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        over_pages(request.page_token.clone(), move |page_token| {
            let (client, mut request) = (client.clone(), request.clone());
            request.page_token = page_token;
            async move {
                let page = client.list(request).await?;
                Ok((page.sessions, page.next_page_token))
            }
        })
    }

    /// Lists a session's messages by `seq`: the page of the request and all
    /// that follow.
    pub fn list_all_messages(
        &self,
        request: pb::ListMessagesRequest,
    ) -> impl Stream<Item = Result<pb::Message, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        over_pages(request.page_token.clone(), move |page_token| {
            let (client, mut request) = (client.clone(), request.clone());
            request.page_token = page_token;
            async move {
                let page = client.list_messages(request).await?;
                Ok((page.messages, page.next_page_token))
            }
        })
    }

    /// Lists the workers that have a stream open: the page of the request and
    /// all that follow.
    pub fn list_all_workers(
        &self,
        request: pb::ListWorkersRequest,
    ) -> impl Stream<Item = Result<pb::WorkerInfo, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        over_pages(request.page_token.clone(), move |page_token| {
            let (client, mut request) = (client.clone(), request.clone());
            request.page_token = page_token;
            async move {
                let page = client.list_workers(request).await?;
                Ok((page.workers, page.next_page_token))
            }
        })
    }
}

pub(super) fn over_pages<T, F>(
    token: String,
    fetch: impl Fn(String) -> F + Send + 'static,
) -> BoxStream<'static, Result<T, Error>>
where
    T: Send + 'static,
    F: Future<Output = Result<Page<T>, Error>> + Send,
{
    let first = Pages {
        ready: VecDeque::new(),
        next: Next::Page { token },
    };
    stream::unfold((first, fetch), |(mut pages, fetch)| async move {
        loop {
            if let Some(entry) = pages.ready.pop_front() {
                return Some((Ok(entry), (pages, fetch)));
            }
            let Next::Page { token } = std::mem::replace(&mut pages.next, Next::Nothing) else {
                return None;
            };
            match fetch(token).await {
                Ok((entries, token)) => {
                    pages.ready = entries.into();
                    if !token.is_empty() {
                        pages.next = Next::Page { token };
                    }
                }
                Err(error) => return Some((Err(error), (pages, fetch))),
            }
        }
    })
    .boxed()
}
