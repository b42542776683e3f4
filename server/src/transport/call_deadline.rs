//! The time that a caller gives a call (`grpc-timeout`): what takes longer until its answer begins is answered
//! DEADLINE_EXCEEDED.
//!
//! A call that asked the engine is decided all the same, as when its caller hangs up. Invariant: a call without a time, or with
//! one that is not one, has no end but its own. What this deliberately does not do: end an answer that has begun.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// How gRPC names the time.
const HEADER: &str = "grpc-timeout";

/// gRPC allows so many digits.
const DIGITS_MAX: usize = 8;

/// Ends calls whose time is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallDeadlines;

/// A service whose calls have an end.
#[derive(Clone, Debug)]
pub(super) struct Timed<S> {
    inner: S,
}

pin_project! {
    /// The answer to a call, or that there was no time for one.
    #[derive(Debug)]
    pub(super) struct Answer<F> {
        #[pin]
        inner: F,
        #[pin]
        end: Option<Sleep>,
    }
}

impl<S> Layer<S> for CallDeadlines {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner }
    }
}

impl<S, B> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let end = given(request.headers()).map(tokio::time::sleep);
        Answer {
            inner: self.inner.call(request),
            end,
        }
    }
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Poll::Ready(answer) = this.inner.poll(cx) {
            return Poll::Ready(answer);
        }
        let is_over = this.end.as_pin_mut().map(|end| end.poll(cx).is_ready());
        if is_over != Some(true) {
            return Poll::Pending;
        }
        let status = Status::deadline_exceeded("the time that the caller gave the call is over");
        Poll::Ready(Ok(status.into_http()))
    }
}

/// The time that a call is given, if that can be read.
fn given(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = !digits.is_empty()
        && digits.len() <= DIGITS_MAX
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u64 = if is_number {
        digits.parse().ok()?
    } else {
        return None;
    };
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::ServiceExt as _;

    use super::*;

    fn read(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().unwrap());
        given(&headers)
    }

    #[test]
    fn every_unit_is_read_and_what_is_none_is_no_time() {
        assert_eq!(read("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(read("20m"), Some(Duration::from_millis(20)));
        assert_eq!(read("20u"), Some(Duration::from_micros(20)));
        assert_eq!(read("20n"), Some(Duration::from_nanos(20)));
        for none in [
            "",
            "S",
            "1",
            "1s",
            "+1S",
            "-1S",
            "1.5S",
            "123456789S",
            "1 S",
            "1SS",
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }

    /// The code of the answer of a service that takes a second, to a call that is given so much.
    async fn code(time: Option<&str>) -> tonic::Code {
        let slow = tower::service_fn(|_: Request<()>| async {
            let never = std::future::pending::<()>();
            drop(tokio::time::timeout(Duration::from_secs(1), never).await);
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let mut request = Request::new(());
        if let Some(time) = time {
            request.headers_mut().insert(HEADER, time.parse().unwrap());
        }
        let answer = CallDeadlines.layer(slow).oneshot(request).await.unwrap();
        Status::from_header_map(answer.headers()).map_or(tonic::Code::Ok, |status| status.code())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_takes_longer_is_told_so() {
        assert_eq!(code(Some("999m")).await, tonic::Code::DeadlineExceeded);
        assert_eq!(code(Some("1001m")).await, tonic::Code::Ok);
        assert_eq!(code(None).await, tonic::Code::Ok);
    }
}
