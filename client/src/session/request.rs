//! A request: one use of a session, held for as long as it lasts.
//!
//! Keeps one task for as long as the guard lives, which renews the request's
//! lease three times before it is over. The request ends when [`RequestGuard::end`]
//! is called or the guard is dropped; when neither can reach the server, by its
//! lease. It ends nothing else: the session goes on.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{SessionHandle, to_span};
use crate::error::Error;
use crate::retry::{Verdict, verdict};

/// Into how many parts a lease is cut: one renewal for each, so that two may
/// fail and the third is still in time.
const RENEWALS_PER_LEASE: u32 = 3;

/// The least time between two renewals, whatever the server says of the lease.
const RENEWAL_MIN: Duration = Duration::from_millis(100);

/// What the server gives a request that names no lease; only used when an answer
/// does not say.
const LEASE_DEFAULT: Duration = Duration::from_secs(30);

/// A use of a session that goes on until it is dropped or ended.
#[derive(Debug)]
#[must_use = "dropping the guard ends the request"]
pub struct RequestGuard {
    session: SessionHandle,
    token: String,
    state: GuardState,
    lost: watch::Receiver<Option<Error>>,
    /// Stops with the guard.
    renewing: AbortOnDropHandle<()>,
}

/// Whether the guard has an end to tell when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GuardState {
    Open,
    Ended,
}

// === impl RequestGuard ===

impl RequestGuard {
    pub(super) async fn begin(
        session: SessionHandle,
        lease: Option<Duration>,
    ) -> Result<Self, Error> {
        let request = pb::BeginRequestRequest {
            r#ref: Some(session.session_ref()),
            request_lease: lease.map(to_span),
            request_token: String::new(),
        };
        let answer = session.client().begin_request(request).await?;
        let token = answer.request_token;
        let lease = answer
            .request_lease
            .and_then(|lease| Duration::try_from(lease).ok());
        let every = (lease.unwrap_or(LEASE_DEFAULT) / RENEWALS_PER_LEASE).max(RENEWAL_MIN);
        let (tell, lost) = watch::channel(None);
        let renewal = (session.clone(), token.clone());
        let renewing = tokio::spawn(async move {
            let (session, token) = renewal;
            let error = renew_until_lost(&session, &token, every).await;
            tell.send_replace(Some(error));
        });
        Ok(Self {
            session,
            token,
            state: GuardState::Open,
            lost,
            renewing: AbortOnDropHandle::new(renewing),
        })
    }

    /// The request as the wire names it.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Waits until the request is lost, and says why: its session ended, or its
    /// lease was over before the server could be reached. Never returns while it
    /// is renewed.
    pub async fn lost(&self) -> Error {
        let mut lost = self.lost.clone();
        let told = lost.wait_for(Option::is_some).await;
        let error = told.ok().and_then(|error| error.clone());
        error.unwrap_or_else(|| Error::lease_lost("the task that renews the request is gone"))
    }

    /// Ends the request and tells how the session is then. One that is over
    /// already is no failure.
    ///
    /// # Errors
    ///
    /// What `EndRequest` refuses; the request ends by its lease all the same.
    pub async fn end(mut self) -> Result<pb::Session, Error> {
        self.state = GuardState::Ended;
        self.renewing.abort();
        let answer = self.session.client().end_request(self.ending()).await?;
        answer.session.ok_or_else(crate::client::no_session)
    }

    fn ending(&self) -> pb::EndRequestRequest {
        pb::EndRequestRequest {
            r#ref: Some(self.session.session_ref()),
            request_token: self.token.clone(),
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if self.state == GuardState::Ended {
            return;
        }
        // Outside of a runtime nothing can be said: then its lease ends it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (client, request) = (self.session.client().clone(), self.ending());
        runtime.spawn(async move {
            if let Err(error) = client.end_request(request).await {
                tracing::debug!(%error, "a request could not be ended: its lease ends it");
            }
        });
    }
}

async fn renew_until_lost(session: &SessionHandle, token: &str, every: Duration) -> Error {
    loop {
        tokio::time::sleep(every).await;
        let request = pb::BeginRequestRequest {
            r#ref: Some(session.session_ref()),
            request_lease: None,
            request_token: token.to_owned(),
        };
        match session.client().begin_request(request).await {
            Ok(_) => {}
            Err(error @ Error::Deadline(_)) => tracing::debug!(%error, "a renewal failed"),
            Err(error) => match verdict(&error) {
                Verdict::Always | Verdict::WhenHarmless => {
                    tracing::debug!(%error, "a renewal failed");
                }
                Verdict::Never => return error,
            },
        }
    }
}
