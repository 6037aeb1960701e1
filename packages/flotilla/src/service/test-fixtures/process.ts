// A host in a process of its own, for tests of signals and crashes. Argument: JSON, see `Setup`.
import { z } from "zod";
import { afterFunc } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { unary } from "../../contract/method.ts";
import { embedded } from "../../discovery/embedded/embedded.ts";
import { http } from "../../transport/http/server.ts";
import { host } from "../host.ts";
import { implement } from "../implement.ts";

/** What the process is asked to be. */
export interface Setup {
  /** Folder of the embedded registry; absent: not registered. */
  readonly registry?: string;
  readonly drainTimeoutMs?: number;
  readonly drainDelayMs?: number;
  /** Something that keeps the process alive for ever. */
  readonly leak?: boolean;
}

const message = z.object({ ms: z.number() });

/** Answers after a while; `pid` tells who did. `stuck` never answers. */
export const Sleeper = contract("test.v1.Sleeper", {
  sleep: unary({ input: message, output: z.object({ pid: z.number() }), idempotent: true }),
  stuck: unary({ input: message, output: message }),
});

/** To a pipe it is written before the next statement, even one that exits. */
function say(told: object): void {
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

async function main({ registry, leak, ...limits }: Setup): Promise<void> {
  const service = implement(Sleeper, {
    async sleep(ctx, { ms }) {
      await new Promise<void>((resolve) => ctx.clock.schedule(ms, resolve));
      return { pid: process.pid };
    },
    stuck(ctx) {
      say({ stuck: true });
      void afterFunc(ctx, () => say({ cut: (ctx.cause as Error).message }));
      return new Promise(() => {});
    },
  });
  if (leak) setInterval(() => {}, 1000);
  await host({
    name: "sleeper",
    serve: [service],
    listen: [http()],
    ...(registry !== undefined && { register: embedded({ dir: registry, ttlMs: 2000 }) }),
    close: [{ close: () => say({ closed: true }) }],
    onEvent(event) {
      const address = /at (http:\S+?),/.exec(event.message)?.[1];
      const admin = /admin (http:\S+)/.exec(event.message)?.[1];
      say({ event: event.event, message: event.message, address, admin });
    },
    ...limits,
  }).run();
}

if (process.argv[2] !== undefined) await main(JSON.parse(process.argv[2]) as Setup);
