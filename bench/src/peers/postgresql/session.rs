//! One connection to PostgreSQL with its statements prepared, and the pool that shares some.
//!
//! Invariant: each statement is a transaction of its own, synced when it is answered, and one that
//! changes another number of rows than it should is an error. What it deliberately does not do: send
//! statements ahead of answers, which no user of a queue table can.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};

use super::server::USER;
use crate::peers::ANSWER_WITHIN;

/// The table and its index. Payloads are random, so that trying to compress them is in vain; rows of a
/// few KiB stay whole.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE messages (
        id bigserial PRIMARY KEY,
        queue text NOT NULL,
        payload bytea NOT NULL,
        state smallint NOT NULL DEFAULT 0,
        lease timestamptz
    ) WITH (toast_tuple_target = 8160);
    ALTER TABLE messages ALTER COLUMN payload SET STORAGE EXTERNAL;
    CREATE INDEX messages_ready ON messages (queue, id) WHERE state = 0;
";

const ENQUEUE: &str = "INSERT INTO messages (queue, payload) VALUES ($1, $2)";

const ENQUEUE_AND_NOTIFY: &str = "
    WITH message AS (INSERT INTO messages (queue, payload) VALUES ($1, $2) RETURNING id)
    SELECT pg_notify('ready', '') FROM message";

const CLAIM: &str = "
    UPDATE messages SET state = 1, lease = now() + interval '10 minutes'
    WHERE id = (
        SELECT id FROM messages WHERE queue = $1 AND state = 0
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, payload";

/// Settles a message and claims the next in one transaction, so that both cost one sync.
const SETTLE_AND_CLAIM: &str = "
    WITH settled AS (DELETE FROM messages WHERE id = $2 RETURNING id),
    claimed AS (
        UPDATE messages SET state = 1, lease = now() + interval '10 minutes'
        WHERE id = (
            SELECT id FROM messages WHERE queue = $1 AND state = 0
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
        )
        RETURNING id, payload
    )
    SELECT (SELECT count(*) FROM settled), claimed.id, claimed.payload
    FROM (SELECT) AS one LEFT JOIN claimed ON true";

const SETTLE: &str = "DELETE FROM messages WHERE id = $1";

const FILL: &str = "
    INSERT INTO messages (queue, payload)
    SELECT 'q' || number % $2::bigint, $3 FROM generate_series(0, $1::bigint - 1) AS number";

/// A connection.
pub(crate) struct Session {
    client: Client,
    enqueue: Statement,
    enqueue_and_notify: Statement,
    claim: Statement,
    settle: Statement,
    settle_and_claim: Statement,
    /// Rung for each notification that the server sends.
    notified: Arc<Notify>,
}

impl Session {
    /// Looks whether the server on this port takes connections, and returns its version.
    pub(crate) async fn probe(port: u16) -> Result<String> {
        let (client, _) = connect(port).await?;
        show(&client, "server_version").await
    }

    /// Makes the table.
    pub(crate) async fn create_schema(port: u16) -> Result<()> {
        let (client, _) = connect(port).await?;
        Ok(client.batch_execute(SCHEMA).await?)
    }

    /// Connects and prepares.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let (client, notified) = connect(port).await?;
        Ok(Self {
            enqueue: client.prepare(ENQUEUE).await?,
            enqueue_and_notify: client.prepare(ENQUEUE_AND_NOTIFY).await?,
            claim: client.prepare(CLAIM).await?,
            settle: client.prepare(SETTLE).await?,
            settle_and_claim: client.prepare(SETTLE_AND_CLAIM).await?,
            client,
            notified,
        })
    }

    /// A setting as the server has it.
    pub(crate) async fn show(&self, setting: &str) -> Result<String> {
        show(&self.client, setting).await
    }

    /// Makes one message durable.
    pub(crate) async fn enqueue(&self, queue: &str, payload: &[u8]) -> Result<()> {
        let rows = self
            .client
            .execute(&self.enqueue, &[&queue, &payload])
            .await?;
        ensure!(rows == 1, "postgres inserted {rows} rows of one");
        Ok(())
    }

    /// The same, and tells whoever listens.
    pub(crate) async fn enqueue_and_notify(&self, queue: &str, payload: &[u8]) -> Result<()> {
        let statement = &self.enqueue_and_notify;
        let rows = self.client.execute(statement, &[&queue, &payload]).await?;
        ensure!(rows == 1, "postgres notified {rows} times for one row");
        Ok(())
    }

    /// Claims the oldest message of a queue that nobody has.
    pub(crate) async fn claim(&self, queue: &str) -> Result<Option<i64>> {
        let row = self.client.query_opt(&self.claim, &[&queue]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Settles a claimed message.
    pub(crate) async fn settle(&self, id: i64) -> Result<()> {
        let rows = self.client.execute(&self.settle, &[&id]).await?;
        ensure!(rows == 1, "postgres settled {rows} messages of one");
        Ok(())
    }

    /// Settles a claimed message, and claims the oldest of a queue that nobody has.
    pub(crate) async fn settle_and_claim(&self, id: i64, queue: &str) -> Result<Option<i64>> {
        let statement = &self.settle_and_claim;
        let row = self.client.query_one(statement, &[&queue, &id]).await?;
        let settled: i64 = row.try_get(0)?;
        ensure!(settled == 1, "postgres settled {settled} messages of one");
        Ok(row.try_get(1)?)
    }

    /// Hears of every message enqueued with a notification from here on.
    pub(crate) async fn listen(&self) -> Result<()> {
        Ok(self.client.batch_execute("LISTEN ready").await?)
    }

    /// Waits until it heard of one.
    pub(crate) async fn notified(&self) {
        self.notified.notified().await;
    }

    /// Adds `count` messages over `queues` queues at once, and leaves nothing of that to be done later.
    pub(crate) async fn fill(&self, count: usize, queues: usize, payload: &[u8]) -> Result<()> {
        let (count, queues) = (i64::try_from(count)?, i64::try_from(queues)?);
        let rows = self
            .client
            .execute(FILL, &[&count, &queues, &payload])
            .await?;
        ensure!(
            i64::try_from(rows)? == count,
            "postgres filled in {rows} rows of {count}"
        );
        self.client.batch_execute("VACUUM ANALYZE messages").await?;
        Ok(self.client.batch_execute("CHECKPOINT").await?)
    }

    /// How many messages there are.
    pub(crate) async fn count(&self) -> Result<i64> {
        let count = self.client.query_one("SELECT count(*) FROM messages", &[]);
        Ok(count.await?.try_get(0)?)
    }

    /// Drops every message and its file.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.client
            .batch_execute("TRUNCATE messages RESTART IDENTITY")
            .await?;
        Ok(self.client.batch_execute("CHECKPOINT").await?)
    }
}

/// Sessions shared by callers, each of which has one for one statement.
pub(crate) struct Pool {
    idle: Mutex<Vec<Session>>,
    permits: Semaphore,
}

/// A session out of a pool, which it returns to.
pub(crate) struct Taken<'a> {
    /// There until the drop.
    session: Option<Session>,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// A pool of `size` new connections.
    pub(crate) async fn open(port: u16, size: usize) -> Result<Self> {
        let mut idle = Vec::with_capacity(size);
        for _ in 0..size {
            idle.push(Session::open(port).await?);
        }
        Ok(Self {
            idle: Mutex::new(idle),
            permits: Semaphore::new(size),
        })
    }

    /// A session, when one is free.
    pub(crate) async fn take(&self) -> Taken<'_> {
        let permit = self.permits.acquire().await;
        Taken {
            session: self.idle().pop(),
            pool: self,
            _permit: permit.expect("the semaphore of a pool is never closed"),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle
            .lock()
            .expect("nobody panics with the pool in hand")
    }
}

impl Deref for Taken<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        let session = self.session.as_ref();
        session.expect("there are as many sessions as permits, and each leaves in the drop only")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // Before the permit, which is dropped after this body.
        self.pool.idle().extend(self.session.take());
    }
}

async fn connect(port: u16) -> Result<(Client, Arc<Notify>)> {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user(USER)
        .dbname("postgres");
    config
        .application_name("bench")
        .connect_timeout(ANSWER_WITHIN);
    let (client, mut connection) = config.connect(NoTls).await?;
    let notified = Arc::new(Notify::new());
    let ring = Arc::clone(&notified);
    // Ends with its client. An error of the connection is told to whoever waits for an answer.
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) {
                ring.notify_one();
            }
        }
    });
    Ok((client, notified))
}

async fn show(client: &Client, setting: &str) -> Result<String> {
    let row = client
        .query_one("SELECT current_setting($1)", &[&setting])
        .await?;
    row.try_get(0).context("postgres does not tell a setting")
}
