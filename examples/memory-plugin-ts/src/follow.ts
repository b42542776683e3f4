/**
 * Reads a subscription of sessiond and runs hooks, whatever is killed.
 *
 * Keeps true: an event is acknowledged after every handler has returned, and never otherwise; what dies before that
 * gets it again. It retries whatever a restart of either side can mend, and ends on whatever it cannot. What this
 * deliberately does not do: run handlers of two events at once, or skip an event whose handler fails.
 */

import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";

import { type Client, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { EventType, type SessionEvent } from "../gen/sessiond/v1/event_pb.js";
import { SessionService } from "../gen/sessiond/v1/session_service_pb.js";
import { SubscriptionService } from "../gen/sessiond/v1/subscription_service_pb.js";
import { tell } from "./bridge.js";
import type { Hooks } from "./hooks.js";
import { isFatal, textOf } from "./refusal.js";

/** How long until the next try. */
const RETRY_AFTER_MS = 200;

/** A connection that is silent for so long is dead; bookmarks come every 15 s at least. */
const KEEPALIVE = { pingIntervalMs: 20_000, pingTimeoutMs: 5_000 };

/** How long a call may take. The watch has no deadline. */
const CALL = { timeoutMs: 10_000 };

/** Longer than any batch of events. */
const READ_MAX_BYTES = 17 * 1024 * 1024;

/** Runs the hooks of every session there is or will be. Two runs of one name share the work, one at a time. */
export async function run(address: string, name: string, hooks: Hooks): Promise<never> {
  // One run of the plugin: the server tells it from others, and knows it again.
  const consumer = randomUUID();
  const transport = createGrpcTransport({ baseUrl: `http://${address}`, readMaxBytes: READ_MAX_BYTES, ...KEEPALIVE });
  for (;;) {
    const over = new AbortController();
    try {
      await new Reader(transport, name, hooks).follow(consumer, over.signal);
    } catch (error) {
      if (!(error instanceof ConnectError) || isFatal(error)) {
        throw error;
      }
      console.error(`memory-plugin: ${textOf(error)}`);
    } finally {
      // What broke may have been an acknowledgement: the watch must not stay open beside the next one.
      over.abort();
    }
    await setTimeout(RETRY_AFTER_MS);
  }
}

/** One try, from the first call until something breaks. The transport connects again by itself. */
class Reader {
  private readonly subscriptions: Client<typeof SubscriptionService>;
  private readonly sessions: Client<typeof SessionService>;

  constructor(
    transport: Transport,
    private readonly name: string,
    private readonly hooks: Hooks,
  ) {
    this.subscriptions = createClient(SubscriptionService, transport);
    this.sessions = createClient(SessionService, transport);
  }

  /** Reads until the server closes the watch, or the connection breaks. */
  async follow(consumer: string, signal: AbortSignal): Promise<void> {
    await this.subscribe();
    const start = { case: "subscription" as const, value: this.name };
    let epoch = 0n;
    for await (const { frame } of this.sessions.watchSessionEvents({ start, consumer }, { signal })) {
      if (frame.case === "started") {
        epoch = frame.value.subscriptionEpoch;
      } else if (frame.case === "batch") {
        await this.take(frame.value.events, epoch);
      } else if (frame.case === "bookmark" && frame.value.revision > 0n) {
        await this.acknowledge(frame.value.revision, epoch);
      }
    }
  }

  /** Makes the subscription. It returns the one that is there, if it is the same. */
  private async subscribe(): Promise<void> {
    await this.subscriptions.createSubscription(
      {
        name: this.name,
        filter: { types: [EventType.SESSION_OPENED, EventType.SESSION_END] },
        start: { start: { case: "oldest", value: true } },
        // An ended session is kept on the server until its hooks have run.
        required: true,
      },
      CALL,
    );
  }

  private async take(events: SessionEvent[], epoch: bigint): Promise<void> {
    for (const event of events) {
      try {
        await tell(this.hooks, event);
      } catch (cause) {
        // Not to be taken for an error of this connection, whatever the handler threw.
        throw new Error(`a handler failed on event ${event.eventId}, which is not acknowledged`, { cause });
      }
    }
    const last = events.at(-1);
    if (last !== undefined) {
      await this.acknowledge(last.revision, epoch);
    }
  }

  private async acknowledge(revision: bigint, epoch: bigint): Promise<void> {
    await this.subscriptions.ackEvents({ name: this.name, revision, epoch }, CALL);
  }
}
