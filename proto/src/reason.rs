//! The one table of the reasons for which the server refuses: their spelling on
//! the wire and what a caller should do about each.
//!
//! Keeps reasons stable: clients branch on them, so a row is never renamed or
//! removed. It knows no gRPC status codes; the server maps a refusal to a code
//! in one place of its own.

use std::fmt;
use std::str::FromStr;

/// The `domain` of every `ErrorInfo` the server sends.
pub const ERROR_DOMAIN: &str = "sessiond";

/// Writes the enum and everything that must list it completely from one table,
/// so that a new reason cannot be forgotten in one of them.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $hint:literal;)+) => {
        /// Why the server refused: the `reason` of an `ErrorInfo`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the contract's table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// How the reason is spelled on the wire, for example
            /// `SESSION_NOT_FOUND`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What the caller should do, in one sentence.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self {
                    $(Self::$variant => $hint,)+
                }
            }
        }
    };
}

reasons! {
    /// No such session in the namespace.
    SessionNotFound = "SESSION_NOT_FOUND",
        "Stop using this session, or open it again under its key.";
    /// No such subscription in the namespace.
    SubscriptionNotFound = "SUBSCRIPTION_NOT_FOUND",
        "Create the subscription, or correct its name.";
    /// The named pool is not configured.
    PoolNotFound = "POOL_NOT_FOUND",
        "Name a pool that the server's configuration has, or leave it unset for `default`.";
    /// No such request is open on the session.
    RequestNotFound = "REQUEST_NOT_FOUND",
        "Stop: the request has ended or its lease has lapsed; begin another one if it goes on.";
    /// No such resource is recorded.
    ResourceNotFound = "RESOURCE_NOT_FOUND",
        "Stop: the resource is released or was never recorded.";
    /// No agent of such a node was ever linked.
    NodeNotFound = "NODE_NOT_FOUND",
        "Correct the name of the node, or start its agent.";
    /// The key has a live session, and the call does not accept it.
    SessionKeyInUse = "SESSION_KEY_IN_USE",
        "Use the session that is named, or choose another conflict policy.";
    /// The id belongs to a session, live or ended.
    SessionIdInUse = "SESSION_ID_IN_USE",
        "Choose another session id, or leave it unset and let the server make one.";
    /// A subscription of that name exists, and is another one.
    SubscriptionExists = "SUBSCRIPTION_EXISTS",
        "Choose another name, or delete the subscription first: it is not changed by creating it again.";
    /// The namespace is not configured.
    NamespaceNotFound = "NAMESPACE_NOT_FOUND",
        "Correct the namespace of the client, or add it to the server's configuration.";
    /// The call carries no valid token.
    Unauthenticated = "UNAUTHENTICATED",
        "Get a valid token and send it with the call.";
    /// The caller may not do this, or may not know whether it exists.
    PermissionDenied = "PERMISSION_DENIED",
        "Get a token that allows this call in this namespace, or do what the message says.";
    /// The contract has it, this server does not yet.
    NotBuilt = "NOT_BUILT",
        "Upgrade the server, or leave out the part that is named.";
    /// The session is over.
    SessionEnded = "SESSION_ENDED",
        "Follow the successor if one is named, else open the key again.";
    /// The session's end is decided.
    SessionDraining = "SESSION_DRAINING",
        "Follow the successor if one is named, else open the key again.";
    /// The session waits for a slot of its pool.
    SessionQueued = "SESSION_QUEUED",
        "Wait until the session is ACTIVE, then repeat the call.";
    /// The session is in use, and the call is for sessions that have ended.
    SessionActive = "SESSION_ACTIVE",
        "End the session first, then repeat the call.";
    /// The session's messages wait for the next session of its key.
    QueueHeld = "QUEUE_HELD",
        "Open the key to take the messages over, or set `pending_policy` to DISCARD to delete them.";
    /// The resource was released, and nothing can be it any more.
    ResourceReleased = "RESOURCE_RELEASED",
        "Declare another resource, and start what is to belong to it anew.";
    /// The resource was registered as something else.
    ResourceRegistered = "RESOURCE_REGISTERED",
        "Declare a resource of its own for this process or tmux session.";
    /// The session has resources that are not released.
    ResourcesUnreleased = "RESOURCES_UNRELEASED",
        "Wait until they are released, or have what lingers released by force.";
    /// The session goes only once an export of it is on disk, and none is.
    ExportFailed = "EXPORT_FAILED",
        "Mend what the message names, then repeat the call: nothing was deleted.";
    /// A required subscription has not acknowledged all that happened to the session.
    SessionUnacknowledged = "SESSION_UNACKNOWLEDGED",
        "Wait until the subscription's consumer has caught up, or for as long as the answer says.";
    /// The change is too deep in a chain of changes that cause one another.
    CauseTooDeep = "CAUSE_TOO_DEEP",
        "Stop: the handler reacts to events which it causes itself.";
    /// No drain is announced that could be called off.
    DrainNotCancellable = "DRAIN_NOT_CANCELLABLE",
        "Stop: no drain is announced, or it goes through already; its report says which.";
    /// Another worker or consumer holds it.
    LeaseHeld = "LEASE_HELD",
        "Wait as long as the answer says, then try again.";
    /// Workers failed too often on the session.
    RestartLimited = "RESTART_LIMITED",
        "Find out why its workers fail, and wait as long as the answer says.";
    /// Another machine has the name of the node, and something is left there.
    NodeElsewhere = "NODE_ELSEWHERE",
        "Give the agent a name of its own, or have what is left on the other machine released.";
    /// The caller's lease is not the current one.
    LeaseFenced = "LEASE_FENCED",
        "Drop the work: another worker has the session.";
    /// The message was handed out again since.
    StaleDelivery = "STALE_DELIVERY",
        "Drop the work: the message was handed out again.";
    /// The session changed since it was read.
    EtagMismatch = "ETAG_MISMATCH",
        "Read the session again, redo the change and send it with the new etag.";
    /// The pool is full.
    TooManySessions = "TOO_MANY_SESSIONS",
        "Back off, end sessions, accept to wait with `wait_for_slot`, or raise the pool's limit.";
    /// The session's queue is full.
    QueueFull = "QUEUE_FULL",
        "Back off until workers have settled messages of the session.";
    /// A quota of the namespace is used up.
    QuotaExceeded = "QUOTA_EXCEEDED",
        "Back off, or ask an operator for a larger quota.";
    /// The caller calls too often.
    RateLimited = "RATE_LIMITED",
        "Wait as long as the answer says, then call less often.";
    /// The disk has too little room to accept more.
    StoreFull = "STORE_FULL",
        "Back off and free disk space; reads, settlements and ends still work.";
    /// The server has more to do than it can.
    Overloaded = "OVERLOADED",
        "Back off with jitter, then repeat the call.";
    /// The start of a watch is older than what is kept.
    RevisionCompacted = "REVISION_COMPACTED",
        "List the sessions again and watch from the token of that list.";
    /// The start of a watch is of another log, or of its future.
    LogChanged = "LOG_CHANGED",
        "Forget the old place, list the sessions again and watch from the token of that list.";
    /// The subscription fell behind its limit.
    SubscriptionStale = "SUBSCRIPTION_STALE",
        "List the sessions again, then seek the subscription to the token of that list.";
    /// The server is shutting down.
    ServerDraining = "SERVER_DRAINING",
        "Repeat the call with the same request id after a back-off, on a new connection.";
    /// The agent of the node is not linked.
    NodeAway = "NODE_AWAY",
        "Start the agent of the node, and repeat the call.";
    /// The store cannot be reached or has failed.
    StoreUnavailable = "STORE_UNAVAILABLE",
        "Repeat the call with the same request id after a back-off: the outcome may be unknown.";
    /// The request id was used with another request.
    RequestIdReused = "REQUEST_ID_REUSED",
        "Make a new request id for every new request.";
    /// One or more fields of the request are not valid.
    FieldInvalid = "FIELD_INVALID",
        "Correct every field that is named, then repeat the call.";
    /// A message is larger than the server accepts.
    MessageTooLarge = "MESSAGE_TOO_LARGE",
        "Send less, or store the payload elsewhere and send a reference to it.";
}

/// A text that is the name of no reason: a newer server's, or another domain's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownReason {
    /// The text that was given.
    pub text: String,
}

// === impl Reason ===

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    /// Reads a reason as it is spelled on the wire, and no other way.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownReason {
                text: text.to_owned(),
            })
    }
}

// === impl UnknownReason ===

impl fmt::Display for UnknownReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unknown reason `{}`", self.text)
    }
}

impl std::error::Error for UnknownReason {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The contract's table, spelled out once more: a changed row must be
    /// changed on purpose.
    const CONTRACT: &str = "\
        SESSION_NOT_FOUND SUBSCRIPTION_NOT_FOUND POOL_NOT_FOUND REQUEST_NOT_FOUND \
        RESOURCE_NOT_FOUND NODE_NOT_FOUND SESSION_KEY_IN_USE SESSION_ID_IN_USE SUBSCRIPTION_EXISTS NAMESPACE_NOT_FOUND \
        UNAUTHENTICATED PERMISSION_DENIED NOT_BUILT SESSION_ENDED SESSION_DRAINING \
        SESSION_QUEUED SESSION_ACTIVE QUEUE_HELD RESOURCE_RELEASED RESOURCE_REGISTERED \
        RESOURCES_UNRELEASED EXPORT_FAILED SESSION_UNACKNOWLEDGED CAUSE_TOO_DEEP DRAIN_NOT_CANCELLABLE LEASE_HELD RESTART_LIMITED \
        NODE_ELSEWHERE \
        LEASE_FENCED STALE_DELIVERY ETAG_MISMATCH TOO_MANY_SESSIONS QUEUE_FULL QUOTA_EXCEEDED RATE_LIMITED \
        STORE_FULL OVERLOADED REVISION_COMPACTED LOG_CHANGED SUBSCRIPTION_STALE SERVER_DRAINING \
        NODE_AWAY \
        STORE_UNAVAILABLE REQUEST_ID_REUSED FIELD_INVALID MESSAGE_TOO_LARGE";

    #[test]
    fn table_is_the_contracts() {
        let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let contract: Vec<&str> = CONTRACT.split_whitespace().collect();
        assert_eq!(names, contract);
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len());
    }

    #[test]
    fn every_reason_reads_back_and_has_a_hint() {
        for reason in Reason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(*reason));
            let hint = reason.hint();
            assert!(hint.ends_with('.'), "{reason}: {hint}");
            assert!(
                hint.starts_with(|first: char| first.is_ascii_uppercase()),
                "{reason}: {hint}"
            );
            assert!(!hint.contains(". "), "{reason} needs one sentence: {hint}");
        }
    }

    #[test]
    fn other_spellings_are_unknown() {
        for text in [
            "",
            "session_not_found",
            "SESSION_NOT_FOUND ",
            "SESSION",
            "ÄRGER",
        ] {
            let unknown = text.parse::<Reason>().expect_err("not a reason");
            assert_eq!(unknown.text, text);
            assert_eq!(unknown.to_string(), format!("unknown reason `{text}`"));
        }
    }
}
