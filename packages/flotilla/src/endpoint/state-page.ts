import type { Policy } from "./policy.ts";
import type { StateReport } from "./state-report.ts";
import type { AdminRoute } from "./telemetry-port.ts";

/** Records of policies on one page; what is more is only counted. */
const MAX_RECORDS = 1000;

/**
 * A page that tells, as JSON, how things stand: listeners, connections, instances, and every policy around calls, one record for each
 * thing it keeps apart. What several have in common is told once.
 */
export function statePage(report: (to: StateReport) => void): AdminRoute {
  return ({ method }) => {
    if (method !== "GET" && method !== "HEAD") return json(405, { error: "use GET" });
    const listeners: object[] = [];
    const connections: object[] = [];
    const instances: object[] = [];
    const policies: object[] = [];
    const told = new Set<Policy>();
    let leftOut = 0;
    report({
      listener: (address, open) => listeners.push({ address, connections: open }),
      pool: (address, state) => connections.push({ address, ...state }),
      instances: (service, up, down) => instances.push({ service, up, down }),
      policy(policy, instance) {
        if (told.has(policy)) return;
        told.add(policy);
        for (const record of policy.describe()) {
          if (policies.length === MAX_RECORDS) leftOut++;
          else policies.push({ policy: policy.name, ...(instance && { instance: instance.address }), ...record });
        }
      },
    });
    return json(200, { listeners, connections, instances, policies, ...(leftOut > 0 && { policiesLeftOut: leftOut }) });
  };
}

function json(status: number, body: object): { status: number; contentType: string; body: string } {
  return { status, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}
