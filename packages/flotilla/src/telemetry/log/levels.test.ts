import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AdminRequest } from "../../endpoint/telemetry-port.ts";
import { levelRoute } from "./level-route.ts";
import { parseLevels } from "./levels.ts";
import { loggerOf } from "./logger.ts";
import type { Logging } from "./logging.ts";
import { logged } from "./test-fixtures/log-bed.ts";

describe("LOG_LEVEL", () => {
  test("a level for all and for components, in any case, with spaces", () => {
    assert.deepEqual(
      { ...parseLevels(" WARN , db=Debug,http.client=silent ") },
      {
        level: "warn",
        components: Object.assign(Object.create(null), { db: "debug", "http.client": "silent" }),
      },
    );
    assert.equal(parseLevels("").level, undefined);
    assert.equal(parseLevels("db=inherit").components["db"], undefined);
  });

  test("what cannot be read is refused, showing it and what would be right", () => {
    for (const [text, message] of [
      ["loud", /"loud" is none of trace, debug, info, warn, error, fatal, silent/],
      ["info,warn", /two levels for all/],
      ["db=debug,db=info", /component db twice/],
      ["a b=info", /"a b" is no name of a component/],
      ["inherit", /"inherit" is none of/],
      [`x=${"y".repeat(1000)}`, /^LOG_LEVEL: "y{64}…"/],
    ] as const) {
      assert.throws(() => parseLevels(text), { name: "RangeError", message });
    }
  });
});

describe("levels while the program runs", () => {
  /** Which of these components write a debug line. */
  function debugging(logging: Logging, ...components: string[]): string[] {
    return components.filter((name) => loggerOf(logging, name).isEnabled("debug"));
  }

  test("loggers that exist follow, also pino's; a component follows the one above it", async () => {
    const lines = await logged({ level: "info" }, (logging) => {
      const pool = loggerOf(logging, "db.pool");
      const pino = logging.table.of("db.pool").pino;
      pool.debug("no");
      pino.debug("no");
      logging.table.set(undefined, { db: "debug" });
      pool.debug("yes");
      pino.debug("yes, pino");
      logging.table.set("error", { db: undefined });
      pool.warn("no");
      pino.warn("no");
      pool.error("last");
    });
    assert.deepEqual(
      lines.map(({ msg, component, level }) => [msg, component, level]),
      [
        ["yes", "db.pool", 20],
        ["yes, pino", "db.pool", 20],
        ["last", "db.pool", 50],
      ],
    );
  });

  test("the page of the admin port shows, changes and resets them", async () => {
    await logged({ level: "warn,db=debug" }, (logging) => {
      const route = levelRoute(logging.table);
      const ask = (method: string, body = ""): Record<string, unknown> => {
        const request: AdminRequest = { method, query: new URLSearchParams(), headers: {}, body };
        const { status, body: text } = route(request) as { status: number; body: string };
        return { status, ...(JSON.parse(text) as Record<string, unknown>) };
      };
      loggerOf(logging, "db.pool");
      assert.deepEqual(ask("GET"), {
        status: 200,
        level: "warn",
        components: { db: "debug" },
        debug: false,
        effective: { "db.pool": "debug" },
      });
      assert.deepEqual(ask("PUT", "db=inherit,cache=trace")["components"], { cache: "trace" });
      assert.deepEqual(debugging(logging, "db.pool", "cache", "cache.local", "other"), ["cache", "cache.local"]);
      assert.equal(ask("PUT", "info,db=loud").status, 400);
      assert.match(String(ask("PUT", "nonsense")["error"]), /"nonsense" is none of/);
      assert.match(String(ask("PUT", "")["error"]), /empty/);
      assert.equal(ask("POST", "debug").status, 405);
      assert.equal(ask("GET")["level"], "warn", "what was refused has changed nothing");
      assert.deepEqual(ask("DELETE")["components"], { db: "debug" });
      assert.deepEqual(debugging(logging, "db.pool", "cache"), ["db.pool"]);
    });
  });

  test("all debug lines are switched on and off, whatever the thresholds say", async () => {
    await logged({ level: "warn,db=silent" }, (logging) => {
      assert.equal(logging.table.toggleDebug(), true);
      assert.deepEqual(debugging(logging, "db", "other"), ["db", "other"]);
      assert.equal(logging.table.toggleDebug(), false);
      assert.deepEqual(debugging(logging, "db", "other"), []);
    });
  });

  test("more components than a thousand log as the root does, so that names from input cannot fill the memory", async () => {
    const lines = await logged({}, (logging) => {
      for (let i = 0; i < 1100; i++) loggerOf(logging, `c${i}`);
      loggerOf(logging, "c1099").info("still written");
      assert.equal(logging.table.names.length, 1000);
    });
    assert.deepEqual([lines[0]!["msg"], lines[0]!["component"]], ["still written", undefined]);
  });
});
