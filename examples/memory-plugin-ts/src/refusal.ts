/**
 * What the server means by an error, and whether to try again.
 *
 * Keeps true: whatever a restart of either side can mend is not fatal. What this deliberately does not do: tell the
 * reasons apart beyond that; the text of the server is for people and is passed on.
 */

import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Code, type ConnectError } from "@connectrpc/connect";

/** What no retry mends: a subscription that is another one, was forgotten, or fell too far behind. */
const FATAL: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.Unimplemented,
]);

/** Another run reads: this one stands by. */
const ANOTHER_READS: ReadonlySet<string> = new Set(["LEASE_HELD", "LEASE_FENCED"]);

/** Whether no retry mends it. */
export function isFatal(error: ConnectError): boolean {
  return FATAL.has(error.code) && !ANOTHER_READS.has(reasonOf(error));
}

/** For a person to read. */
export function textOf(error: ConnectError): string {
  const reason = reasonOf(error);
  return reason === "" ? error.message : `${error.message} (${reason})`;
}

/** The reason of the refusal, as the contract names it. Empty: the error is not one. */
function reasonOf(error: ConnectError): string {
  for (const detail of error.details) {
    if ("type" in detail && detail.type === "google.rpc.ErrorInfo") {
      return firstText(detail.value);
    }
  }
  return "";
}

/** The field 1 of a message, which of an ErrorInfo is its reason. Stubs of it would be one more thing to generate. */
function firstText(message: Uint8Array): string {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === 1) {
      return reader.string();
    }
    reader.skip(type);
  }
  return "";
}
