/**
 * The plugin: one row for each session, in an SQLite file.
 *
 * Keeps true: taking an event twice leaves what taking it once does, and when a handler returns, it is on disk. What
 * this deliberately does not do: read what messages say; a real memory would summarise them, in the same transaction.
 */

import { DatabaseSync, type DatabaseSyncInstance } from "@photostructure/sqlite";

import type { Hooks, SessionEndEvent, Told } from "./hooks.js";

/** Its first line is how long another process may hold the file. `told` counts how often the end came. */
const SCHEMA = `
  PRAGMA busy_timeout = 5000;
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
`;

export class Memory {
  private readonly file: DatabaseSyncInstance;

  /** Opens a file, or makes it. */
  constructor(path: string) {
    this.file = new DatabaseSync(path);
    this.file.exec(SCHEMA);
  }

  /** Has the hooks remember. */
  register(api: Hooks): void {
    api.on("session_start", (event) => {
      this.change(() => this.start(event.sessiond));
    });
    api.on("session_end", (event) => {
      this.change(() => {
        // The oldest event that is kept may be an end.
        this.start(event.sessiond);
        this.end(event);
      });
    });
  }

  /** What is remembered: the sessions that have ended, by the order of their ends, and then those that live. */
  *rows(): Generator<object> {
    yield* this.file
      .prepare(
        "SELECT session_id, key, end_event, reason, summary, told FROM sessions" +
          " ORDER BY revision IS NULL, revision, opened_at, session_id",
      )
      .iterate();
  }

  private change(body: () => void): void {
    this.file.exec("BEGIN IMMEDIATE");
    try {
      body();
      this.file.exec("COMMIT");
    } catch (error) {
      if (this.file.isTransaction) {
        this.file.exec("ROLLBACK");
      }
      throw error;
    }
  }

  private start({ session }: Told): void {
    this.file
      .prepare("INSERT INTO sessions (session_id, key, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
      .run(session.sessionId, session.key, session.createTime?.seconds ?? 0n);
  }

  private end(event: SessionEndEvent): void {
    const { eventId, revision, reason } = event.sessiond;
    this.file
      .prepare(
        "UPDATE sessions SET end_event = ?, revision = ?, reason = ?, summary = ?" +
          " WHERE session_id = ? AND end_event IS NULL",
      )
      .run(eventId, revision, reason, summary(event), event.sessionId);
    this.file.prepare("UPDATE sessions SET told = told + 1 WHERE session_id = ?").run(event.sessionId);
  }
}

/** What a person wants to remember of a session, from what its end says. */
function summary({ sessiond: { session, reason } }: SessionEndEvent): string {
  const processed = session.counts?.processed ?? 0n;
  const deadLettered = session.counts?.deadLettered ?? 0n;
  return (
    `${session.promptNumber} prompts, ${processed} messages processed, ` +
    `${deadLettered} given up; ${reason.toLowerCase()}`
  );
}
