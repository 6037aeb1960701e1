import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { background } from "flotilla/context";
import { implement } from "flotilla/service";
import { faultProxy } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { freePort, skipWithout } from "../../../scripts/servers.ts";
import { amqp } from "./listener.ts";
import { Tracking } from "./test-fixtures/cargo.ts";

const skip = await skipWithout("rabbitmq-server");

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

describe("a process whose client and publishers are not closed", { skip, timeout: 60_000 }, () => {
  for (const lost of [false, true]) {
    test(`ends when nothing is under way${lost ? ", though its broker is lost" : ""}, and not before`, async (t) => {
      const service = implement(Tracking, { find: (_ctx, cargo) => cargo, book: (_ctx, cargo) => cargo });
      const serving = await amqp({ url: rabbit.url }).listen([service], background());
      const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
      const file = join(import.meta.dirname, "test-fixtures", "idle-process.ts");
      const url = `amqp://127.0.0.1:${proxy.port}`;
      const args = [file, url, `amqp://127.0.0.1:${await freePort()}`, lost ? "500" : "0"];
      const child = spawn(process.execPath, ["--conditions=@flotilla/source", ...args], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      t.after(() => child.kill("SIGKILL"));
      t.after(() => serving.close());
      t.after(() => proxy.close());
      const ended = once(child, "exit");
      let text = "";
      for await (const piece of child.stdout.setEncoding("utf8")) {
        text += piece;
        if (lost) await proxy.close();
      }
      assert.equal(text, '[{"n":1},null,{"n":2},null,"deadline_exceeded","deadline_exceeded"]');
      assert.deepEqual(await ended, [0, null]);
    });
  }
});
