"""A memory plugin for sessiond on stock stubs: a summary of every session, in SQLite, whatever is killed.

One event after the other is written in a transaction and then acknowledged; what dies before that gets the event
again, and taking it twice changes nothing. It retries whatever a restart of either side can mend, and ends on
whatever it cannot.

The stubs come from the contract, with grpcio and grpcio-tools:

    python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs proto/sessiond/v1/*.proto
    PYTHONPATH=stubs python examples/memory_plugin.py run 127.0.0.1:7377 memory.db
    PYTHONPATH=stubs python examples/memory_plugin.py ls memory.db
"""

import json
import sqlite3
import sys
import time
import uuid

import grpc
from sessiond.v1 import (
    end_pb2,
    event_pb2,
    session_service_pb2,
    session_service_pb2_grpc,
    subscription_pb2,
    subscription_service_pb2,
    subscription_service_pb2_grpc,
)

# The subscription: two runs of one name share the work, one at a time.
NAME = "memory"

# Seconds until the next try.
RETRY_AFTER = 0.2

# What no retry mends: a subscription that is another one, was forgotten, or fell too far behind.
FATAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
}

# Another run reads: this one stands by.
ANOTHER_READS = [b"LEASE_HELD", b"LEASE_FENCED"]

# A connection that is silent for so long is dead; bookmarks come every 15 s at least.
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 17 * 1024 * 1024),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS sessions (
        session_id TEXT PRIMARY KEY,
        key        TEXT NOT NULL,
        opened_at  INTEGER NOT NULL,
        end_event  TEXT UNIQUE,
        revision   INTEGER,
        reason     TEXT,
        summary    TEXT,
        told       INTEGER NOT NULL DEFAULT 0
    );
"""


class Memory:
    """One row for each session."""

    def __init__(self, path):
        self.file = sqlite3.connect(path, timeout=5, isolation_level=None)
        self.file.executescript(SCHEMA)

    def take(self, event):
        """Remembers what an event says; it is on disk when this returns."""
        if not event.HasField("session"):
            return
        session = event.session
        self.file.execute("BEGIN IMMEDIATE")
        try:
            self.file.execute(
                "INSERT INTO sessions (session_id, key, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (session.session_id, session.key, session.create_time.seconds),
            )
            if event.HasField("end"):
                self.end(event)
            self.file.execute("COMMIT")
        except BaseException:
            self.file.execute("ROLLBACK")
            raise

    def end(self, event):
        session = event.session
        reason = end_pb2.EndReason.Name(event.end.reason).removeprefix("END_REASON_")
        summary = (
            f"{session.prompt_number} prompts, {session.counts.processed} messages processed, "
            f"{session.counts.dead_lettered} given up; {reason.lower()}"
        )
        self.file.execute(
            "UPDATE sessions SET end_event = ?, revision = ?, reason = ?, summary = ?"
            " WHERE session_id = ? AND end_event IS NULL",
            (event.event_id, event.revision, reason, summary, session.session_id),
        )
        self.file.execute("UPDATE sessions SET told = told + 1 WHERE session_id = ?", (session.session_id,))

    def print(self):
        names = ["session_id", "key", "end_event", "reason", "summary", "told"]
        rows = self.file.execute(
            f"SELECT {', '.join(names)} FROM sessions ORDER BY revision IS NULL, revision, opened_at, session_id"
        )
        for row in rows:
            print(json.dumps(dict(zip(names, row))))


def follow(channel, memory, consumer):
    """Reads for the subscription until the server closes the watch, or the connection breaks."""
    subscriptions = subscription_service_pb2_grpc.SubscriptionServiceStub(channel)
    create = subscription_service_pb2.CreateSubscriptionRequest(
        name=NAME,
        filter=event_pb2.EventFilter(
            types=[event_pb2.EVENT_TYPE_SESSION_OPENED, event_pb2.EVENT_TYPE_SESSION_END],
        ),
        start=subscription_pb2.EventStart(oldest=True),
        # An ended session is kept on the server until it is remembered here.
        required=True,
    )
    # It returns the one that is there, if it is the same.
    subscriptions.CreateSubscription(create, timeout=10)
    watch = session_service_pb2_grpc.SessionServiceStub(channel).WatchSessionEvents(
        session_service_pb2.WatchSessionEventsRequest(subscription=NAME, consumer=consumer)
    )
    epoch = 0
    for frame in watch:
        kind = frame.WhichOneof("frame")
        if kind == "started":
            epoch = frame.started.subscription_epoch
        elif kind == "batch":
            for event in frame.batch.events:
                memory.take(event)
            acknowledge(subscriptions, frame.batch.events[-1].revision, epoch)
        elif kind == "bookmark" and frame.bookmark.revision > 0:
            acknowledge(subscriptions, frame.bookmark.revision, epoch)


def acknowledge(subscriptions, revision, epoch):
    ack = subscription_service_pb2.AckEventsRequest(name=NAME, revision=revision, epoch=epoch)
    subscriptions.AckEvents(ack, timeout=10)


def is_fatal(error):
    """Whether no retry mends it."""
    # The reason is in a google.rpc.ErrorInfo. The package grpcio-status reads it; to look for the word will do.
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    return error.code() in FATAL and not any(reason in details for reason in ANOTHER_READS)


def run(address, path):
    memory = Memory(path)
    # One run of the plugin: the server tells it from others, and knows it again.
    consumer = str(uuid.uuid4())
    while True:
        with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            try:
                follow(channel, memory, consumer)
            except grpc.RpcError as error:
                if is_fatal(error):
                    raise
                print(f"memory-plugin: {error.code().name}: {error.details()}", file=sys.stderr)
        time.sleep(RETRY_AFTER)


def main(arguments):
    match arguments:
        case ["run", address, path]:
            run(address, path)
        case ["ls", path]:
            Memory(path).print()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        pass
