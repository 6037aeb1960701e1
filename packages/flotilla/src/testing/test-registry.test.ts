import { test } from "node:test";
import { instancerContract } from "./discovery-instancer-contract.ts";
import { registrarContract } from "./discovery-registrar-contract.ts";
import { TestRegistry } from "./test-registry.ts";

const instancers = instancerContract(async (initial) => {
  const registry = new TestRegistry();
  for (const [service, instances] of Object.entries(initial)) registry.set(service, instances);
  return {
    instancer: registry,
    async set(service, instances) {
      registry.set(service, instances);
    },
    async close() {},
  };
});
const registrars = registrarContract(async () => ({
  discovery: new TestRegistry(),
  async outliveLease() {},
  async close() {},
}));

for (const { name, run } of [...instancers, ...registrars]) test(name, run);
