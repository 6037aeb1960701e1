import type { JsonSchema } from "../../endpoint/message-type.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { OpenApiContent, OpenApiOperation, OpenApiParameter, OpenApiPath } from "./document.ts";

const headers: readonly OpenApiParameter[] = [
  {
    name: "Connect-Protocol-Version",
    in: "header",
    description: "Version of the Connect protocol.",
    schema: { type: "string", const: "1" },
  },
  {
    name: "Connect-Timeout-Ms",
    in: "header",
    description: "What the call may take, in milliseconds.",
    schema: { type: "string", pattern: "^[0-9]{1,10}$" },
  },
];

/** What the Connect protocol offers at the path of a method. */
export function connectPath(method: MethodInfo, input: JsonSchema, output: JsonSchema): OpenApiPath {
  if (method.kind !== "unary") return { post: streamOperation(method, input, output) };
  const post: OpenApiOperation = {
    ...common(method, ""),
    parameters: headers,
    requestBody: { required: true, content: unaryContent(method, input) },
    responses: unaryResponses(method, output),
  };
  return method.safe ? { get: getOperation(method, input, output), post } : { post };
}

function getOperation(method: MethodInfo, input: JsonSchema, output: JsonSchema): OpenApiOperation {
  const encodings = method.input.binary === undefined ? ["json"] : ["json", "proto"];
  return {
    ...common(method, "-get"),
    parameters: [
      { name: "connect", in: "query", description: "Version of the Connect protocol.", schema: { const: "v1" } },
      { name: "encoding", in: "query", required: true, schema: { type: "string", enum: encodings } },
      {
        name: "message",
        in: "query",
        required: true,
        description: "The request in the encoding named; with `base64=1`, as URL-safe base64.",
        content: { "application/json": { schema: input } },
      },
      { name: "base64", in: "query", schema: { type: "string", enum: ["0", "1"] } },
      { name: "compression", in: "query", schema: { type: "string", enum: ["identity", "gzip", "br"] } },
      headers[1]!,
    ],
    responses: unaryResponses(method, output),
  };
}

const KINDS = {
  server_stream: "a stream of responses",
  client_stream: "a stream of requests",
  bidi_stream: "streams both ways",
};

function streamOperation(method: MethodInfo, input: JsonSchema, output: JsonSchema): OpenApiOperation {
  const kind = KINDS[method.kind as keyof typeof KINDS];
  const note =
    `This method has ${kind}: bodies are sequences of enveloped messages of the Connect protocol ` +
    `(https://connectrpc.com/docs/protocol/#streaming-rpcs), and errors come in the last of them.${
      method.kind === "bidi_stream" ? " It needs HTTP/2." : ""
    }`;
  return {
    ...common(method, "", note),
    parameters: headers,
    requestBody: { required: true, content: streamContent(method, input) },
    responses: { "200": { description: "The call was taken on.", content: streamContent(method, output) } },
  };
}

function common(
  method: MethodInfo,
  suffix: string,
  note?: string,
): Pick<OpenApiOperation, "operationId" | "tags" | "description"> {
  const description = [method.doc, note].filter((part) => part !== undefined).join("\n\n");
  return {
    operationId: `${method.service}.${method.key}${suffix}`,
    tags: [method.service],
    ...(description !== "" && { description }),
  };
}

function unaryContent(method: MethodInfo, schema: JsonSchema): OpenApiContent {
  return { "application/json": { schema }, ...(method.input.binary !== undefined && { "application/proto": {} }) };
}

function unaryResponses(method: MethodInfo, output: JsonSchema): OpenApiOperation["responses"] {
  return {
    "200": { description: "The call succeeded.", content: unaryContent(method, output) },
    default: { $ref: "#/components/responses/ConnectError" },
  };
}

function streamContent(method: MethodInfo, schema: JsonSchema): OpenApiContent {
  const media = { "x-message": schema };
  return {
    "application/connect+json": media,
    ...(method.input.binary !== undefined && { "application/connect+proto": media }),
  };
}
