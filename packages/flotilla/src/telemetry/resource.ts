import { randomUUID } from "node:crypto";
import type { Attributes } from "@opentelemetry/api";
import type { Environment, Resource } from "./model.ts";

/** What {@link resourceFrom} is told by the program itself; it goes before the environment. */
export interface ResourceOptions {
  readonly service?: string | undefined;
  readonly version?: string | undefined;
  readonly attributes?: Attributes | undefined;
}

/**
 * Who emits telemetry, by the resource semantic conventions of OpenTelemetry: what the program says, else `OTEL_SERVICE_NAME` and
 * `OTEL_RESOURCE_ATTRIBUTES`, and what every process knows of itself.
 *
 * @returns the resource, and one sentence for each variable that could not be used.
 */
export function resourceFrom(
  options: ResourceOptions,
  env: Environment,
): { readonly resource: Resource; readonly errors: readonly string[] } {
  const errors: string[] = [];
  const given = parseAttributes(env["OTEL_RESOURCE_ATTRIBUTES"], errors);
  const named = options.service ?? nonEmpty(env["OTEL_SERVICE_NAME"]) ?? given["service.name"];
  const attributes: Attributes = {
    "telemetry.sdk.name": "flotilla",
    "telemetry.sdk.language": "nodejs",
    "process.pid": process.pid,
    "process.runtime.name": "nodejs",
    "process.runtime.version": process.versions.node,
    "service.instance.id": randomUUID(),
    ...given,
    ...options.attributes,
    "service.name": named ?? "unknown_service:node",
    ...(options.version !== undefined && { "service.version": options.version }),
  };
  return { resource: { attributes }, errors };
}

/** `name=value,name=value`, values percent-encoded (the form of W3C baggage). One bad member makes the whole void, as specified. */
function parseAttributes(text: string | undefined, errors: string[]): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const member of nonEmpty(text)?.split(",") ?? []) {
    const at = member.indexOf("=");
    const name = member.slice(0, Math.max(0, at)).trim();
    let value: string | undefined;
    try {
      value = decodeURIComponent(member.slice(at + 1).trim());
    } catch {
      value = undefined;
    }
    if (name === "" || value === undefined) {
      errors.push(
        `OTEL_RESOURCE_ATTRIBUTES has ${JSON.stringify(member.slice(0, 64))}, which is not name=value with a percent-encoded value: all of it is ignored`,
      );
      return {};
    }
    attributes[name] = value;
  }
  return attributes;
}

function nonEmpty(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === "" ? undefined : trimmed;
}
