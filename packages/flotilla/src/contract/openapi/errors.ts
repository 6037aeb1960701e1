import type { JsonSchema } from "../../endpoint/message-type.ts";
import { codes } from "../../errors/code.ts";
import type { OpenApiResponse } from "./document.ts";

const code: JsonSchema = { type: "string", enum: Object.keys(codes) };

/** The components that every document has: what errors look like. */
export const errorSchemas: Readonly<Record<string, JsonSchema>> = {
  ConnectError: {
    type: "object",
    description: "An error of the Connect protocol (https://connectrpc.com/docs/protocol/#error-end-stream).",
    properties: {
      code,
      message: { type: "string" },
      details: {
        type: "array",
        items: {
          type: "object",
          properties: {
            type: { type: "string", description: "Full name of the protobuf message." },
            value: {
              type: "string",
              contentEncoding: "base64",
              description: "The message in binary, without padding.",
            },
            debug: { description: "The message in JSON, for people." },
          },
          required: ["type", "value"],
        },
      },
    },
    required: ["code"],
  },
  Problem: {
    type: "object",
    description: "An error of a REST route (RFC 9457).",
    properties: {
      type: { type: "string", format: "uri-reference" },
      title: { type: "string" },
      status: { type: "integer" },
      detail: { type: "string" },
      code,
      reason: { type: "string", description: "What exactly was wrong, as a constant." },
      errors: {
        type: "array",
        description: "The fields that were wrong.",
        items: {
          type: "object",
          properties: { field: { type: "string" }, description: { type: "string" } },
          required: ["field", "description"],
        },
      },
      details: {
        type: "array",
        description: "What else there is to know, each with its type.",
        items: { type: "object", properties: { "@type": { type: "string" } }, required: ["@type"] },
      },
    },
    required: ["type", "title", "status", "code"],
  },
};

/** The answers that carry them. */
export const errorResponses: Readonly<Record<string, OpenApiResponse>> = {
  ConnectError: {
    description: "The call failed.",
    content: { "application/json": { schema: { $ref: "#/components/schemas/ConnectError" } } },
  },
  Problem: {
    description: "The call failed.",
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
  },
};
