// gRPC's published interoperability cases, against Debian's grpcio for Python, both ways.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { serverPath, skipWithout } from "../../../../../scripts/servers.ts";
import { background, withValue } from "../../context/with.ts";
import { errorReporterKey } from "../../endpoint/report.ts";
import type { Listener } from "../../endpoint/transport.ts";
import { implement } from "../../service/implement.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import { grpc } from "./server.ts";
import { interopCases } from "./test-fixtures/interop-cases.ts";
import { interopClient, TestContract, testService } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

const skip = await skipWithout("python3 with grpc");
const script = join(import.meta.dirname, "test-fixtures", "interop_peer.py");

async function pythonServer(t: TestContext): Promise<string> {
  const child = spawn(await serverPath("python3 with grpc"), [script, "server"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(async () => {
    const gone = once(child, "exit");
    child.stdin.end();
    await gone;
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return `grpc://127.0.0.1:${Number(line.toString())}`;
}

describe("Flotilla to grpcio", { skip }, () => {
  for (const compress of [false, true]) {
    test(`every case${compress ? ", compressed" : ""}`, async (t) => {
      const connection = grpcClient({ compress }).connect(await pythonServer(t));
      t.after(() => connection.close());
      for (const [name, run] of Object.entries(interopCases)) {
        await t.test(name, { timeout: 20_000 }, () => run(interopClient(connection)));
      }
    });
  }
});

describe("grpcio to Flotilla", { skip }, () => {
  const listeners: Readonly<Record<string, () => Listener>> = {
    "on a port of its own": () => grpc(),
    compressed: () => grpc({ compressMinBytes: 0 }),
    "on the port of HTTP": () => http({ protocols: [grpc()] }),
  };
  for (const [name, listener] of Object.entries(listeners)) {
    test(`every case, ${name}`, { timeout: 60_000 }, async (t) => {
      const root = withValue(background(), errorReporterKey, () => {});
      const listening = await listener().listen([implement(TestContract, testService)], root);
      t.after(() => listening.close());
      const args = [script, "client", new URL(listening.address).host];
      const { stdout } = await promisify(execFile)(await serverPath("python3 with grpc"), args);
      // Once plain, once with compressed requests.
      const cases = Object.keys(interopCases).toSorted();
      assert.deepEqual(stdout.trim().split("\n").toSorted(), [...cases, ...cases].toSorted());
    });
  }
});
