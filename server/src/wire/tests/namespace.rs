//! The namespace of a call.

use std::collections::BTreeSet;

use sessiond_core::ids::Namespace;
use sessiond_proto::reason::Reason;
use tonic::Code;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::wire::namespace::of_call;

fn configured() -> BTreeSet<Namespace> {
    ["default", "team-ä"]
        .into_iter()
        .map(|name| Namespace::parse(name).unwrap())
        .collect()
}

fn metadata(values: &[&[u8]]) -> MetadataMap {
    let mut map = MetadataMap::new();
    for value in values {
        let value = MetadataValue::try_from(*value).unwrap();
        map.append("sessiond-namespace", value);
    }
    map
}

#[test]
fn a_call_is_in_the_namespace_it_names_or_the_default() {
    for (values, expected) in [
        (&[][..], "default"),
        (&[&b"default"[..]][..], "default"),
        (&["team-ä".as_bytes()][..], "team-ä"),
    ] {
        let namespace = of_call(&metadata(values), &configured()).unwrap();
        assert_eq!(namespace.as_str(), expected);
    }
}

#[test]
fn a_bad_namespace_is_refused() {
    let long = "x".repeat(257);
    for (values, reason, code, part) in [
        (
            &[&b"other"[..]][..],
            Reason::NamespaceNotFound,
            Code::NotFound,
            "`other`",
        ),
        (
            &[&b""[..]][..],
            Reason::FieldInvalid,
            Code::InvalidArgument,
            "empty",
        ),
        (
            &[long.as_bytes()][..],
            Reason::FieldInvalid,
            Code::InvalidArgument,
            "256",
        ),
        (
            &[&b"\xff"[..]][..],
            Reason::FieldInvalid,
            Code::InvalidArgument,
            "UTF-8",
        ),
        (
            &["a\u{9f}".as_bytes()][..],
            Reason::FieldInvalid,
            Code::InvalidArgument,
            "control",
        ),
        (
            &[&b"default"[..], &b"default"[..]][..],
            Reason::FieldInvalid,
            Code::InvalidArgument,
            "twice",
        ),
    ] {
        let refusal = of_call(&metadata(values), &configured()).unwrap_err();
        super::assert_told(refusal.clone(), reason, code);
        let status = tonic::Status::from(refusal);
        assert!(status.message().contains(part), "{}", status.message());
    }
}

#[test]
fn no_configured_default_is_told_too() {
    let none = BTreeSet::new();
    let refusal = of_call(&MetadataMap::new(), &none).unwrap_err();
    super::assert_told(refusal, Reason::NamespaceNotFound, Code::NotFound);
}
