/**
 * The session hooks of openclaw plugins, so that a handler written for `api.on("session_end", ...)` fits as it is.
 *
 * Keeps true: handlers run one after the other, in the order in which they were registered, and one that fails is not
 * passed over, as it is in openclaw: whoever runs them is told. What this deliberately does not do: priorities, and
 * hooks about anything but sessions.
 */

import type { SessionEnd } from "../gen/sessiond/v1/end_pb.js";
import type { SessionSnapshot } from "../gen/sessiond/v1/session_snapshot_pb.js";

/** The words of openclaw for why a session ended. */
export type Reason =
  | "new"
  | "reset"
  | "idle"
  | "daily"
  | "compaction"
  | "deleted"
  | "shutdown"
  | "restart"
  | "unknown";

/** What only sessiond can tell of an event. */
export interface Told {
  /** The same for all time: a handler that has seen it has seen the event. */
  eventId: string;
  /** The place in the log: of two events the later one has the greater. */
  revision: bigint;
  /** The session after the event. */
  session: SessionSnapshot;
}

/** And of an end. */
export interface ToldEnd extends Told {
  /** sessiond's own reason, by its name in the contract without `END_REASON_`. */
  reason: string;
  /** Who ended it, when, and what became of its messages. */
  end: SessionEnd;
}

/** A session was opened. */
export interface SessionStartEvent {
  sessionId: string;
  sessionKey?: string | undefined;
  /** The session of the same key before this one. */
  resumedFrom?: string | undefined;
  sessiond: Told;
}

/** A session ended. */
export interface SessionEndEvent {
  sessionId: string;
  sessionKey?: string | undefined;
  messageCount: number;
  durationMs?: number | undefined;
  reason: Reason;
  sessionFile?: string | undefined;
  nextSessionId?: string | undefined;
  sessiond: ToldEnd;
}

/** Which session it is about. */
export interface SessionContext {
  sessionId: string;
  sessionKey?: string | undefined;
  agentId?: string | undefined;
}

interface Events {
  session_start: SessionStartEvent;
  session_end: SessionEndEvent;
}

export type HookName = keyof Events;

/** What a plugin does at a hook. What it has not done when it returns, or its promise resolves, it may never do. */
export type Handler<Name extends HookName> = (event: Events[Name], ctx: SessionContext) => void | Promise<void>;

/** What openclaw calls `api`, as far as it goes. */
export class Hooks {
  private readonly handlers: { [Name in HookName]: Handler<Name>[] } = { session_start: [], session_end: [] };

  /** Registers a handler. */
  on<Name extends HookName>(name: Name, handler: Handler<Name>): void {
    this.handlers[name].push(handler);
  }

  /** Runs the handlers of a hook; the first that throws is the last. */
  async run<Name extends HookName>(name: Name, event: Events[Name], ctx: SessionContext): Promise<void> {
    for (const handler of this.handlers[name]) {
      await handler(event, ctx);
    }
  }
}
