// A RabbitMQ for whoever starts this process, which tells its port (`{ port }`, over IPC) and ends with it.
import { startRabbit } from "./rabbitmq.ts";

const rabbit = await startRabbit();

async function end(): Promise<void> {
  await rabbit.kill();
  await rabbit.stop();
  process.exit(0);
}

process.once("SIGTERM", () => void end());
process.once("disconnect", () => void end());
process.send?.({ port: rabbit.port });
