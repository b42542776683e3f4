//! Looks at how calls are answered: counts it, and has the audit tell what was refused.
//!
//! It sees the beginning of an answer, of which a refusal has no more. Invariant: a call that is not refused costs a look at
//! its name and a count; nothing is decoded, waited for or allocated but the namespace and name of an audited call. What this
//! deliberately does not do: change anything.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};

use crate::audit;
use crate::metrics::calls::{CallNo, Calls};

/// Has answers looked at.
#[derive(Clone, Debug)]
pub(crate) struct Answers(pub(crate) Calls);

/// A service whose answers are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Answered<S> {
    inner: S,
    calls: Calls,
}

/// A call under way.
#[derive(Debug)]
struct Call {
    number: CallNo,
    calls: Calls,
    /// Of an audited call.
    asked: Option<audit::Asked>,
}

pin_project! {
    /// The answer to a call, to be looked at.
    #[derive(Debug)]
    pub(crate) struct Answer<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl Call {
    fn answered<R>(&self, response: &Response<R>) {
        let Some(refusal) = Status::from_header_map(response.headers()) else {
            return self.calls.count(self.number, Code::Ok);
        };
        self.calls.count(self.number, refusal.code());
        let details = refusal.get_error_details();
        if let Some(info) = details.error_info() {
            self.calls.count_reason(&info.reason);
        }
        if let Some(rpc) = self.calls.audited(self.number) {
            audit::refused(rpc, self.asked.as_ref(), &details);
        }
    }
}

impl<S> Layer<S> for Answers {
    type Service = Answered<S>;

    fn layer(&self, inner: S) -> Answered<S> {
        Answered {
            inner,
            calls: self.0.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for Answered<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let number = self.calls.find(request.uri().path());
        let call = number.map(|number| Call {
            number,
            calls: self.calls.clone(),
            asked: self
                .calls
                .audited(number)
                .map(|_| audit::Asked::by(&request)),
        });
        Answer {
            inner: self.inner.call(request),
            call,
        }
    }
}

impl<F, R, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        if let (Some(call), Ok(response)) = (this.call.take(), &answer) {
            call.answered(response);
        }
        Poll::Ready(answer)
    }
}
