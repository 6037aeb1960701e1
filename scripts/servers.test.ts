import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { findServer, freePort, startServer } from "./servers.ts";

/** A server in one line: listens on the given port, and prints the file that it was given. */
const program = `
  console.log(require("node:fs").readFileSync("greeting.txt", "utf8"));
  require("node:net").createServer((socket) => socket.end()).listen(Number(process.argv[1]), "127.0.0.1");
`;

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket
      .on("error", () => resolve(false))
      .on("close", () => socket.destroy())
      .resume();
  });
}

test("a server runs in its folder until it is stopped, which leaves nothing behind", async () => {
  const port = await freePort();
  const server = await startServer({
    command: process.execPath,
    args: () => ["-e", program, String(port)],
    files: { "greeting.txt": "hello" },
    ready: () => answers(port),
  });
  assert.match(server.output(), /hello/);
  assert.ok(existsSync(server.folder));
  await server.stop();
  await server.stop();
  assert.equal(await answers(port), false);
  assert.equal(existsSync(server.folder), false);
  assert.throws(() => process.kill(server.pid, 0));
});

test("a server that ends, is never ready or does not exist says what happened", async () => {
  const never = (): Promise<boolean> => Promise.resolve(false);
  const node = (code: string, timeoutMs = 10_000) =>
    startServer({ command: process.execPath, args: () => ["-e", code], ready: never, timeoutMs });
  await assert.rejects(node("console.error('no such option'); process.exit(3)"), /ended \(3\)[^]*no such option/);
  await assert.rejects(node("setInterval(() => {}, 1000)", 200), /was not ready in 200 ms/);
  await assert.rejects(
    startServer({ command: "/no/such/program", args: () => [], ready: never }),
    /could not start[^]*ENOENT/,
  );
});

test("a program on PATH is found", async () => {
  const found = await findServer("curl");
  assert.ok(found.path === undefined ? found.missing.length > 0 : existsSync(found.path));
});

test("a free port is none that the system gives to whoever asks for any", async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, freePort));
  for (const port of ports) assert.ok(port >= 20_000 && port < 32_768, String(port));
});

test("of a server that printed much, the error tells the end", async () => {
  const code = "for (let n = 1; n <= 500; n++) console.log(`line ${n} of 500`); process.exitCode = 1";
  const start = startServer({ command: process.execPath, args: () => ["-e", code], ready: async () => false });
  await assert.rejects(start, ({ message }: Error) => /line 500 of/.test(message) && !/line 400 of/.test(message));
});
