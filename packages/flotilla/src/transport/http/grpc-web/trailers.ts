import { type MetadataRecord, newRecord } from "../../../metadata/metadata.ts";

/** Flag of the frame that holds the trailers, which is the last. */
export const TRAILERS = 0b1000_0000;

/** The trailers in the last frame of an answer, as HTTP/1 writes headers; what is no header is left out. */
export function parseTrailers(block: Uint8Array): MetadataRecord {
  const record = newRecord();
  const text = Buffer.from(block.buffer, block.byteOffset, block.byteLength).toString("latin1");
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const present = record[name];
    record[name] = present === undefined ? value : [...[present].flat(), value];
  }
  return record;
}
