import { after, before, describe, test } from "node:test";
import { transportContract } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { amqpClient } from "./client.ts";
import { amqp } from "./listener.ts";

const skip = await skipWithout("rabbitmq-server");

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

describe("contract", { skip }, () => {
  const under = {
    listener: () => amqp({ url: rabbit.url }),
    connector: () => amqpClient({ maxReconnectMs: 20 }),
    streams: false,
  };
  for (const { name, run } of transportContract(under)) test(name, { timeout: 20_000 }, run);
});
