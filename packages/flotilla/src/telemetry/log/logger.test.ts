import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { background } from "../../context/with.ts";
import type { LogData } from "../model.ts";
import { withSpan } from "../trace/current-span.ts";
import { bed } from "../trace/test-fixtures/recorder.ts";
import { log, loggerOf, withLogFields, withLogging } from "./logger.ts";
import { Logging } from "./logging.ts";
import { logFile, logged } from "./test-fixtures/log-bed.ts";

/** Where virtual clocks begin. */
const START = Date.UTC(2000, 0, 1);

describe("log(ctx)", () => {
  test("a message, fields and a message, an error and a message", async () => {
    const lines = await logged({ base: { service: "shop", region: "eu" } }, (logging) => {
      const ctx = withLogging(background(), logging);
      log(ctx).info("plain");
      log(ctx, "db").warn({ rows: 3 }, "slow");
      log(ctx).error(new TypeError("broken"), "could not");
      log(ctx).error(new TypeError("broken"));
      log(ctx).error("thrown text", "could not");
    });
    assert.deepEqual(lines[0], { level: 30, time: START, service: "shop", region: "eu", msg: "plain" });
    assert.deepEqual(lines[1], {
      level: 40,
      time: START,
      service: "shop",
      region: "eu",
      component: "db",
      rows: 3,
      msg: "slow",
    });
    const { err, msg } = lines[2] as { err: Record<string, unknown>; msg: string };
    assert.deepEqual([msg, err["type"], err["message"]], ["could not", "TypeError", "broken"]);
    assert.equal(lines[3]!["msg"], "broken");
    assert.deepEqual([lines[4]!["err"], lines[4]!["msg"]], ["thrown text", "could not"]);
  });

  test("lines carry the trace of their context, and the fields given to it or to a child", async () => {
    const { tracer } = bed();
    const span = tracer.startSpan("work");
    const lines = await logged({}, (logging) => {
      const ctx = withLogFields(withSpan(withLogging(background(), logging), span), { cargo: 7, trace_id: "forged" });
      log(ctx).info("in span");
      log(ctx).child({ leg: 1 }).child({ leg: 2, msg: "forged" }).info({ cargo: 8 }, "nearer wins");
    });
    const { traceId, spanId } = span.spanContext();
    assert.deepEqual(
      lines.map(({ level: _, time: __, service: ___, ...rest }) => rest),
      [
        { trace_id: traceId, span_id: spanId, cargo: 7, "app.trace_id": "forged", msg: "in span" },
        {
          trace_id: traceId,
          span_id: spanId,
          cargo: 8,
          "app.trace_id": "forged",
          leg: 2,
          "app.msg": "forged",
          msg: "nearer wins",
        },
      ],
    );
    span.end();
  });

  test("no text starts a line of its own", async () => {
    const hostile = 'x\n{"level":60,"msg":"forged"}\r\u2028';
    const lines = await logged({}, (logging) => {
      loggerOf(logging).info({ hostile, [hostile]: 1, err: { deep: hostile } }, hostile);
      logging.pino.info({ hostile }, hostile);
      logging.pino.child({ hostile }).info("%s", hostile);
    });
    assert.equal(lines.length, 3);
    assert.ok(lines.every(({ level }) => level === 30));
    assert.equal(lines[0]!["msg"], hostile);
  });

  test("a library that was given pino is treated alike: redacted, contained, limited", async () => {
    const lines = await logged({ redact: ["token"], burst: { burst: 2, perSecond: 1 } }, (logging) => {
      const cycle: Record<string, unknown> = {};
      cycle["cycle"] = cycle;
      logging.pino.child({ token: "s", hasOwnProperty: 1 }).warn({ token: "s", cycle }, "from %s", "there");
      logging.pino.error(new Error("x"));
      for (let i = 0; i < 5; i++) logging.pino.info("same");
    });
    assert.ok(!JSON.stringify(lines).includes('"s"'));
    assert.equal(lines[0]!["msg"], "from there");
    assert.equal((lines[1]!["err"] as Record<string, unknown>)["message"], "x");
    assert.equal(lines.filter(({ msg }) => msg === "same").length, 2);
    const about = lines.find(({ msg }) => msg === "lines suppressed");
    assert.deepEqual([about?.["suppressed"], about?.["of"], about?.["level"]], [3, "same", 30]);
  });

  test("a line is never longer than its limit", async () => {
    const lines = await logged({ limits: { lineLength: 2000 } }, (logging) => {
      const text = '"\u0000'.repeat(10_000);
      loggerOf(logging).info({ a: text, b: text, c: { [text]: text }, err: new Error(text) }, text);
    });
    assert.ok(JSON.stringify(lines[0]).length <= 2600, `${JSON.stringify(lines[0]).length}`);
    assert.equal(lines[0]!["log_cut"], true);
  });

  test("serializers write a field in their own way; one that throws costs its field", async () => {
    const lines = await logged(
      {
        serializers: {
          user: ({ id }: { id: number }) => id,
          bad() {
            throw new Error("none");
          },
        },
      },
      (logging) => loggerOf(logging).info({ user: { id: 7, name: "x" }, bad: 1, ok: 2 }, "m"),
    );
    assert.deepEqual([lines[0]!["user"], lines[0]!["bad"], lines[0]!["ok"]], [7, "[unreadable: none]", 2]);
  });

  test("records for a collector have what the line has, by OpenTelemetry's data model", async () => {
    const records: LogData[] = [];
    const { tracer } = bed();
    const span = tracer.startSpan("work");
    await logged({ redact: ["secret"], sinks: [{ emit: (record) => records.push(record) }] }, (logging) => {
      const ctx = withSpan(withLogging(background(), logging), span);
      log(ctx, "db").error({ secret: "s", n: 1, list: [1] }, "one");
      log(ctx).warn(new RangeError("two"));
    });
    const [one, two] = records as [LogData, LogData];
    assert.deepEqual(
      [one.severityNumber, one.severityText, one.body, one.scope.name, one.traceId, one.spanId, one.traceFlags & 1],
      [17, "ERROR", "one", "db", span.spanContext().traceId, span.spanContext().spanId, 1],
    );
    assert.deepEqual(one.attributes, ["service", "test", "secret", "[redacted]", "n", 1, "list", "[1]"]);
    const attributes = two.attributes;
    assert.equal(attributes[attributes.indexOf("exception.type") + 1], "RangeError");
    assert.equal(attributes[attributes.indexOf("exception.message") + 1], "two");
    span.end();
  });

  test("logfmt and pretty: one line each, nothing that a terminal would obey", async () => {
    for (const [format, first] of [
      ["logfmt", 'time=2000-01-01T00:00:00.000Z level=info msg="a b" service=test n=1 text="x\\ny=\\u001b[31m" '],
      ["pretty", '00:00:00.000 INFO  a b n=1 text="x\\ny=\\u001b[31m" '],
    ] as const) {
      const file = logFile();
      const logging = new Logging({ format, fd: file.fd }, { env: {}, clock: new VirtualClock(), service: "test" });
      loggerOf(logging).info({ n: 1, text: "x\ny=\u001B[31m", "bad\u001Bname": true }, "a b");
      await logging.close();
      const text = file.text();
      assert.ok(text.startsWith(first), text);
      assert.equal(text.split("\n").length, 2, text);
      assert.ok(!text.includes("\u001B"), JSON.stringify(text));
      file.remove();
    }
  });
});
