import { after, before, describe, test } from "node:test";
import { transportContract } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { natsClient } from "./client.ts";
import { nats } from "./server.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";

const skip = await skipWithout("nats-server");

describe("transport contract", { skip }, () => {
  let broker: TestNats;
  before(async () => {
    broker = await TestNats.start();
  });
  after(() => broker?.stop());
  const under = {
    listener: () => nats({ servers: broker.address }),
    connector: () => natsClient(),
    maxMessageBytes: 1024 * 1024,
  };
  for (const { name, run } of transportContract(under)) test(name, { timeout: 20_000 }, run);
});
