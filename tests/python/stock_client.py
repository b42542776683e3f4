"""A client of sessiond that is none of ours: grpcio and what its generator makes of proto/.

It opens, enqueues, claims, works on a stream, watches over a SIGKILL of the server, and ends. Whatever is
not as the contract says raises, and the exit code is not 0. It says "KILL" on a line of its own when it
wants the server killed and started again, and goes on when it reads a line; its last line is a summary.

Usage: stock_client.py HOST:PORT
"""

import json
import queue
import sys
import threading

import grpc
import rpc_status_pb2
from google.protobuf import duration_pb2
from sessiond.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    end_pb2,
    event_pb2,
    message_pb2,
    message_service_pb2,
    message_service_pb2_grpc,
    session_filter_pb2,
    session_pb2,
    session_ref_pb2,
    session_service_pb2,
    session_service_pb2_grpc,
    settlement_pb2,
    worker_pb2,
    worker_service_pb2,
    worker_service_pb2_grpc,
)

# Seconds that any one answer may take, a restart of the server and a busy machine included.
PATIENCE = 60

CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 17 * 1024 * 1024),
]

UNARY_KEY = "stock/unary"
STREAM_KEY = "stock/stream"
WINDOW = 4


def check(holds, what):
    """Raises unless it holds."""
    if not holds:
        raise AssertionError(what)


def same(seen, expected):
    """Raises unless both are the same."""
    check(seen == expected, f"{seen!r} instead of {expected!r}")


def by_key(key):
    return session_ref_pb2.SessionRef(key=key)


def by_id(session_id):
    return session_ref_pb2.SessionRef(session_id=session_id)


class Server:
    """The services of one server, over one channel."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self.sessions = session_service_pb2_grpc.SessionServiceStub(self.channel)
        self.messages = message_service_pb2_grpc.MessageServiceStub(self.channel)
        self.workers = worker_service_pb2_grpc.WorkerServiceStub(self.channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(self.channel)


def call(method, request):
    """Makes one call that must be answered."""
    return method(request, timeout=PATIENCE, wait_for_ready=True)


def refused(method, request, code):
    """Makes one call that must be refused with this code; returns the ErrorInfo of its details."""
    try:
        call(method, request)
    except grpc.RpcError as error:
        same(error.code(), code)
        trailers = {key: value for key, value in error.trailing_metadata()}
        status = rpc_status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        same(status.code, code.value[0])
        same(status.message, error.details())
        for detail in status.details:
            info = rpc_status_pb2.ErrorInfo()
            if detail.Unpack(info):
                return info
        raise AssertionError(f"no ErrorInfo in {status}") from error
    raise AssertionError(f"not refused: {request}")


class Watch(threading.Thread):
    """Every event from the first on, resumed by token whenever the stream breaks."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.events = []
        self.connections = 0
        self.failure = None
        self.grown = threading.Condition()
        self.token = None

    def run(self):
        try:
            while True:
                try:
                    self.connect()
                except grpc.RpcError as error:
                    # What breaks is resumed; everything else is a fault.
                    same(error.code(), grpc.StatusCode.UNAVAILABLE)
        except Exception as error:  # The main thread raises it.
            with self.grown:
                self.failure = error
                self.grown.notify_all()

    def connect(self):
        request = session_service_pb2.WatchSessionEventsRequest()
        if self.token is None:
            request.after_revision = 0
        else:
            request.resume_token = self.token
        for frame in self.server.sessions.WatchSessionEvents(request, wait_for_ready=True):
            self.take(frame)

    def take(self, frame):
        with self.grown:
            kind = frame.WhichOneof("frame")
            if kind == "started":
                self.connections += 1
            elif kind == "batch":
                self.events.extend(frame.batch.events)
                self.token = frame.batch.resume_token
            elif kind == "bookmark":
                self.token = frame.bookmark.resume_token
            self.grown.notify_all()

    def until(self, enough, what):
        """Waits until the events or connections are enough."""
        with self.grown:
            seen = self.grown.wait_for(lambda: self.failure or enough(self), timeout=PATIENCE)
            if self.failure:
                raise self.failure
            check(seen, f"no {what} within {PATIENCE} s")


class Work:
    """One worker stream: frames out, frames in."""

    def __init__(self, server, hello):
        self.requests = queue.Queue()
        self.said = server.workers.Work(iter(self.requests.get, None), wait_for_ready=True)
        self.send(hello=hello)
        self.welcome = self.receive("welcome")

    def send(self, **frame):
        self.requests.put(worker_service_pb2.WorkRequest(**frame))

    def receive(self, kind):
        """The next frame but heartbeats, which must be of this kind."""
        for frame in self.said:
            seen = frame.WhichOneof("frame")
            if seen != "heartbeat":
                same(seen, kind)
                return getattr(frame, kind)
        raise AssertionError(f"the stream ended before {kind}")

    def deliveries(self, count):
        """So many deliveries, in as many frames as it takes."""
        deliveries = []
        while len(deliveries) < count:
            deliveries.extend(self.receive("delivery").deliveries)
        same(len(deliveries), count)
        return deliveries

    def end(self):
        """Leaves on purpose; the server closes the stream without a fault."""
        self.send(goodbye=worker_pb2.Goodbye(detail="done"))
        for frame in self.said:
            check(
                frame.WhichOneof("frame") in ("lease_lost", "heartbeat"),
                f"after goodbye: {frame}",
            )
        self.requests.put(None)
        same(self.said.code(), grpc.StatusCode.OK)


def observations(prefix, count):
    return [
        message_pb2.Message(
            kind="observation",
            payload=json.dumps({"of": prefix, "at": at}).encode(),
            content_type="application/json",
            idempotency_key=f"{prefix}-{at}",
        )
        for at in range(count)
    ]


def ack(delivery):
    return settlement_pb2.Settlement(
        queue_id=delivery.message.queue_id,
        seq=delivery.message.seq,
        delivery_id=delivery.delivery_id,
        epoch=delivery.epoch,
        ack=settlement_pb2.Ack(),
    )


def ok(results, settlements):
    """Every settlement counted, at its index."""
    same([result.code for result in results], [settlement_pb2.SETTLE_CODE_OK] * len(settlements))
    same([result.seq for result in results], [one.seq for one in settlements])


def open_and_fill(server, key, count):
    """Opens a key and enqueues to it, each twice; returns the session."""
    request = session_service_pb2.OpenSessionRequest(
        key=key, source="stock", labels={"language": "python"}, request_id=f"open {key}"
    )
    opened = call(server.sessions.OpenSession, request)
    check(opened.created and not opened.duplicate, opened)
    again = call(server.sessions.OpenSession, request)
    check(again.created and again.duplicate, again)
    same(again.session.session_id, opened.session.session_id)
    same(opened.session.state, session_pb2.SESSION_STATE_ACTIVE)
    enqueue = message_service_pb2.EnqueueMessagesRequest(
        ref=by_key(key), messages=observations(key, count)
    )
    for status in ("ENQUEUE_STATUS_ENQUEUED", "ENQUEUE_STATUS_DUPLICATE"):
        answer = call(server.messages.EnqueueMessages, enqueue)
        expected = message_service_pb2.EnqueueStatus.Value(status)
        same([result.status for result in answer.results], [expected] * count)
        same([result.seq for result in answer.results], list(range(1, count + 1)))
        same(answer.session_id, opened.session.session_id)
    return opened.session


def check_refusals(server):
    """Refusals say why in details that any client can read."""
    again = session_service_pb2.OpenSessionRequest(
        key=UNARY_KEY, conflict_policy=session_service_pb2.CONFLICT_POLICY_FAIL
    )
    info = refused(server.sessions.OpenSession, again, grpc.StatusCode.ALREADY_EXISTS)
    same(info.reason, "SESSION_KEY_IN_USE")
    nowhere = message_service_pb2.EnqueueMessagesRequest(
        ref=by_key("stock/nowhere"), messages=observations("nowhere", 1)
    )
    info = refused(server.messages.EnqueueMessages, nowhere, grpc.StatusCode.NOT_FOUND)
    same(info.reason, "SESSION_NOT_FOUND")
    empty = session_service_pb2.GetSessionRequest()
    info = refused(server.sessions.GetSession, empty, grpc.StatusCode.INVALID_ARGUMENT)
    same(info.reason, "FIELD_INVALID")
    return info.domain


def claim(server, count):
    """Claims from the unary session; the lease is long enough for a restart."""
    request = message_service_pb2.ClaimMessagesRequest(
        ref=by_key(UNARY_KEY),
        worker="stock-claimer",
        lease_duration=duration_pb2.Duration(seconds=600),
        max_messages=count,
        wait=duration_pb2.Duration(seconds=30),
    )
    return call(server.messages.ClaimMessages, request)


def settle(server, settlements):
    request = message_service_pb2.SettleMessagesRequest(settlements=settlements)
    return call(server.messages.SettleMessages, request).results


def claim_and_settle(server):
    """Works without a stream: one ack, one retry, one claimed again after a lost answer."""
    claimed = claim(server, 2)
    same([one.message.seq for one in claimed.deliveries], [1, 2])
    lost = claim(server, 6)
    same([one.delivery_id for one in lost.deliveries], [one.delivery_id for one in claimed.deliveries])
    first, second = claimed.deliveries
    retry = settlement_pb2.Settlement(
        queue_id=second.message.queue_id,
        seq=second.message.seq,
        delivery_id=second.delivery_id,
        epoch=second.epoch,
        nack=settlement_pb2.Nack(
            kind=settlement_pb2.NACK_KIND_RETRY,
            delay=duration_pb2.Duration(nanos=1_000_000),
            error="not today",
        ),
    )
    both = [ack(first), retry]
    ok(settle(server, both), both)
    results = settle(server, [ack(first), ack(second)])
    codes = [result.code for result in results]
    same(
        codes,
        [settlement_pb2.SETTLE_CODE_ALREADY_SETTLED, settlement_pb2.SETTLE_CODE_STALE_DELIVERY],
    )
    again = claim(server, 1).deliveries
    same([(one.message.seq, one.message.attempt) for one in again], [(2, 2)])
    return again


def start_work(server, resume=()):
    hello = worker_pb2.Hello(
        worker="stock-worker",
        instance_id="stock-worker-1",
        window=worker_pb2.Window(max_messages=WINDOW),
        resume=resume,
    )
    return Work(server, hello)


def work_before(server, log_id):
    """Takes the session, settles two of its messages, and holds four."""
    work = start_work(server)
    same(work.welcome.log_id, log_id)
    same(work.welcome.window.max_messages, WINDOW)
    work.send(attach=worker_pb2.Attach(ref=by_key(UNARY_KEY)))
    failed = work.receive("attach_failed")
    same(failed.status.reason, "LEASE_HELD")
    work.send(attach=worker_pb2.Attach(ref=by_key(STREAM_KEY)))
    lease = work.receive("attached").lease
    deliveries = work.deliveries(WINDOW)
    same([one.message.seq for one in deliveries], [1, 2, 3, 4])
    done = [ack(one) for one in deliveries[:2]]
    work.send(settle=worker_pb2.Settle(settlements=done))
    frames = {"settled": None, "delivery": []}
    # The answer and what fills the window again come in either order.
    while frames["settled"] is None or len(frames["delivery"]) < 2:
        frame = next(work.said)
        kind = frame.WhichOneof("frame")
        if kind == "settled":
            frames["settled"] = frame.settled
        elif kind == "delivery":
            frames["delivery"].extend(frame.delivery.deliveries)
        else:
            same(kind, "heartbeat")
    ok(frames["settled"].results, done)
    held = deliveries[2:] + frames["delivery"]
    same([one.message.seq for one in held], [3, 4, 5, 6])
    return work, lease, held


def work_after(server, lease, held):
    """Resumes with all deliveries but one, which comes again; settles the rest."""
    listed, forgotten = held[:-1], held[-1]
    resume = worker_pb2.Resume(
        session_id=lease.session_id,
        queue_id=forgotten.message.queue_id,
        epoch=lease.epoch,
        delivery_ids=[one.delivery_id for one in listed],
    )
    work = start_work(server, [resume])
    kept = work.receive("attached").lease
    same((kept.epoch, kept.session_id), (lease.epoch, lease.session_id))
    again = work.deliveries(1)
    same([(one.message.seq, one.message.attempt) for one in again], [(forgotten.message.seq, 1)])
    rest = [ack(one) for one in listed + again]
    work.send(settle=worker_pb2.Settle(settlements=rest))
    ok(work.receive("settled").results, rest)
    return work


def end(server, session_id):
    request = session_service_pb2.EndSessionRequest(
        ref=by_id(session_id),
        reason=end_pb2.END_REASON_COMPLETED,
        mode=end_pb2.END_MODE_AFTER_PENDING,
        wait=duration_pb2.Duration(seconds=30),
        request_id=f"end {session_id}",
    )
    ended = call(server.sessions.EndSession, request).session
    same(ended.state, session_pb2.SESSION_STATE_ENDED)
    return ended


def ask_for_kill():
    """Has the server killed and started again."""
    print("KILL", flush=True)
    check(sys.stdin.readline(), "nobody answered")


def check_log(events, sessions):
    """Every revision once and in order, every session ended once."""
    same([event.revision for event in events], list(range(1, len(events) + 1)))
    ends = [
        event.session.session_id
        for event in events
        if event.type == event_pb2.EVENT_TYPE_SESSION_END
    ]
    same(sorted(ends), sorted(session.session_id for session in sessions))


def main(address):
    server = Server(address)
    info = call(server.admin.GetServerInfo, admin_service_pb2.GetServerInfoRequest())
    watch = Watch(server)
    watch.start()
    sessions = [open_and_fill(server, UNARY_KEY, 3), open_and_fill(server, STREAM_KEY, 6)]
    domain = check_refusals(server)
    claimed = claim_and_settle(server)
    work, lease, held = work_before(server, info.log_id)
    watch.until(lambda one: len(one.events) >= 4, "two opens and two attaches")

    ask_for_kill()
    try:
        next(work.said)
        raise AssertionError("a stream of a killed server goes on")
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.UNAVAILABLE)

    same(call(server.admin.GetServerInfo, admin_service_pb2.GetServerInfoRequest()).log_id, info.log_id)
    work = work_after(server, lease, held)
    # The lease of the claim outlived the server, and so did what was claimed.
    again = claim(server, 1).deliveries
    same([one.delivery_id for one in again], [one.delivery_id for one in claimed])
    rest = [ack(one) for one in claimed]
    ok(settle(server, rest), rest)
    third = [ack(one) for one in claim(server, 1).deliveries]
    same([one.seq for one in third], [3])
    ok(settle(server, third), third)
    work.end()
    ended = [end(server, session.session_id) for session in sessions]
    same([session.counts.processed for session in ended], [3, 6])

    everything = session_service_pb2.ListSessionsRequest(
        filter=session_filter_pb2.SessionFilter(labels={"language": "python"})
    )
    listed = call(server.sessions.ListSessions, everything).sessions
    same([session.key for session in listed], [STREAM_KEY, UNARY_KEY])
    stats = call(server.admin.GetStats, admin_service_pb2.GetStatsRequest())
    same((stats.messages.pending, stats.messages.in_flight, stats.messages.dead_lettered), (0, 0, 0))
    watch.until(lambda one: len(one.events) >= stats.revision, "the last event")
    check_log(watch.events, sessions)
    summary = {
        "domain": domain,
        "events": len(watch.events),
        "revision": stats.revision,
        "watch_connections": watch.connections,
        "processed": sum(session.counts.processed for session in ended),
        "ended": stats.sessions.ended,
    }
    print("SUMMARY " + json.dumps(summary, sort_keys=True), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
