import type { Scenario } from "./lib/scenario.ts";
import { antagonists } from "./scenarios/antagonists.ts";
import { fleet } from "./scenarios/fleet.ts";
import { overload } from "./scenarios/overload.ts";
import { registryLoss } from "./scenarios/registry-loss.ts";
import { retryStorm } from "./scenarios/retry-storm.ts";
import { rollingDeploy } from "./scenarios/rolling-deploy.ts";
import { sinkhole } from "./scenarios/sinkhole.ts";
import { slowReplica } from "./scenarios/slow-replica.ts";

/** Every scenario: one file each in scenarios/. */
export const scenarios: readonly Scenario[] = [
  overload,
  retryStorm,
  sinkhole,
  slowReplica,
  antagonists,
  rollingDeploy,
  registryLoss,
  fleet,
];
