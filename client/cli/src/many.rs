//! What the commands have in common that do something to many things: results page by page, and how it came out.
//!
//! Invariant: every result is printed, and a refused one makes the command fail all the same. What this deliberately does
//! not do: call the server.

use sessiond_client::{Error, pb};

use crate::failure::Failure;
use crate::output::Output;
use crate::output::json::Described;
use crate::output::rows::Row;

/// Results that are printed as they come, or gathered for one answer.
pub(crate) struct Many<'a, R> {
    output: &'a mut Output,
    gathered: Vec<R>,
    asked: usize,
    refused: usize,
    first: Option<pb::RefusalStatus>,
}

impl<'a, R: Row> Many<'a, R> {
    pub(crate) fn new(output: &'a mut Output) -> Self {
        Self {
            output,
            gathered: Vec::new(),
            asked: 0,
            refused: 0,
            first: None,
        }
    }

    /// Takes the results of a page; `error` says why one was refused.
    pub(crate) fn page(
        &mut self,
        results: Vec<R>,
        error: impl Fn(&R) -> Option<&pb::RefusalStatus>,
    ) -> Result<(), Failure> {
        self.asked += results.len();
        for error in results.iter().filter_map(error) {
            self.refused += 1;
            self.first.get_or_insert_with(|| error.clone());
        }
        if self.output.is_one_by_one() {
            return results
                .iter()
                .try_for_each(|result| self.output.thing(result));
        }
        self.gathered.extend(results);
        Ok(())
    }

    /// Prints what was gathered as one answer, and fails when something was refused.
    pub(crate) fn finish<A: Described>(
        self,
        answer: impl FnOnce(Vec<R>) -> A,
        results: impl FnOnce(&A) -> &[R],
    ) -> Result<(), Failure> {
        if !self.output.is_one_by_one() {
            let whole = answer(self.gathered);
            self.output.answer(&whole, results(&whole))?;
        }
        match self.first {
            None => Ok(()),
            Some(first) => Err(Failure::Some {
                failed: self.refused,
                asked: self.asked,
                first: Box::new(Error::from(&first)),
            }),
        }
    }
}
