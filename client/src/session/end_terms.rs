//! How an end goes: what the builders of one end and of many ends have in common.
//!
//! Keeps both the same by writing them once. It holds nothing.

/// Writes the methods of a builder that say how an end goes.
macro_rules! end_terms {
    () => {
        /// Says more about the end, for a person.
        pub fn detail(mut self, detail: impl Into<String>) -> Self {
            self.request.detail = detail.into();
            self
        }

        /// Sets how much a session may still do. Default: GRACEFUL.
        pub fn mode(mut self, mode: pb::EndMode) -> Self {
            self.request.set_mode(mode);
            self
        }

        /// Sets how long it may do that.
        pub fn grace(mut self, grace: Duration) -> Self {
            self.request.end_grace = Some(to_span(grace));
            self
        }

        /// Sets what becomes of unprocessed messages. Default: KEEP.
        pub fn pending(mut self, policy: pb::PendingPolicy) -> Self {
            self.request.set_pending_policy(policy);
            self
        }
    };
}

pub(super) use end_terms;
