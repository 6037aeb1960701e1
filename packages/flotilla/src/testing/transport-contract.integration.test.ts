import { describe, test } from "node:test";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { memory } from "../transport/memory/memory.ts";
import { transportContract } from "./transport-contract.ts";

const net = memory();
const transports = {
  memory: { listener: () => net.listener("contract"), connector: () => net },
  "HTTP/1.1": { listener: () => http(), connector: () => httpClient(), bidi: false },
  "HTTP/2": { listener: () => http(), connector: () => httpClient({ http2: true }) },
};

for (const [name, under] of Object.entries(transports)) {
  describe(`transport contract, ${name}`, () => {
    for (const { name: title, run } of transportContract(under)) test(title, { timeout: 20_000 }, run);
  });
}
