import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { pass } from "../../clock/test-fixtures/pass.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { background, withTimeout } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import { errorInfo } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { withTrace } from "../../metadata/trace.ts";
import { channel, client } from "../../service/channel.ts";
import { host } from "../../service/host.ts";
import { implement } from "../../service/implement.ts";
import { TestRegistry } from "../../testing/test-registry.ts";
import { failureOf, readAll } from "../../testing/transport-bed.ts";
import { memory } from "../../transport/memory/memory.ts";
import { telemetry } from "../telemetry.ts";
import { annotate, log } from "./logger.ts";
import type { LogsOptions } from "./options.ts";
import { type Line, logFile } from "./test-fixtures/log-bed.ts";

const message = z.object({ n: z.number() });
const Work = contract("test.v1.Work", {
  do: unary({ input: message, output: message, idempotent: true }),
  list: serverStream({ input: message, output: message }),
});
type Client = ReturnType<typeof client<typeof Work>>;

/** Serves `work` and calls it. @returns the lines that were written. */
async function lines(
  options: LogsOptions & { traces?: false },
  work: (ctx: Context, n: number) => unknown,
  calls: (work: Client, ctx: Context, clock: VirtualClock) => Promise<unknown>,
): Promise<Line[]> {
  const file = logFile();
  const clock = new VirtualClock();
  const { traces, ...logs } = options;
  const observed = telemetry({
    service: "worker",
    env: {},
    clock,
    metrics: false,
    logs: { format: "json", ...logs, fd: file.fd },
    ...(traces === false && { traces }),
  });
  const net = memory();
  const registry = new TestRegistry();
  const running = await host({
    name: "worker",
    serve: [
      implement(Work, {
        async do(ctx, { n }) {
          await work(ctx, n);
          return { n };
        },
        async *list(ctx, { n }) {
          for (let i = 0; i < n; i++) {
            await work(ctx, i);
            yield { n: i };
          }
        },
      }),
    ],
    listen: [net.listener("worker")],
    register: registry,
    telemetry: observed,
    admin: false,
    drainDelayMs: 0,
    clock,
    onEvent() {},
  }).start();
  try {
    const over = channel({ discover: registry, transport: net, clock, telemetry: observed });
    await pass(clock, calls(client(Work, over), background(clock), clock));
    await pass(clock, over.close());
    // A disk keeps to no virtual clock: what closes waits for it for two virtual seconds.
    await observed.flush();
    await pass(clock, running.stop());
    return file.lines();
  } finally {
    file.remove();
  }
}

describe("the line a call", () => {
  test("tells method, code, time, place in the trace, peer, and what the handler adds", async () => {
    const [first, second, ...others] = await lines(
      {},
      (ctx, n) => annotate(ctx, { cargo: n, code: "forged", principal: "amy", bad: { toJSON: () => undefined } }),
      async (work, ctx) => {
        await work.do(ctx, { n: 7 });
        await readAll(work.list(withTimeout(ctx, 500), { n: 2 }));
      },
    );
    assert.deepEqual(others, []);
    const { trace_id, span_id, time, deadline_left_ms: left, ...rest } = first!;
    assert.match(String(trace_id), /^[0-9a-f]{32}$/);
    assert.match(String(span_id), /^[0-9a-f]{16}$/);
    assert.equal(typeof time, "number");
    assert.ok(Number(left) > 1000);
    assert.deepEqual(rest, {
      level: 30,
      service: "worker",
      component: "calls",
      msg: "served",
      method: "test.v1.Work/do",
      protocol: "memory",
      code: "ok",
      duration_ms: 0,
      request_bytes: 0,
      response_bytes: 0,
      peer: "memory",
      cargo: 7,
      "app.code": "forged",
      principal: "amy",
    });
    assert.deepEqual([second!["method"], second!["code"], second!["cargo"]], ["test.v1.Work/list", "ok", 1]);
    assert.ok(Number(second!["deadline_left_ms"]) <= 500);
  });

  test("what the server did wrong is an error, what the caller did wrong is not; the cause is in the log and only there", async () => {
    let told: ServiceError | undefined;
    const written = await lines(
      {},
      (_ctx, n) => {
        if (n === 1) throw new ServiceError("not_found", 'no "such"\nthing');
        throw new Error("secret reason");
      },
      async (work, ctx) => {
        await failureOf(work.do(ctx, { n: 1 }));
        told = await failureOf(work.do(ctx, { n: 2 }));
      },
    );
    assert.deepEqual(
      written.map(({ level, msg, code, error }) => [level, msg, code, error]),
      [
        [30, "served", "not_found", 'no "such"\nthing'],
        [50, "test.v1.Work/do failed with internal", undefined, undefined],
        [50, "served", "internal", "internal error"],
      ],
    );
    assert.equal((written[1]!["err"] as Line)["message"], "secret reason");
    assert.equal(written[1]!["trace_id"], written[2]!["trace_id"]);
    assert.ok(!told!.message.includes("secret"));
  });

  test("what a policy refuses is a warning, and a flood of it is held back and told of", async () => {
    const details = [errorInfo({ reason: "OVERLOADED", domain: "flotilla.dev" })];
    let calls = 0;
    const written = await lines(
      { burst: { burst: 5, perSecond: 1 } },
      () => {
        calls++;
        throw new ServiceError("unavailable", "overloaded", { details });
      },
      async (work, ctx) => {
        for (let n = 0; n < 50; n++) await failureOf(work.do(ctx, { n }));
      },
    );
    const served = written.filter(({ msg }) => msg === "served");
    assert.ok(served.length >= 5 && served.length < 10, `${served.length} lines`);
    for (const { level } of served) assert.equal(level, 40);
    const told = written.find((line) => line.msg === "lines suppressed" && line["of"] === "served: OVERLOADED");
    assert.equal(told!["suppressed"], calls - served.length);
  });

  test("LOG_LEVEL=info,calls=warn leaves the lines of failed and slow calls", async () => {
    const written = await lines(
      { level: "info,calls=warn", calls: { slowMs: 50 } },
      async (ctx, n) => {
        if (n === 2) throw new Error("x");
        if (n === 3) await sleep(ctx, 60);
      },
      async (work, ctx) => {
        for (const n of [1, 2, 3]) await work.do(ctx, { n }).catch(() => {});
      },
    );
    assert.deepEqual(
      written.map(({ level, code, duration_ms }) => [level, code, duration_ms]),
      [
        [50, undefined, undefined],
        [50, "internal", 0],
        [40, "ok", 60],
      ],
    );
  });

  test("without tracing, the caller's place in the trace is better than none", async () => {
    const written = await lines(
      { traces: false },
      () => {},
      async (work, ctx) => {
        const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        await work.do(withTrace(ctx, { traceparent, tracestate: undefined }), { n: 1 });
        await work.do(ctx, { n: 1 });
      },
    );
    assert.deepEqual(
      written.map(({ trace_id, span_id }) => [trace_id, span_id]),
      [
        ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"],
        [undefined, undefined],
      ],
    );
  });

  test("it can be left out", async () => {
    const written = await lines(
      { calls: false },
      (ctx) => log(ctx).info("own"),
      (work, ctx) => work.do(ctx, { n: 1 }),
    );
    assert.deepEqual(
      written.map(({ msg }) => msg),
      ["own"],
    );
  });

  test("additions are bounded", async () => {
    const written = await lines(
      {},
      (ctx) => {
        for (let i = 0; i < 1000; i++) annotate(ctx, { [`field${i}`]: "x".repeat(1000) });
      },
      (work, ctx) => work.do(ctx, { n: 1 }),
    );
    assert.ok(JSON.stringify(written[0]).length < 24_000, `${JSON.stringify(written[0]).length}`);
    assert.equal(written[0]!["log_cut"], true);
  });
});

describe("lines that are held back", () => {
  const debugging = async (ctx: Context, n: number): Promise<void> => {
    log(ctx, "db").debug({ n }, "asked");
    log(ctx).trace("too little");
    if (n === 2) throw new Error("x");
    if (n === 3) await sleep(ctx, 2000);
    log(ctx).info("done");
    log(ctx, "db").debug("answered");
  };

  test("are written when the call fails or is slow, as of the time they were made, and else forgotten", async () => {
    const written = await lines({}, debugging, async (work, ctx) => {
      for (const n of [1, 2, 3]) await work.do(ctx, { n }).catch(() => {});
    });
    assert.deepEqual(
      written.map(({ msg, level, n }) => [msg, level, n]),
      [
        ["done", 30, undefined],
        ["served", 30, undefined],
        ["test.v1.Work/do failed with internal", 50, undefined],
        ["asked", 20, 2],
        ["served", 50, undefined],
        ["done", 30, undefined],
        ["asked", 20, 3],
        ["answered", 20, undefined],
        ["served", 40, undefined],
      ],
    );
    const slow = written.filter(({ trace_id }) => trace_id === written.at(-1)!["trace_id"]);
    const times = Object.fromEntries(slow.map(({ msg, time }) => [msg, Number(time)]));
    assert.equal(times["answered"]! - times["asked"]!, 2000);
  });

  test("only the newest are kept, the rest is counted", async () => {
    const written = await lines(
      { hold: { lines: 3 } },
      (ctx) => {
        for (let i = 0; i < 10; i++) log(ctx).debug(`line ${i}`);
        throw new Error("x");
      },
      (work, ctx) => failureOf(work.do(ctx, { n: 1 })),
    );
    const held = written.filter(({ level }) => level === 20);
    assert.deepEqual(
      held.map(({ msg, lost }) => lost ?? msg),
      ["line 7", "line 8", "line 9", 7],
    );
  });

  test("of all calls together take bounded memory, which is free again when they end", async () => {
    let held = 0;
    const written = await lines(
      { hold: { lines: 10_000, maxChars: 65_536 } },
      (ctx, n) => {
        for (let i = 0; i < 1000; i++) log(ctx).debug({ text: "x".repeat(1000) }, "big");
        if (n > 0) throw new Error("x");
      },
      async (work, ctx) => {
        for (let n = 0; n < 20; n++) await work.do(ctx, { n: 0 });
        await failureOf(work.do(ctx, { n: 1 }));
      },
    );
    held = written.filter(({ msg }) => msg === "big").length;
    assert.ok(held > 30 && held < 66, `${held}`);
    assert.equal(written.find(({ lost }) => lost !== undefined)?.["lost"], 1000 - held);
  });

  test("can be left out, and are not kept of a silent component", async () => {
    for (const options of [{ hold: false as const }, { level: "info,db=silent" }]) {
      const written = await lines(options, debugging, (work, ctx) => failureOf(work.do(ctx, { n: 2 })));
      assert.ok(!written.some(({ msg }) => msg === "asked"), JSON.stringify(written));
    }
  });
});
