/**
 * From an event of sessiond to a hook of openclaw.
 *
 * Keeps true: an event is one run of one hook, and what the contract leaves empty is left out. What this deliberately
 * does not do: guess. `nextSessionKey` and `transcriptArchived` are missing, for sessiond does not know them.
 */

import type { Duration } from "@bufbuild/protobuf/wkt";

import { EndReason, type SessionEnd } from "../gen/sessiond/v1/end_pb.js";
import { EventType, type SessionEvent } from "../gen/sessiond/v1/event_pb.js";
import type { SessionSnapshot } from "../gen/sessiond/v1/session_snapshot_pb.js";
import type { Hooks, Reason, SessionContext, SessionEndEvent, SessionStartEvent } from "./hooks.js";

/** openclaw ends sessions by its own doing only: it has no word for work that is done, and none for what went wrong. */
const REASONS: Record<EndReason, Reason> = {
  [EndReason.UNSPECIFIED]: "unknown",
  [EndReason.COMPLETED]: "unknown",
  [EndReason.FAILED]: "unknown",
  [EndReason.DELETED]: "deleted",
  [EndReason.ADMIN]: "unknown",
  [EndReason.RESET]: "reset",
  [EndReason.REPLACED]: "new",
  [EndReason.COMPACTED]: "compaction",
  [EndReason.SCHEDULED]: "daily",
  [EndReason.SHUTDOWN]: "shutdown",
  [EndReason.RESTART]: "restart",
  [EndReason.IDLE]: "idle",
  [EndReason.EXPIRED]: "unknown",
  [EndReason.EVICTED]: "unknown",
  [EndReason.CAPACITY]: "unknown",
  [EndReason.OWNER_LOST]: "unknown",
  [EndReason.WORKER_STUCK]: "unknown",
  [EndReason.RESTART_LIMIT]: "unknown",
  [EndReason.CRASHED]: "unknown",
};

/** The agent in a key like `agent:main:main`. */
const AGENT = /^agent:([^:]+):/;

/** Runs the hook of an event, and returns when every handler has. */
export async function tell(hooks: Hooks, event: SessionEvent): Promise<void> {
  const { session, end } = event;
  if (session === undefined) {
    return;
  }
  if (event.type === EventType.SESSION_OPENED) {
    await hooks.run("session_start", startOf(event, session), contextOf(session));
  } else if (event.type === EventType.SESSION_END && end !== undefined) {
    await hooks.run("session_end", endOf(event, session, end), contextOf(session));
  }
}

function startOf(event: SessionEvent, session: SessionSnapshot): SessionStartEvent {
  return {
    sessionId: session.sessionId,
    sessionKey: given(session.key),
    resumedFrom: given(session.predecessorId),
    sessiond: { eventId: event.eventId, revision: event.revision, session },
  };
}

function endOf(event: SessionEvent, session: SessionSnapshot, end: SessionEnd): SessionEndEvent {
  return {
    sessionId: session.sessionId,
    sessionKey: given(session.key),
    messageCount: Number(session.counts?.enqueued ?? 0n),
    durationMs: end.duration && milliseconds(end.duration),
    // A newer server may have a reason which these stubs do not know.
    reason: REASONS[end.reason] ?? "unknown",
    sessionFile: given(end.transcriptPath),
    nextSessionId: given(end.successorId),
    sessiond: {
      eventId: event.eventId,
      revision: event.revision,
      session,
      reason: EndReason[end.reason] ?? String(end.reason),
      end,
    },
  };
}

function contextOf(session: SessionSnapshot): SessionContext {
  return {
    sessionId: session.sessionId,
    sessionKey: given(session.key),
    agentId: given(session.agentId) ?? AGENT.exec(session.key)?.[1],
  };
}

/** In the contract an empty text says that there is none. */
function given(text: string): string | undefined {
  return text === "" ? undefined : text;
}

function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1_000 + Math.trunc(duration.nanos / 1_000_000);
}
