import type { AdminResponse, AdminRoute } from "../../endpoint/telemetry-port.ts";
import type { LevelTable } from "./level-table.ts";
import { parseLevels, type Threshold } from "./levels.ts";

/** Where the admin port has it. */
export const LEVEL_PATH = "/log/level";

/**
 * The page of the admin port for thresholds: `GET` shows them, `PUT` with `warn,db=debug` changes those it names (`db=inherit` takes one
 * back), `DELETE` goes back to those of the start. What it answers is what is in force then.
 *
 * `PUT` and `DELETE` are no simple requests of a browser's: no foreign page can send them.
 */
export function levelRoute(table: LevelTable): AdminRoute {
  return ({ method, body }) => {
    switch (method) {
      case "GET":
      case "HEAD":
        return shown(table);
      case "PUT":
        try {
          const { level, components } = parseLevels(body, "the body");
          if (level === undefined && Object.keys(components).length === 0) {
            throw new RangeError("the body is empty: send a level and components (as in info,db=debug)");
          }
          table.set(level, components);
          return shown(table);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          return answer(400, { error: error.message });
        }
      case "DELETE":
        table.reset();
        return shown(table);
      default:
        return answer(405, { error: "use GET, PUT or DELETE" });
    }
  };
}

function shown(table: LevelTable): AdminResponse {
  const effective: Record<string, Threshold> = Object.create(null) as Record<string, Threshold>;
  for (const name of table.names) effective[name] = table.effective(name);
  return answer(200, { ...table.get(), effective });
}

function answer(status: number, body: object): AdminResponse {
  return { status, contentType: "application/json", body: `${JSON.stringify(body)}\n` };
}
