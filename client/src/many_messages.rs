//! Calls that look after many messages, named one by one or chosen by what they
//! are: their pages, and what their builders have in common.
//!
//! Keeps every page a call with a request id of its own, so that a repeat of one
//! page is not taken for another one. It sends nothing.

/// How many messages one call may name.
const NAMED_MAX: usize = 256;

/// The calls that reach all of the messages.
#[derive(Debug)]
pub(crate) struct Pages<N> {
    /// Names that no call had yet; none when messages are chosen by what they are.
    left: Vec<N>,
    first_id: String,
    number: u64,
}

// === impl Pages ===

impl<N> Pages<N> {
    /// The calls for these names, the first of which has this request id.
    pub(crate) fn new(names: &mut Vec<N>, request_id: &str) -> Self {
        Self {
            left: std::mem::take(names),
            first_id: request_id.to_owned(),
            number: 1,
        }
    }

    /// The names for the next call.
    pub(crate) fn names(&mut self) -> Vec<N> {
        let count = self.left.len().min(NAMED_MAX);
        self.left.drain(..count).collect()
    }

    /// Takes back the last `count` names of a call, which it did not reach.
    pub(crate) fn not_reached(&mut self, names: &mut Vec<N>, count: u64) {
        let left = usize::try_from(count).unwrap_or(usize::MAX);
        let done = names.len().saturating_sub(left);
        drop(self.left.splice(..0, names.drain(done..)));
    }

    /// The request id of the call after one that answered with this token, empty
    /// for calls that have none; `None` if that was the last call.
    pub(crate) fn next_id(&mut self, next_page_token: &str) -> Option<String> {
        if next_page_token.is_empty() && self.left.is_empty() {
            return None;
        }
        self.number += 1;
        Some(if self.first_id.is_empty() {
            String::new()
        } else {
            format!("{}/{}", self.first_id, self.number)
        })
    }
}

/// Writes the methods of a builder about its pages.
macro_rules! page_setters {
    () => {
        /// Changes nothing, and answers what would be done.
        pub fn validate_only(mut self) -> Self {
            self.request.validate_only = true;
            self
        }

        /// Makes a repeat harmless beyond the repeats of the SDK. Each page after
        /// the first has the id with `/` and its number.
        pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
            self.request.request_id = request_id.into();
            self
        }

        /// Sets how many messages one call looks after at most. Default: 256. For
        /// messages that are not named one by one.
        pub fn page_size(mut self, messages: u32) -> Self {
            self.request.page_size = messages;
            self
        }
    };
}

pub(crate) use page_setters;
