//! The first bytes of a connection: which HTTP it speaks.
//!
//! HTTP/2 begins with a fixed preface, everything else is taken for HTTP/1. Invariant: no byte is lost; what was read is read
//! again by whoever serves the connection. What this deliberately does not do: wait for longer than its caller does, or judge
//! what follows.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What every HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Http {
    One,
    Two,
}

pin_project! {
    /// A connection whose first bytes were read.
    #[derive(Debug)]
    pub(super) struct Opened<S> {
        first: Bytes,
        #[pin]
        socket: S,
    }
}

/// Reads until it is known which HTTP is spoken; `None` when the peer closes before.
pub(super) async fn open<S>(mut socket: S) -> io::Result<Option<(Http, Opened<S>)>>
where
    S: AsyncRead + Unpin,
{
    let mut first = [0; PREFACE.len()];
    let mut read = 0;
    while read < first.len() && PREFACE.starts_with(&first[..read]) {
        let more = socket.read(&mut first[read..]).await?;
        if more == 0 {
            return Ok(None);
        }
        read += more;
    }
    let http = if first == *PREFACE {
        Http::Two
    } else {
        Http::One
    };
    let first = Bytes::copy_from_slice(&first[..read]);
    Ok(Some((http, Opened { first, socket })))
}

impl<S: AsyncRead> AsyncRead for Opened<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if this.first.is_empty() {
            return this.socket.poll_read(cx, into);
        }
        let taken = this.first.len().min(into.remaining());
        into.put_slice(&this.first[..taken]);
        this.first.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite> AsyncWrite for Opened<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().socket.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().socket.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().socket.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().socket.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// What is made of a connection on which this is said in pieces of so many bytes, and what is read from it then.
    async fn said(words: &[u8], piece: usize) -> Option<(Http, Vec<u8>)> {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let words = words.to_vec();
        let say = async move {
            for piece in words.chunks(piece) {
                // Whoever has heard enough may have gone.
                drop(theirs.write_all(piece).await);
            }
        };
        let hear = async {
            let (http, mut opened) = open(ours).await.expect("a pipe works")?;
            let mut heard = Vec::new();
            opened.read_to_end(&mut heard).await.expect("a pipe works");
            Some((http, heard))
        };
        tokio::join!(say, hear).1
    }

    #[tokio::test]
    async fn nothing_that_was_read_is_lost() {
        for piece in [1, 3, 24, 100] {
            let two = [&PREFACE[..], b"frames"].concat();
            assert_eq!(said(&two, piece).await, Some((Http::Two, two)));
            for one in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/1.1\r\n", b"\0"] {
                assert_eq!(said(one, piece).await, Some((Http::One, one.to_vec())));
            }
        }
    }

    #[tokio::test]
    async fn whoever_leaves_before_has_said_nothing() {
        assert_eq!(said(b"", 1).await, None);
        assert_eq!(said(&PREFACE[..23], 24).await, None);
    }
}
