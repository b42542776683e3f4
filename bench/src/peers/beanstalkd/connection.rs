//! beanstalkd's text protocol over one connection: put, reserve, delete and what it tells of itself.
//!
//! Invariant: one request is under way at a time, each goes out in a single write, and any answer but
//! the one that means success is an error with the server's word. What it deliberately does not do:
//! priorities, delays, touch, release.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::peers::ANSWER_WITHIN;

/// How long a claimed message stays claimed, in seconds: longer than any measurement.
const LEASE_SECONDS: u32 = 600;

/// The longest body that is taken from the server: what it is told to accept.
const BODY_BYTES_MAX: usize = super::JOB_BYTES_MAX;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    line: String,
    body: Vec<u8>,
    request: Vec<u8>,
}

impl Connection {
    /// Connects to a server on this machine.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let stream = stream.context("cannot connect to beanstalkd")?;
        stream
            .set_nodelay(true)
            .context("cannot set up a connection")?;
        let (reader, writer) = stream.into_split();
        Ok(Self {
            reader: BufReader::new(reader),
            writer,
            line: String::new(),
            body: Vec::new(),
            request: Vec::new(),
        })
    }

    /// Puts into this queue from here on.
    pub(crate) async fn put_into(&mut self, queue: usize) -> Result<()> {
        let answer = self.ask(&format!("use q{queue}\r\n")).await?;
        expect_word(answer, "USING").map(drop)
    }

    /// Reserves from these queues from here on, and from the default one, which stays empty.
    pub(crate) async fn watch(&mut self, queues: impl Iterator<Item = usize>) -> Result<()> {
        for queue in queues {
            let answer = self.ask(&format!("watch q{queue}\r\n")).await?;
            expect_word(answer, "WATCHING")?;
        }
        Ok(())
    }

    /// Makes one message durable.
    pub(crate) async fn put(&mut self, payload: &[u8]) -> Result<()> {
        let head = format!("put 0 0 {LEASE_SECONDS} {}\r\n", payload.len());
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(payload);
        self.request.extend_from_slice(b"\r\n");
        self.send().await?;
        expect_word(self.answer().await?, "INSERTED").map(drop)
    }

    /// Claims one message if there is one, and returns its number.
    pub(crate) async fn reserve_now(&mut self) -> Result<Option<u64>> {
        self.request.clear();
        self.request
            .extend_from_slice(b"reserve-with-timeout 0\r\n");
        self.send().await?;
        self.reserved_or_none().await
    }

    async fn reserved_or_none(&mut self) -> Result<Option<u64>> {
        let answer = self.answer().await?;
        if answer == "TIMED_OUT" {
            return Ok(None);
        }
        let (job, bytes) = reserved(answer)?;
        self.skip_body(bytes).await?;
        Ok(Some(job))
    }

    /// Settles a claimed message and claims the next if there is one, in one round trip.
    pub(crate) async fn delete_and_reserve(&mut self, job: u64) -> Result<Option<u64>> {
        let answer = self
            .ask(&format!("delete {job}\r\nreserve-with-timeout 0\r\n"))
            .await?;
        expect_word(answer, "DELETED")?;
        self.reserved_or_none().await
    }

    /// Claims one message, waiting for it.
    pub(crate) async fn reserve(&mut self) -> Result<u64> {
        let (job, bytes) = reserved(self.ask("reserve\r\n").await?)?;
        self.skip_body(bytes).await?;
        Ok(job)
    }

    /// Settles a claimed message.
    pub(crate) async fn delete(&mut self, job: u64) -> Result<()> {
        let answer = self.ask(&format!("delete {job}\r\n")).await?;
        expect_word(answer, "DELETED").map(drop)
    }

    /// One of the values that the server tells of itself.
    pub(crate) async fn stat(&mut self, name: &str) -> Result<String> {
        let answer = self.ask("stats\r\n").await?;
        let bytes = number(expect_word(answer, "OK")?)?;
        self.skip_body(bytes).await?;
        let text = String::from_utf8_lossy(&self.body);
        let mut pairs = text.lines().filter_map(|line| line.split_once(": "));
        let value = pairs.find(|(key, _)| *key == name);
        let (_, value) = value.with_context(|| format!("beanstalkd does not tell its `{name}`"))?;
        Ok(value.trim_matches('"').to_owned())
    }

    async fn ask(&mut self, request: &str) -> Result<&str> {
        self.request.clear();
        self.request.extend_from_slice(request.as_bytes());
        self.send().await?;
        self.answer().await
    }

    async fn send(&mut self) -> Result<()> {
        let sent = self.writer.write_all(&self.request).await;
        sent.context("beanstalkd takes no request")
    }

    async fn answer(&mut self) -> Result<&str> {
        self.line.clear();
        let read = self.reader.read_line(&mut self.line);
        let read = tokio::time::timeout(ANSWER_WITHIN, read).await;
        let bytes = read.context("beanstalkd does not answer")?;
        if bytes.context("beanstalkd's answer cannot be read")? == 0 {
            bail!("beanstalkd closed the connection");
        }
        Ok(self.line.trim_end())
    }

    /// Reads a body and the line end behind it; the last body stays until the next.
    async fn skip_body(&mut self, bytes: u64) -> Result<()> {
        let bytes = usize::try_from(bytes).context("beanstalkd sends a body without bounds")?;
        if bytes > BODY_BYTES_MAX {
            bail!("beanstalkd sends a body of {bytes} bytes");
        }
        self.body.resize(bytes + b"\r\n".len(), 0);
        let read = self.reader.read_exact(&mut self.body).await;
        read.context("beanstalkd's body cannot be read")?;
        Ok(())
    }
}

/// What follows `word` in the answer.
fn expect_word<'a>(answer: &'a str, word: &str) -> Result<&'a str> {
    match answer.strip_prefix(word) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => Ok(rest.trim_start()),
        _ => bail!("beanstalkd answers `{answer}` where `{word}` is due"),
    }
}

/// The number and the size of a claimed message.
fn reserved(answer: &str) -> Result<(u64, u64)> {
    let rest = expect_word(answer, "RESERVED")?;
    let (job, bytes) = rest
        .split_once(' ')
        .with_context(|| format!("beanstalkd answers `{answer}`"))?;
    Ok((number(job)?, number(bytes)?))
}

fn number(text: &str) -> Result<u64> {
    let number = text.parse();
    number.with_context(|| format!("beanstalkd says `{text}` where a number is due"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_that_means_success_is_taken() {
        assert_eq!(expect_word("INSERTED 7", "INSERTED").unwrap(), "7");
        assert_eq!(expect_word("DELETED", "DELETED").unwrap(), "");
        for bad in ["BURIED 7", "INSERTEDLY", "", "OUT_OF_MEMORY"] {
            assert!(expect_word(bad, "INSERTED").is_err(), "{bad}");
        }
        assert_eq!(reserved("RESERVED 12 2048").unwrap(), (12, 2_048));
        for bad in [
            "RESERVED",
            "RESERVED 1",
            "RESERVED x 1",
            "DEADLINE_SOON",
            "RESERVED 1 -1",
        ] {
            assert!(reserved(bad).is_err(), "{bad}");
        }
    }
}
