//! Checks what no compiler checks about the contract: that everything is
//! explained (`explained`), that its conventions hold in every message, and that
//! it offers the RPCs which are built and no others.
//!
//! Names which clients depend on are in `names.rs`; changes against a release
//! are `buf breaking`'s.

#[path = "contract/explained.rs"]
mod explained;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use sources::{compile, proto_files};

const PACKAGE: &str = "sessiond.v1";

/// Every RPC that works, and which sides of it stream.
const RPCS: &[&str] = &[
    "AdminService.CancelDrain",
    "AdminService.CompactEvents",
    "AdminService.DrainServer returns (stream)",
    "AdminService.GetDrainReport",
    "AdminService.GetServerInfo",
    "AdminService.GetStats",
    "AdminService.ListPools",
    "AdminService.ListWorkers",
    "AdminService.ResetCircuit",
    "AdminService.RevokeLease",
    "AdminService.Sweep",
    "MessageService.ClaimMessages",
    "MessageService.DiscardMessages",
    "MessageService.EnqueueMessages",
    "MessageService.EnqueueStream (stream) returns (stream)",
    "MessageService.ListDeadLetters",
    "MessageService.ListMessages",
    "MessageService.RequeueDeadLetters",
    "MessageService.SettleMessages",
    "ResourceService.AgentLink (stream) returns (stream)",
    "ResourceService.DeclareResource",
    "ResourceService.ListNodes",
    "ResourceService.ListResources",
    "ResourceService.ReleaseResource",
    "SessionService.BeginRequest",
    "SessionService.EndRequest",
    "SessionService.EndSession",
    "SessionService.EndSessions",
    "SessionService.ExplainSession",
    "SessionService.ExportSession returns (stream)",
    "SessionService.GetSession",
    "SessionService.ListSessions",
    "SessionService.OpenSession",
    "SessionService.PurgeSessions",
    "SessionService.ResetSession",
    "SessionService.TouchSession",
    "SessionService.UpdateSession",
    "SessionService.WatchSessionEvents returns (stream)",
    "SubscriptionService.AckEvents",
    "SubscriptionService.CreateSubscription",
    "SubscriptionService.DeleteSubscription",
    "SubscriptionService.GetSubscription",
    "SubscriptionService.ListSubscriptions",
    "SubscriptionService.SeekSubscription",
    "WorkerService.Work (stream) returns (stream)",
];

#[test]
fn rpcs_are_those_that_are_built() {
    let mut found = Vec::new();
    for file in files() {
        assert!(
            file.services().len() <= 1,
            "{} has two services",
            file.name()
        );
        for service in file.services() {
            for method in service.methods() {
                let client = if method.is_client_streaming() {
                    " (stream)"
                } else {
                    ""
                };
                let server = if method.is_server_streaming() {
                    " returns (stream)"
                } else {
                    ""
                };
                found.push(format!(
                    "{}.{}{client}{server}",
                    service.name(),
                    method.name()
                ));
            }
        }
    }
    found.sort();
    assert_eq!(found, RPCS);
}

#[test]
fn enum_values_carry_the_name_of_their_enum() {
    let enums: Vec<EnumDescriptor> = files()
        .flat_map(|file| file.enums().collect::<Vec<_>>())
        .collect();
    assert!(enums.len() > 10, "the walk finds the enums");
    for descriptor in enums {
        let prefix = format!("{}_", screaming_snake(descriptor.name()));
        for value in descriptor.values() {
            assert!(
                value.name().starts_with(&prefix),
                "{} lacks {prefix}",
                value.name()
            );
            let unspecified = value.name() == format!("{prefix}UNSPECIFIED");
            assert_eq!(unspecified, value.number() == 0, "{}", value.name());
        }
    }
}

#[test]
fn enums_are_top_level() {
    for message in messages() {
        assert_eq!(
            message.child_enums().count(),
            0,
            "{} nests an enum",
            message.name()
        );
    }
}

#[test]
fn names_tell_types() {
    for field in messages().flat_map(|message| message.fields().collect::<Vec<_>>()) {
        let name = field.name();
        let found = type_name(&field);
        let is_number = ["queue_id", "seq", "delivery_ids", "epoch", "revision"].contains(&name)
            || ["delivery_id", "_revision", "_epoch"]
                .iter()
                .any(|ending| name.ends_with(ending));
        if is_number {
            assert_eq!(found, "uint64", "{}", field.full_name());
        } else if name.ends_with("_id") {
            assert_eq!(found, "string", "{}", field.full_name());
        }
        let is_time =
            name.ends_with("_time") || ["time", "deadline", "suspended_until"].contains(&name);
        assert_eq!(
            is_time,
            found == "google.protobuf.Timestamp",
            "{}",
            field.full_name()
        );
        assert!(
            !["timeout", "ttl"].contains(&name),
            "{} does not say what it ends",
            field.full_name()
        );
    }
}

#[test]
fn lists_are_paged_alike() {
    let mut lists = 0;
    for request in messages().filter(is_list_request) {
        lists += 1;
        let response_name = request.full_name().replace("Request", "Response");
        let response = pool()
            .get_message_by_name(&response_name)
            .expect("a request has a response");
        assert_field(&request, "page_size", "uint32");
        assert_field(&request, "page_token", "string");
        assert_field(&response, "next_page_token", "string");
    }
    assert_eq!(lists, 6);
}

#[test]
fn control_mutations_can_be_repeated() {
    for rpc in [
        "OpenSession",
        "UpdateSession",
        "EndSession",
        "RequeueDeadLetters",
        "DiscardMessages",
        "DeclareResource",
    ] {
        assert_field(&message(&format!("{rpc}Request")), "request_id", "string");
        assert_field(&message(&format!("{rpc}Response")), "duplicate", "bool");
    }
    for rpc in ["EnqueueMessages", "EnqueueStream"] {
        assert_field(&message(&format!("{rpc}Request")), "request_id", "string");
    }
}

/// A snapshot is the session without what events must not show, under the same
/// numbers.
#[test]
fn snapshot_is_the_session_without_secrets() {
    let hidden = ["prompt", "volatile"];
    let mut expected = shape(&message("Session"));
    expected.retain(|_, field| !hidden.contains(&field.0.as_str()));
    let snapshot = message("SessionSnapshot");
    assert_eq!(shape(&snapshot), expected);
    let reserved: BTreeSet<String> = snapshot.reserved_names().map(str::to_owned).collect();
    assert_eq!(reserved, hidden.map(str::to_owned).into());
}

/// A stream frame of enqueue is the unary request and a name for it.
#[test]
fn stream_frames_are_the_unary_messages() {
    for (unary, frame, added) in [
        (
            "EnqueueMessagesRequest",
            "EnqueueStreamRequest",
            ["stream_id"].as_slice(),
        ),
        (
            "EnqueueMessagesResponse",
            "EnqueueStreamResponse",
            &["stream_id", "status"],
        ),
    ] {
        let types = |name: &str| -> BTreeSet<(String, String)> {
            shape(&message(name)).into_values().collect()
        };
        let mut expected = types(frame);
        expected.retain(|(name, _)| !added.contains(&name.as_str()));
        assert_eq!(types(unary), expected, "{frame}");
    }
}

#[test]
fn embedded_descriptors_are_complete() {
    let embedded = DescriptorPool::decode(sessiond_proto::FILE_DESCRIPTOR_SET)
        .expect("the descriptors bring their imports along");
    for name in proto_files() {
        assert!(embedded.get_file_by_name(&name).is_some(), "{name}");
    }
    for imported in [
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "google.protobuf.FieldMask",
    ] {
        assert!(
            embedded.get_message_by_name(imported).is_some(),
            "{imported}"
        );
    }
}

fn pool() -> DescriptorPool {
    compile().descriptor_pool()
}

fn files() -> impl Iterator<Item = FileDescriptor> {
    let files: Vec<FileDescriptor> = pool()
        .files()
        .filter(|file| file.package_name() == PACKAGE)
        .collect();
    assert_eq!(files.len(), proto_files().len());
    files.into_iter()
}

fn messages() -> impl Iterator<Item = MessageDescriptor> {
    files().flat_map(|file| file.messages().collect::<Vec<_>>())
}

fn message(name: &str) -> MessageDescriptor {
    pool()
        .get_message_by_name(&format!("{PACKAGE}.{name}"))
        .unwrap_or_else(|| panic!("the contract has no {name}"))
}

/// Whether a request lists what there may be any number of. Pools are those that are
/// configured, and there are at most 1,024 nodes: they come on one page.
fn is_list_request(message: &MessageDescriptor) -> bool {
    let name = message.name();
    let is_one_page = ["ListPoolsRequest", "ListNodesRequest"].contains(&name);
    name.starts_with("List") && name.ends_with("Request") && !is_one_page
}

fn assert_field(message: &MessageDescriptor, name: &str, expected: &str) {
    let field = message
        .get_field_by_name(name)
        .unwrap_or_else(|| panic!("{} has no {name}", message.name()));
    assert_eq!(type_name(&field), expected, "{}", field.full_name());
}

/// A message's fields by number: each one's name, and its type with everything
/// that changes what is on the wire.
fn shape(message: &MessageDescriptor) -> BTreeMap<u32, (String, String)> {
    message
        .fields()
        .map(|field| {
            let form = format!("{:?} {}", field.cardinality(), type_name(&field));
            (field.number(), (field.name().to_owned(), form))
        })
        .collect()
}

fn type_name(field: &FieldDescriptor) -> String {
    let kind = field.kind();
    if let Kind::Enum(descriptor) = kind {
        return descriptor.full_name().to_owned();
    }
    let Kind::Message(message) = kind else {
        return format!("{kind:?}").to_lowercase();
    };
    if !message.is_map_entry() {
        return message.full_name().to_owned();
    }
    let key = type_name(&message.map_entry_key_field());
    let value = type_name(&message.map_entry_value_field());
    format!("map<{key}, {value}>")
}

/// `EndReasonClass` as `END_REASON_CLASS`.
fn screaming_snake(name: &str) -> String {
    let mut result = String::new();
    for (index, letter) in name.char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            result.push('_');
        }
        result.push(letter.to_ascii_uppercase());
    }
    result
}
