//! A refused call, taken apart: its code, its reason and the facts that go with it.
//!
//! Every refusal carries an `ErrorInfo` of the server's domain; one without is a defect and shows as
//! an empty reason. It judges nothing by the text of the message, which is for people.

use std::collections::BTreeMap;
use std::time::Duration;

use sessiond_proto::reason::{ERROR_DOMAIN, Reason};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a call was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The text for people.
    pub message: String,
    /// The reason, as it is spelled; empty if there is none of our domain.
    pub reason: String,
    /// The facts that belong to the reason.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before a repeat.
    pub retry_after: Option<Duration>,
    /// The name of what is missing or taken.
    pub resource: Option<String>,
    /// The fields that are not as they must be.
    pub fields: Vec<String>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details
            .error_info()
            .filter(|info| info.domain == ERROR_DOMAIN);
        let violations = details.bad_request().map(|bad| &bad.field_violations[..]);
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.map_or_else(String::new, |info| info.reason.clone()),
            metadata: info
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            resource: details
                .resource_info()
                .map(|resource| resource.resource_name.clone()),
            fields: violations
                .unwrap_or_default()
                .iter()
                .map(|violation| violation.field.clone())
                .collect(),
        }
    }
}

impl Refusal {
    /// Checks code and reason; answers with itself for more.
    #[track_caller]
    pub fn is(self, code: Code, reason: Reason) -> Self {
        let told = (self.code, self.reason.as_str());
        assert_eq!(told, (code, reason.as_str()), "{}", self.message);
        self
    }

    /// Checks one fact.
    #[track_caller]
    pub fn with(self, key: &str, value: &str) -> Self {
        let told = self.metadata.get(key).map(String::as_str);
        assert_eq!(told, Some(value), "`{key}` of {self:?}");
        self
    }

    /// Checks that a repeat may succeed after a wait, and not a long one.
    #[track_caller]
    pub fn retries_within(self, most: Duration) -> Self {
        let told = self
            .retry_after
            .expect("a refusal that passes names a wait");
        assert!(!told.is_zero(), "no wait at all");
        assert!(told <= most, "{told:?} is longer than {most:?}");
        self
    }
}
