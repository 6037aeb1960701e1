import type { Context } from "../context/context.ts";
import { ServiceError } from "../errors/service-error.ts";
import { isSendable, type MetadataRecord, newRecord } from "../metadata/metadata.ts";
import type { MethodInfo } from "./method-info.ts";
import { reportError } from "./report.ts";

/**
 * What of an error's metadata is sent, on any transport: what `Metadata` would take, names in lower case. An error is not checked where it is made, and may have come
 * from a peer: what no header can carry must cost neither the answer nor the rest of it. It is left out, and the reporter in force is told.
 */
export function sentMetadata(ctx: Context, { code, metadata }: ServiceError, method: MethodInfo): MetadataRecord {
  const sent = newRecord();
  const odd: string[] = [];
  for (const [name, value] of Object.entries(metadata ?? {})) {
    if (isSendable(name, value)) sent[name.toLowerCase()] = value;
    else odd.push(JSON.stringify(name.slice(0, MAX_SHOWN)));
  }
  if (odd.length > 0) {
    const names = odd.slice(0, MAX_NAMED).join(", ");
    const what = `${odd.length} of the metadata of an error (${code}) cannot be sent as headers and are left out: ${names}`;
    reportError(ctx, new ServiceError("internal", what), method);
  }
  return sent;
}

/** Of names in the report, which may come from a peer. */
const MAX_NAMED = 8;
const MAX_SHOWN = 64;
