// Servers that go away under load: no call fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { background } from "../../context/with.ts";
import type { Listener } from "../../endpoint/transport.ts";
import { client } from "../../service/channel.ts";
import { host } from "../../service/host.ts";
import type { RunningHost } from "../../service/host-options.ts";
import { implement } from "../../service/implement.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import { grpc } from "./server.ts";
import { TestContract, testService } from "./test-fixtures/interop-flotilla.ts";
import { grpcJsClient } from "./test-fixtures/interop-grpc-js.ts";

nothingEscapes();

/** Calls from 32 callers, without pause. A call that fails ends them all. */
class Load {
  calls = 0;
  #going = true;
  readonly #callers: Promise<unknown>;

  constructor(call: () => Promise<unknown>) {
    const caller = async (): Promise<void> => {
      while (this.#going) {
        await call();
        this.calls++;
      }
    };
    this.#callers = Promise.all(Array.from({ length: 32 }, caller)).finally(() => {
      this.#going = false;
    });
    // Told by `end`.
    this.#callers.catch(() => {});
  }

  /** Resolves when so many more have been answered, or one has failed. */
  async more(count: number): Promise<void> {
    const enough = this.calls + count;
    while (this.#going && this.calls < enough) await new Promise((resolve) => setImmediate(resolve));
  }

  /** @throws what a call has failed with. */
  async end(): Promise<void> {
    this.#going = false;
    await this.#callers;
  }
}

const ports: Readonly<Record<string, () => Listener>> = {
  "a port of its own": () => grpc(),
  "the port of HTTP": () => http({ protocols: [grpc()] }),
};

for (const [name, listener] of Object.entries(ports)) {
  test(`clients of grpc-js go elsewhere: ${name}`, async (t) => {
    const listen = () => listener().listen([implement(TestContract, testService)], background());
    const [first, second] = [await listen(), await listen()];
    t.after(() => Promise.all([first.close(), second.close()]));
    const target = `ipv4:${[first, second].map(({ address }) => new URL(address).host).join(",")}`;
    const clients = Array.from({ length: 5 }, () => grpcJsClient(target));
    t.after(() => {
      for (const each of clients) each.close();
    });
    let n = 0;
    const load = new Load(() => clients[n++ % clients.length]!.unaryCall({ responseSize: 10 }));
    await load.more(500);
    const { connections } = first;
    first.discourage();
    await load.more(500);
    assert.equal(first.connections, connections, "nobody is sent away before they had time to go");
    await first.drain();
    await load.more(500);
    await load.end();
    assert.ok(load.calls >= 1500);
    assert.equal(first.connections, 0);
  });

  test(`each of two instances is replaced, one after the other: ${name}`, async (t) => {
    const start = (port: number): Promise<RunningHost> => {
      const listen = name === "the port of HTTP" ? http({ port, protocols: [grpc()] }) : grpc({ port });
      const serve = [implement(TestContract, testService)];
      return host({ name: "test", serve, listen: [listen], drainDelayMs: 0, admin: false, onEvent: () => {} }).start();
    };
    const instances = [await start(0), await start(0)];
    t.after(() => Promise.all(instances.map((instance) => instance.stop())));
    const discover = instances.map(({ addresses }) => `grpc://${new URL(addresses[0]!).host}`);
    const calls = client(TestContract, { discover, transport: grpcClient() });
    t.after(() => calls[Symbol.asyncDispose]());
    const load = new Load(() => calls.unaryCall(background(), { responseSize: 10 }));
    for (const [place, instance] of instances.entries()) {
      await load.more(500);
      await instance.stop();
      await load.more(500);
      instances[place] = await start(Number(new URL(discover[place]!).port));
      // Taken into the balance again before the other one goes.
      await load.more(2000);
    }
    await load.end();
    assert.ok(load.calls >= 6000);
  });
}
