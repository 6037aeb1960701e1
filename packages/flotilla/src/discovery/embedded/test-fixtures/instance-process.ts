// One process of a service, for tests that kill it:
//   hold DIR ID TTL_MS            registers, says so, and stays until its input ends
//   churn DIR ID TTL_MS ROUNDS    registers and deregisters an id of its own and one it shares with others, then holds
//   find DIR                      says what is registered
// DIR may be "" for the default. It says what happens, a line each.
import { background } from "../../../context/with.ts";
import { embedded } from "../embedded.ts";

const [mode, dir, id = "", ttlMs = "5000", rounds = "0"] = process.argv.slice(2);
const service = "faults.v1.Faults";
const ctx = background();
const registry = embedded({ ...(dir ? { dir } : {}), ttlMs: Number(ttlMs) });
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const instance = (name: string) => ({
  id: name,
  address: "http://127.0.0.1:1",
  metadata: { pid: String(process.pid) },
});

process.stdin.on("end", () => process.exit(0)).resume();
try {
  if (mode === "find") {
    registry.watch(service, {
      update: (instances) => say(`found ${instances.map((found) => found.id).join()}`),
      error: (error) => say(`error ${error.message}`),
    });
  } else {
    for (let i = 0; i < Number(rounds); i++) {
      const [mine, shared] = await Promise.all([
        registry.register(ctx, service, instance(`${id}-${i % 7}`)),
        registry.register(ctx, service, instance("shared")),
      ]);
      await Promise.all([mine.deregister(ctx), shared.deregister(ctx)]);
    }
    await registry.register(ctx, service, instance(id));
    say("registered");
  }
} catch (error) {
  say(`error ${(error as Error).message}`);
}
