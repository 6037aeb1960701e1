import type { TestContext } from "node:test";
import { type Channel, type ChannelModel, connect, type GetMessage } from "amqplib";

/** A foreign client: the client library by itself, closed with the test. */
export async function foreign(t: TestContext, url: string): Promise<{ connection: ChannelModel; channel: Channel }> {
  const connection = await connect(url);
  connection.on("error", () => {});
  t.after(() => connection.close().catch(() => {}));
  const channel = await connection.createChannel();
  return { connection, channel };
}

/** Waits until a queue has so many messages, looking every few milliseconds. */
export async function hasMessages(channel: Channel, queue: string, count: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { messageCount } = await channel.checkQueue(queue);
    if (messageCount === count) return;
    if (tries > 1000) throw new Error(`${queue} has ${messageCount} messages, and does not come to ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Takes all messages out of a queue. */
export async function takeAll(channel: Channel, queue: string): Promise<GetMessage[]> {
  const messages: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return messages;
    messages.push(message);
  }
}
