import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../clock/system-clock.ts";
import { background } from "../../context/with.ts";
import type { Instance } from "../../endpoint/instance.ts";
import { instancerContract } from "../../testing/discovery-instancer-contract.ts";
import { registrarContract } from "../../testing/discovery-registrar-contract.ts";
import type { Registration } from "../discovery.ts";
import { embedded } from "./embedded.ts";

const ctx = background();

async function makeRegistrar() {
  const dir = await mkdtemp(join(tmpdir(), "flotilla-embedded-"));
  return {
    discovery: embedded({ dir, ttlMs: 300, pollMs: 50 }),
    outliveLease: () => new Promise<void>((resolve) => systemClock.schedule(700, resolve)),
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

async function makeInstancer(initial: Readonly<Record<string, readonly Instance[]>>) {
  const dir = await mkdtemp(join(tmpdir(), "flotilla-embedded-"));
  // Two of them, as two processes would: nothing is known to the one but through the folder.
  const [writer, reader] = [embedded({ dir }), embedded({ dir })];
  const held = new Map<string, Registration>();
  const set = async (service: string, instances: readonly Instance[]): Promise<void> => {
    for (const instance of instances) {
      const key = `${service} ${instance.id}`;
      if (!held.has(key)) held.set(key, await writer.register(ctx, service, instance));
    }
    for (const [key, registration] of held) {
      if (!key.startsWith(`${service} `) || instances.some(({ id }) => key === `${service} ${id}`)) continue;
      held.delete(key);
      await registration.deregister(ctx);
    }
  };
  for (const [service, instances] of Object.entries(initial)) await set(service, instances);
  return {
    instancer: reader,
    set,
    async close() {
      for (const registration of held.values()) await registration.deregister(ctx);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

for (const { name, run } of registrarContract(makeRegistrar)) test(`embedded: ${name}`, run);
for (const { name, run } of instancerContract(makeInstancer)) test(`embedded: ${name}`, run);
