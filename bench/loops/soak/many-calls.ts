// Calls without end: a channel, the memory transport and two hosts, with all that stands around a call by default, a breaker an instance
// and hedges besides; some calls in a hundred have trouble. After each round it prints what is in use. Arguments: rounds, calls a round.
import { getEventListeners } from "node:events";
import { background, type Context, sleep, withCancel, withTimeout } from "flotilla/context";
import { contract, serverStream, unary } from "flotilla/contract";
import { ServiceError } from "flotilla/errors";
import { memory } from "flotilla/memory";
import { circuitBreaker } from "flotilla/resilience";
import { channel, client, host, implement } from "flotilla/service";
import { z } from "zod";
import { MAX_GROWTH_BYTES, playRounds, resourcesLeft, say } from "./rounds.ts";

const [rounds = 10, calls = 1_000_000] = process.argv.slice(2).map(Number);

const message = z.object({ n: z.number() });
const Work = contract("soak.v1.Work", {
  do: unary({ input: message, output: message, idempotent: true }),
  list: serverStream({ input: message, output: message }),
});
type Message = z.infer<typeof message>;

const net = memory();
let outage = false;

async function work(ctx: Context, request: Message, instance: number): Promise<Message> {
  const fate = request.n % 1000;
  if (instance === 0 && (outage || fate % 100 === 1)) throw new ServiceError("unavailable", "broken");
  if (fate === 2) await sleep(ctx, 60_000);
  if (fate === 3) await sleep(ctx, 30);
  return request;
}

const hosts = await Promise.all(
  [0, 1].map((instance) =>
    host({
      name: `work-${instance}`,
      serve: [
        implement(Work, {
          do: (ctx, request) => work(ctx, request, instance),
          async *list(_ctx, { n }) {
            for (let i = 0; i < 3; i++) yield { n: n + i };
          },
        }),
      ],
      listen: [net.listener(`work-${instance}`)],
      admin: false,
      onEvent() {},
      onError() {},
    }).start(),
  ),
);
const breakers: ReturnType<typeof circuitBreaker>[] = [];
const over = channel({
  discover: hosts.flatMap(({ addresses }) => addresses),
  transport: net,
  hedge: { delayMs: 10 },
  perInstance() {
    const breaker = circuitBreaker({ openMs: 20, maxOpenMs: 20 });
    breakers.push(breaker);
    return [breaker];
  },
});
const service = client(Work, over);
const root = withCancel(background());
// Asked for, so that what hangs on it is seen.
const { signal } = root;

async function call(n: number): Promise<void> {
  switch (n % 1000) {
    case 2: {
      const ctx = withTimeout(root, 5);
      try {
        await service.do(ctx, { n });
      } finally {
        ctx.cancel();
      }
      return;
    }
    case 4: {
      const ctx = withCancel(root);
      const pending = service.do(ctx, { n });
      ctx.cancel();
      await pending;
      return;
    }
    case 5:
      for await (const _ of service.list(root, { n }));
      return;
    case 6:
      for await (const _ of service.list(root, { n })) return;
      return;
    default:
      await service.do(root, { n });
  }
}

const listeners = (): number =>
  getEventListeners(signal, "abort").length + ((root as unknown as { listeners?: Set<unknown> }).listeners?.size ?? 0);

const { gained, outcomes } = await playRounds(
  rounds,
  calls,
  (n) => {
    // Two thousand calls of half a million meet a dead instance.
    outage = n % 500_000 < 2000;
    return call(n);
  },
  { title: "listeners", value: listeners },
);
const openings = breakers.flatMap((breaker) => breaker.breakers).reduce((sum, state) => sum + state.openings, 0);
const left = listeners();
await over.close();
for (const running of hosts) await running.stop();
root.cancel();
const resources = resourcesLeft();
say(`outcomes ${JSON.stringify(outcomes)}, circuits opened ${openings} times`);
say(
  `heap gained since the first round: ${gained.toLocaleString("en-US")} bytes; listeners ${left}; handles and timers ${resources}`,
);
process.exitCode = gained > MAX_GROWTH_BYTES || left > 0 || resources > 0 ? 1 : 0;
