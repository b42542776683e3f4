//! Messages of the contract as proto3 JSON, from the contract's own descriptors: the one place
//! where JSON of them is made.
//!
//! Invariant: canonical proto3 JSON (64-bit numbers are texts, bytes are base64) with the proto's
//! field names; a field without presence is always there, so that a script can rely on it. What
//! this deliberately does not do: read JSON.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use sessiond_client::pb;

/// A message that knows its name in the package `sessiond.v1`.
pub(crate) trait Described: prost::Message {
    /// The name, without the package.
    const NAME: &'static str;
}

macro_rules! described {
    ($($name:ident)+) => {
        $(impl Described for pb::$name {
            const NAME: &'static str = stringify!($name);
        })+

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

described! {
    Session OpenSessionResponse GetSessionResponse ListSessionsResponse EndSessionResponse
    SessionEvent WatchSessionEventsResponse Message EnqueueMessagesResponse EnqueueResult
    ListMessagesResponse GetStatsResponse EndSessionsResponse EndResult ExplainSessionResponse
    BeginRequestResponse EndRequestResponse ResetSessionResponse DeadLetter ListDeadLettersResponse
    RequeueDeadLettersResponse DiscardMessagesResponse RevokeLeaseResponse ResetCircuitResponse
    SweepResponse SweepResult PurgeSessionsResponse PurgeResult
    ListPoolsResponse PoolInfo ListNodesResponse Node DeclareResourceResponse ListResourcesResponse Resource
    ReleaseResourceResponse ReleaseResult ExportSummary DrainServerResponse DrainStarted DrainReport
    GetDrainReportResponse CancelDrainResponse Subscription CreateSubscriptionResponse GetSubscriptionResponse
    ListSubscriptionsResponse DeleteSubscriptionResponse CompactEventsResponse
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(sessiond_proto::FILE_DESCRIPTOR_SET)
        .expect("the committed descriptors are whole")
});

/// A message as a JSON value.
pub(crate) fn value<M: Described>(message: &M) -> Value {
    let name = format!("sessiond.v1.{}", M::NAME);
    let descriptor = POOL
        .get_message_by_name(&name)
        .expect("every described message is in the contract");
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("a message of the contract reads back by its own descriptor");
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false);
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .unwrap_or_else(|error| {
            // A peer can send a time that no calendar has; the rest is still of use.
            Value::from(format!("not printable as JSON: {error}"))
        })
}

/// A message as one line.
pub(crate) fn line<M: Described>(message: &M) -> String {
    format!("{}\n", value(message))
}

/// A message over several lines.
pub(crate) fn pretty<M: Described>(message: &M) -> String {
    format!("{:#}\n", value(message))
}

/// Rows of a table as a list of objects, by the names of the columns.
pub(crate) fn list(headers: &[&str], rows: &[Vec<String>]) -> Value {
    rows.iter().map(|row| object(headers, row)).collect()
}

/// Rows of a table as objects, each on its line.
pub(crate) fn lines(headers: &[&str], rows: &[Vec<String>]) -> String {
    rows.iter()
        .map(|row| format!("{}\n", object(headers, row)))
        .collect()
}

fn object(headers: &[&str], row: &[String]) -> Value {
    let fields = headers.iter().zip(row);
    fields
        .map(|(name, text)| {
            let name = name.to_ascii_lowercase().replace(' ', "_");
            (name, Value::from(text.as_str()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_described_message_is_in_the_contract() {
        for name in NAMES {
            let found = POOL.get_message_by_name(&format!("sessiond.v1.{name}"));
            assert!(found.is_some(), "{name}");
        }
    }

    #[test]
    fn names_are_the_protos_and_defaults_are_there() {
        let event = pb::SessionEvent {
            revision: 12,
            r#type: pb::EventType::SessionEnd.into(),
            time: Some(prost_types::Timestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            ..Default::default()
        };
        assert_eq!(
            line(&event),
            "{\"revision\":\"12\",\"event_id\":\"\",\"type\":\"EVENT_TYPE_SESSION_END\",\
             \"time\":\"2023-11-14T22:13:20Z\",\"namespace\":\"\",\"attributes\":{}}\n"
        );
    }

    #[test]
    fn payloads_are_base64_and_limits_are_durations() {
        let message = pb::Message {
            payload: bytes::Bytes::from_static(b"\xff\x00"),
            ..Default::default()
        };
        assert_eq!(value(&message)["payload"], "/wA=");
        let session = pb::Session {
            idle_timeout: Some(pb::Limit {
                bound: Some(pb::limit::Bound::After(prost_types::Duration {
                    seconds: 90,
                    nanos: 500_000_000,
                })),
            }),
            ..Default::default()
        };
        assert_eq!(value(&session)["idle_timeout"]["after"], "90.500s");
    }

    #[test]
    fn what_no_calendar_has_costs_one_answer_and_no_panic() {
        let event = pb::SessionEvent {
            time: Some(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: -5,
            }),
            ..Default::default()
        };
        let printed = value(&event);
        assert!(printed.is_string() || printed.is_object(), "{printed}");
    }
}
