/**
 * The command line of the memory plugin.
 *
 * Keeps true: it may be killed at any moment; so a signal simply ends it, and nothing is said good-bye to. What this
 * deliberately does not do: anything but choose between its two commands.
 */

import { ConnectError } from "@connectrpc/connect";

import { run } from "./follow.js";
import { Hooks } from "./hooks.js";
import { Memory } from "./memory.js";
import { textOf } from "./refusal.js";

const USAGE = `A memory plugin for sessiond on stock stubs: a summary of every session, in SQLite, whatever is killed.

The stubs come from the contract; buf is the package @bufbuild/buf. In a copy of this folder, or in it:

    npm ci --ignore-scripts
    buf generate PATH_OF/proto
    node_modules/.bin/tsc
    node dist/main.js run 127.0.0.1:7377 memory.db
    node dist/main.js ls memory.db
`;

/** The subscription. */
const NAME = "memory";

async function main([command, ...operands]: string[]): Promise<void> {
  const [first, second] = operands;
  if (command === "run" && first !== undefined && second !== undefined && operands.length === 2) {
    const hooks = new Hooks();
    new Memory(second).register(hooks);
    await run(first, NAME, hooks);
  } else if (command === "ls" && first !== undefined && operands.length === 1) {
    for (const row of new Memory(first).rows()) {
      console.log(JSON.stringify(row));
    }
  } else {
    console.error(USAGE);
    process.exitCode = 1;
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof ConnectError ? `memory-plugin: ${textOf(error)}` : error);
  process.exitCode = 1;
}
