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

use crate::audit;

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
struct Call {
    /// As requests name it: `/PACKAGE.SERVICE/METHOD`.
    path: String,
    /// Its answers by their code.
    answers: [AtomicU64; CODES.len()],
    /// Whether its refusals are told.
    is_audited: bool,
}

#[derive(Debug)]
struct Counts {
    /// By path, in order.
    calls: Vec<Call>,
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
                    calls.push(Call {
                        is_audited: audit::AUDITED.contains(&path.as_str()),
                        answers: Default::default(),
                        path,
                    });
                }
            }
        }
        calls.sort_by(|one, other| one.path.cmp(&other.path));
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
        for call in &self.0.calls {
            let name = call.path.strip_prefix("/sessiond.v1.");
            let name = name.unwrap_or(&call.path);
            for (code, count) in CODES.iter().zip(&call.answers) {
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
        let found = calls.binary_search_by(|call| call.path.as_str().cmp(path));
        found.ok().map(CallNo)
    }

    /// The path of a call whose refusals are told.
    pub(crate) fn audited(&self, CallNo(call): CallNo) -> Option<&str> {
        let call = self.0.calls.get(call)?;
        call.is_audited.then_some(&call.path)
    }

    /// Counts an answer.
    pub(crate) fn count(&self, CallNo(call): CallNo, code: Code) {
        let call = self.0.calls.get(call);
        if let Some(count) = call.and_then(|call| call.answers.get(code as usize)) {
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

    /// A name that is spelled wrong would have its refusals told to nobody.
    #[test]
    fn every_audited_call_is_one_of_the_contract() {
        let calls = Calls::new();
        for path in audit::AUDITED {
            let number = calls.find(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(calls.audited(number), Some(path));
        }
        let told = calls.0.calls.iter().filter(|call| call.is_audited);
        assert_eq!(told.count(), audit::AUDITED.len());
    }

    #[test]
    fn codes_are_named_by_their_numbers() {
        for (number, name) in (0..).zip(CODES) {
            let debug = format!("{:?}", Code::from_i32(number)).to_uppercase();
            assert_eq!(name.replace('_', ""), debug);
        }
    }
}
