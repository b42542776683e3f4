//! GetSession and TouchSession, and references.

use sessiond_core::ids::{SessionId, SessionKey, SessionRef};
use sessiond_core::session::Usage;
use sessiond_proto::v1 as pb;

use super::{by_id, by_key, check_spoiled, namespace};
use crate::wire::parse::{get, touch};

#[test]
fn a_reference_is_an_id_or_a_key() {
    let get = |reference| get::get(pb::GetSessionRequest { r#ref: reference });
    let id = SessionRef::Id(SessionId::parse("s").unwrap());
    let key = SessionRef::Key(SessionKey::parse("agent:main").unwrap());
    assert_eq!(get(by_id("s")).unwrap(), id);
    assert_eq!(get(by_key("agent:main")).unwrap(), key);
    check_spoiled(
        &pb::GetSessionRequest { r#ref: by_id("s") },
        get::get,
        &[("ref", "must name a session", |r| r.r#ref = None)],
    );
    let spoiled: [super::Spoiled<pb::GetSessionRequest>; 4] = [
        ("ref.session_id", "empty", |r| r.r#ref = by_id("")),
        ("ref.key", "empty", |r| r.r#ref = by_key("")),
        ("ref.key", "control", |r| r.r#ref = by_key("a\u{9f}")),
        ("ref.key", "got 257", |r| r.r#ref = by_key(&"x".repeat(257))),
    ];
    for way in spoiled {
        check_spoiled(
            &pb::GetSessionRequest { r#ref: by_id("s") },
            get::get,
            &[way],
        );
    }
}

#[test]
fn a_touch_adds_tokens() {
    let parse = |request| touch::touch(&namespace(), request);
    let valid = pb::TouchSessionRequest {
        r#ref: by_key("k"),
        usage_delta: Some(pb::Usage {
            input_tokens: u64::MAX,
            output_tokens: 2,
        }),
    };
    let touch = parse(valid.clone()).unwrap();
    let usage = Usage {
        input_tokens: u64::MAX,
        output_tokens: 2,
    };
    assert_eq!(touch.usage, usage);
    let none = pb::TouchSessionRequest {
        usage_delta: None,
        ..valid.clone()
    };
    assert_eq!(parse(none).unwrap().usage, Usage::default());
    check_spoiled(&valid, parse, &[("ref", "must name", |r| r.r#ref = None)]);
}
