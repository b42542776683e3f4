//! How calls are answered: counted for each call by the code of its answer, and refusals by their reason.
//!
//! Invariant: only calls that there are and reasons that there are have a count, so that nobody makes any by asking for what
//! there is not. What this deliberately does not do: look behind the beginning of an answer: a stream that is refused later
//! counts as answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use sessiond_proto::reason::Reason;
use tonic::Code;

/// Every code, by its number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How calls are answered.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Arc<Counts>);

/// A call of the contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallNo(usize);

#[derive(Debug)]
struct Counts {
    /// By the path of a call, in order: its answers by their code.
    calls: Vec<(String, [AtomicU64; CODES.len()])>,
    /// By reason.
    refusals: BTreeMap<&'static str, AtomicU64>,
}

impl Calls {
    /// Of the calls of the contract, none of which was made yet.
    pub(crate) fn new() -> Self {
        let contract = FileDescriptorSet::decode(sessiond_proto::FILE_DESCRIPTOR_SET)
            .expect("the contract is what the build made of it");
        let mut calls = Vec::new();
        for file in &contract.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    calls.push((path, Default::default()));
                }
            }
        }
        calls.sort_by(|(one, _), (other, _)| one.cmp(other));
        let reasons = Reason::ALL.iter();
        let refusals = reasons.map(|reason| (reason.as_str(), AtomicU64::new(0)));
        Self(Arc::new(Counts {
            calls,
            refusals: refusals.collect(),
        }))
    }

    /// Each call and code with its count; a code that never came is left out, but for OK.
    pub(super) fn answered(&self) -> Vec<(&str, &'static str, u64)> {
        let mut answered = Vec::new();
        for (path, codes) in &self.0.calls {
            let name = path.strip_prefix("/sessiond.v1.").unwrap_or(path);
            for (code, count) in CODES.iter().zip(codes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 || *code == "OK" {
                    answered.push((name, *code, count));
                }
            }
        }
        answered
    }

    /// Each reason with its count.
    pub(super) fn refused(&self) -> Vec<(&'static str, u64)> {
        let refusals = self.0.refusals.iter();
        refusals
            .map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
            .collect()
    }

    /// The call that has this path, if there is one.
    pub(crate) fn find(&self, path: &str) -> Option<CallNo> {
        let calls = &self.0.calls;
        let found = calls.binary_search_by(|(of, _)| of.as_str().cmp(path));
        found.ok().map(CallNo)
    }

    /// Counts an answer.
    pub(crate) fn count(&self, CallNo(call): CallNo, code: Code) {
        let answers = self.0.calls.get(call);
        if let Some(count) = answers.and_then(|(_, codes)| codes.get(code as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a refusal.
    pub(crate) fn count_reason(&self, reason: &str) {
        if let Some(count) = self.0.refusals.get(reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_by_their_numbers() {
        for (number, name) in (0..).zip(CODES) {
            let debug = format!("{:?}", Code::from_i32(number)).to_uppercase();
            assert_eq!(name.replace('_', ""), debug);
        }
    }
}
