//! The unary calls of whoever looks after a server: what is there, and what goes
//! on that should not wait.
//!
//! Keeps mutations safe to repeat, as those of `calls.rs` are.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::calls::{BULK_WAIT, fill_request_id};
use super::{Admin, Client, DECODE_BYTES_MAX};
use crate::error::Error;
use crate::retry::Repeat;

impl Client {
    /// Asks the server who it is, how far its log goes and what it accepts.
    ///
    /// # Errors
    ///
    /// What `GetServerInfo` refuses.
    pub async fn server_info(&self) -> Result<pb::GetServerInfoResponse, Error> {
        let request = pb::GetServerInfoRequest {};
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.get_server_info(request).await }
        })
        .await
    }

    /// Counts sessions, messages and workers of the namespace.
    ///
    /// # Errors
    ///
    /// What `GetStats` refuses.
    pub async fn stats(&self) -> Result<pb::GetStatsResponse, Error> {
        let request = pb::GetStatsRequest {};
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.get_stats(request).await }
        })
        .await
    }

    /// Lets a session go on at once where failures hold it up.
    ///
    /// # Errors
    ///
    /// What `ResetCircuit` refuses.
    pub async fn reset_circuit(
        &self,
        mut request: pb::ResetCircuitRequest,
    ) -> Result<pb::ResetCircuitResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.reset_circuit(request).await }
        })
        .await
    }

    /// Lists the pools of the namespace: their limits and how full they are.
    ///
    /// # Errors
    ///
    /// What `ListPools` refuses.
    pub async fn pools(&self) -> Result<pb::ListPoolsResponse, Error> {
        let request = pb::ListPoolsRequest {};
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.list_pools(request).await }
        })
        .await
    }

    /// Lists one page of the workers that have a stream open.
    ///
    /// # Errors
    ///
    /// What `ListWorkers` refuses.
    pub async fn list_workers(
        &self,
        request: pb::ListWorkersRequest,
    ) -> Result<pb::ListWorkersResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.list_workers(request).await }
        })
        .await
    }

    /// Looks at the limits of live sessions now, one page of them, and ends
    /// those that have passed one.
    ///
    /// # Errors
    ///
    /// What `Sweep` refuses.
    pub async fn sweep(&self, request: pb::SweepRequest) -> Result<pb::SweepResponse, Error> {
        self.call(Repeat::Harmless, BULK_WAIT, request, |request| {
            let mut admin = self.admin();
            async move { admin.sweep(request).await }
        })
        .await
    }

    /// Takes a session from the worker that holds it.
    ///
    /// # Errors
    ///
    /// What `RevokeLease` refuses, for example [`Error::FailedPrecondition`] when
    /// its lease is another one than was named.
    pub async fn revoke_lease(
        &self,
        mut request: pb::RevokeLeaseRequest,
    ) -> Result<pb::RevokeLeaseResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.revoke_lease(request).await }
        })
        .await
    }

    /// Deletes the oldest events, up to and including this one, which no active
    /// subscription needs. A log that is far over it takes a while.
    ///
    /// # Errors
    ///
    /// What `CompactEvents` refuses.
    pub async fn compact_events(
        &self,
        through_revision: u64,
    ) -> Result<pb::CompactEventsResponse, Error> {
        let request = pb::CompactEventsRequest { through_revision };
        self.call(Repeat::Harmless, BULK_WAIT, request, |request| {
            let mut admin = self.admin();
            async move { admin.compact_events(request).await }
        })
        .await
    }

    /// Calls off the drain that is announced; answers with what came of it.
    ///
    /// # Errors
    ///
    /// What `CancelDrain` refuses, for example [`Error::FailedPrecondition`] when
    /// none is announced, or it goes through already.
    pub async fn cancel_drain(&self) -> Result<Option<pb::DrainReport>, Error> {
        let request = pb::CancelDrainRequest {};
        let call = self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.cancel_drain(request).await }
        });
        Ok(call.await?.report)
    }

    /// Reads what came of the last drain of the store, by a call or by a signal;
    /// `None` when it was never drained.
    ///
    /// # Errors
    ///
    /// What `GetDrainReport` refuses.
    pub async fn drain_report(&self) -> Result<Option<pb::DrainReport>, Error> {
        let request = pb::GetDrainReportRequest {};
        let call = self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut admin = self.admin();
            async move { admin.get_drain_report(request).await }
        });
        Ok(call.await?.report)
    }

    fn admin(&self) -> Admin {
        Admin::new(self.channels.unary.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }
}
