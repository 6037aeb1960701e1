import type { Scenario } from "./lib/scenario.ts";
import { antagonists } from "./scenarios/antagonists.ts";
import { clockSkew } from "./scenarios/clock-skew.ts";
import { fleet } from "./scenarios/fleet.ts";
import { hopeless } from "./scenarios/hopeless.ts";
import { limits } from "./scenarios/limits.ts";
import { metastability } from "./scenarios/metastability.ts";
import { outage } from "./scenarios/outage.ts";
import { overload } from "./scenarios/overload.ts";
import { partition } from "./scenarios/partition.ts";
import { registryLoss } from "./scenarios/registry-loss.ts";
import { retryStorm } from "./scenarios/retry-storm.ts";
import { rollingDeploy } from "./scenarios/rolling-deploy.ts";
import { sinkhole } from "./scenarios/sinkhole.ts";
import { slowReplica } from "./scenarios/slow-replica.ts";
import { thunderingHerd } from "./scenarios/thundering-herd.ts";

/** Every scenario: one file each in scenarios/. */
export const scenarios: readonly Scenario[] = [
  overload,
  limits,
  hopeless,
  metastability,
  retryStorm,
  outage,
  sinkhole,
  slowReplica,
  antagonists,
  rollingDeploy,
  registryLoss,
  partition,
  clockSkew,
  thunderingHerd,
  fleet,
];
