//! Tokens: what they say comes back, and nothing else is taken for one.

use sessiond_core::ids::{InstanceId, QueueId, ResourceNo, Revision, Seq, SessionNo, WorkerName};
use sessiond_core::rows::MessageMark;

use crate::wire::token::{Binding, ListKind, PagePosition, ResumeToken, TokenError};

const MARK: MessageMark = MessageMark {
    queue: QueueId(9),
    after: Seq(8),
    until: Seq(u64::MAX),
};

fn of_resource(after: u64) -> PagePosition {
    PagePosition::Resources {
        session: SessionNo(5),
        after: ResourceNo(after),
        until: SessionNo(6),
    }
}

fn positions() -> [(ListKind, PagePosition); 10] {
    [
        (
            ListKind::Sessions,
            PagePosition::Sessions {
                after: SessionNo(u64::MAX),
                revision: Revision(1),
            },
        ),
        (
            ListKind::Messages,
            PagePosition::Messages {
                queue: QueueId(1),
                after: Seq(0),
            },
        ),
        (
            ListKind::DeadLetters,
            PagePosition::DeadLetters {
                queue: QueueId(u64::MAX),
                after: Seq(3),
            },
        ),
        (ListKind::Requeues, PagePosition::Requeues(MARK)),
        (ListKind::Discards, PagePosition::Discards(MARK)),
        (
            ListKind::Ends,
            PagePosition::Ends {
                after: SessionNo(7),
                until: SessionNo(u64::MAX),
            },
        ),
        (
            ListKind::Purges,
            PagePosition::Ends {
                after: SessionNo(0),
                until: SessionNo(8),
            },
        ),
        (ListKind::Resources, of_resource(3)),
        (ListKind::Releases, of_resource(u64::MAX)),
        (
            ListKind::Workers,
            PagePosition::Workers {
                worker: WorkerName::parse("x".repeat(256)).unwrap(),
                instance: InstanceId::parse("y".repeat(256)).unwrap(),
            },
        ),
    ]
}

#[test]
fn a_page_token_is_good_for_its_list_only() {
    for (kind, position) in positions() {
        let binding = Binding::new(kind, "log", &[b"a", b"bc"]);
        let token = binding.token(&position);
        assert_eq!(binding.position(&token), Ok(position));
        let elsewhere = Binding::new(kind, "gol", &[b"a", b"bc"]);
        assert_eq!(elsewhere.position(&token), Err(TokenError::OtherLog));
        // Parts are told apart even when they spell the same text.
        let shifted = Binding::new(kind, "log", &[b"ab", b"c"]);
        assert_eq!(shifted.position(&token), Err(TokenError::OtherList));
        for (other, _) in positions() {
            if other != kind {
                let other = Binding::new(other, "log", &[b"a", b"bc"]);
                assert_eq!(other.position(&token), Err(TokenError::OtherList));
            }
        }
        let resume = ResumeToken::new("log", Revision(1)).encode();
        assert_eq!(binding.position(&resume), Err(TokenError::OtherList));
        assert_eq!(ResumeToken::decode(&token), None);
    }
}

#[test]
fn a_resume_token_is_good_for_its_log_only() {
    for revision in [0, 1, u64::MAX] {
        let text = ResumeToken::new("log", Revision(revision)).encode();
        assert_eq!(text.len(), 52);
        let token = ResumeToken::decode(&text).unwrap();
        assert_eq!(token.revision_in("log"), Some(Revision(revision)));
        assert_eq!(token.revision_in("log2"), None);
    }
}

#[test]
fn every_damage_is_noticed() {
    let binding = Binding::new(ListKind::Sessions, "log", &[]);
    let page = binding.token(&positions()[0].1);
    let resume = ResumeToken::new("log", Revision(77)).encode();
    for token in [page, resume] {
        let taken = |damaged: &str| {
            binding.position(damaged) != Err(TokenError::Malformed)
                || ResumeToken::decode(damaged).is_some()
        };
        assert!(taken(&token));
        for place in 0..token.len() {
            for replacement in ["0", "f", "A", "g", " "] {
                let mut damaged = token.clone();
                damaged.replace_range(place..=place, replacement);
                assert!(damaged == token || !taken(&damaged), "{damaged}");
            }
            assert!(!taken(&token[..place]));
        }
        assert!(!taken(&format!("{token}00")));
        assert!(!taken(&token.to_uppercase()));
        assert!(!taken(&format!(" {token}")));
    }
    for text in [
        "",
        "0",
        "zz",
        "00",
        "null",
        &"00".repeat(5_000),
        "\u{1F4A5}",
    ] {
        assert_eq!(binding.position(text), Err(TokenError::Malformed));
        assert_eq!(ResumeToken::decode(text), None);
    }
}
