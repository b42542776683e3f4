//! Plain HTTP on the same port: health for probes, and the check that keeps browsers' pages out.
//!
//! A page in a browser can reach a loopback port. So every HTTP/1 and every gRPC-Web request must name
//! a loopback host, and an Origin, if it has one, must be a loopback one too. In TLS the browser has seen that the
//! host is who it is called, so any may be named, and an Origin must be that one. gRPC proper needs HTTP/2
//! with prior knowledge, or content of a kind that no page can send to another site.

use std::task::{Context, Poll};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::future::{Either, Ready, ready};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{Request, Response, Version};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::health::Health;

/// `/healthz` and `/readyz`: 200 or 503, and one word.
pub fn probes(health: Health) -> Router {
    let live = health.clone();
    Router::new()
        .route("/healthz", get(move || answer(live.live(), "live")))
        .route("/readyz", get(move || answer(health.ready(), "ready")))
}

async fn answer(good: bool, word: &'static str) -> (StatusCode, String) {
    if good {
        (StatusCode::OK, format!("{word}\n"))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not {word}\n"))
    }
}

/// Whose pages are served. Adds the check to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Those of this machine.
    Local,
    /// Those of the host that was called, in TLS.
    OfTheHost,
}

/// A service behind the check.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    pages: Pages,
    inner: S,
}

impl<S> Layer<S> for Pages {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        let pages = *self;
        Guarded { pages, inner }
    }
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.pages.refusal(&request) {
            None => Either::Left(self.inner.call(request)),
            Some(why) => {
                let body = Body::new(http_body(why));
                let mut response = Response::new(body);
                *response.status_mut() = StatusCode::FORBIDDEN;
                Either::Right(ready(Ok(response)))
            }
        }
    }
}

fn http_body(text: &'static str) -> axum::body::Body {
    axum::body::Body::from(text)
}

impl Pages {
    /// Why a request is refused, if it is.
    fn refusal<B>(self, request: &Request<B>) -> Option<&'static str> {
        if !could_be_a_page(request) {
            return None;
        }
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().to_owned())
            .or_else(|| header(request, HOST.as_str()));
        let Some(host) = host else {
            return Some("refused: no Host is named\n");
        };
        if self == Self::Local && !is_local(&host) {
            return Some("refused: the Host is not this machine's loopback name\n");
        }
        // One that is no text is of no site that we know.
        let origin = request.headers().get(ORIGIN)?.to_str().unwrap_or_default();
        let site = origin.strip_prefix("https://").or_else(|| {
            origin
                .strip_prefix("http://")
                .filter(|_| self == Self::Local)
        });
        let ours = site.is_some_and(|site| match self {
            Self::Local => is_local(site),
            Self::OfTheHost => site.eq_ignore_ascii_case(&host),
        });
        (!ours).then_some("refused: the Origin is another site\n")
    }
}

fn could_be_a_page<B>(request: &Request<B>) -> bool {
    let web = header(request, CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/grpc-web"));
    web || request.version() < Version::HTTP_2
}

fn header<B>(request: &Request<B>, name: &str) -> Option<String> {
    let value = request.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Whether `host`, with or without a port, names this machine's loopback.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        for (name, value) in headers {
            request.headers_mut().insert(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        request
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let refused =
            |headers: &[(&str, &str)]| Pages::Local.refusal(&request(Version::HTTP_11, headers));
        assert!(refused(&[("host", "127.0.0.1:7377")]).is_none());
        assert!(refused(&[("host", "localhost")]).is_none());
        assert!(refused(&[("host", "[::1]:7377"), ("origin", "http://localhost:8080")]).is_none());
        assert!(refused(&[]).is_some(), "no Host");
        assert!(
            refused(&[("host", "evil.example")]).is_some(),
            "rebound name"
        );
        assert!(refused(&[("host", "127.0.0.1.evil.example")]).is_some());
        assert!(refused(&[("host", "localhost"), ("origin", "http://evil.example")]).is_some());
        assert!(refused(&[("host", "localhost"), ("origin", "null")]).is_some());
    }

    #[test]
    fn in_tls_a_page_must_be_of_the_host_that_it_calls() {
        let refused = |headers: &[(&str, &str)]| {
            Pages::OfTheHost.refusal(&request(Version::HTTP_11, headers))
        };
        let host = ("host", "sessiond.example:7377");
        assert!(refused(&[host]).is_none());
        assert!(refused(&[]).is_some(), "no Host");
        assert!(refused(&[host, ("origin", "https://Sessiond.example:7377")]).is_none());
        for other in [
            "http://sessiond.example:7377",
            "https://sessiond.example",
            "https://evil.example",
            "https://localhost",
            "null",
        ] {
            assert!(refused(&[host, ("origin", other)]).is_some(), "{other}");
        }
    }

    #[test]
    fn grpc_is_not_a_page_but_grpc_web_is() {
        let refused = |request| Pages::Local.refusal(&request);
        assert!(refused(request(Version::HTTP_2, &[("host", "elsewhere")])).is_none());
        let web = [("content-type", "application/grpc-web+proto")];
        assert!(refused(request(Version::HTTP_2, &web)).is_some());
    }
}
