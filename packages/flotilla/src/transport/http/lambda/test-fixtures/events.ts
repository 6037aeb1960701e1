// Events as the platform documents them, with every member it sends.
import type { ApiGatewayEventV1, ApiGatewayEventV2 } from "../events.ts";

/** What a test's client asks for. */
export interface Asked {
  readonly method?: string;
  /** As the client wrote it, percent-encoded. */
  readonly path: string;
  /** Without the `?`, percent-encoded. */
  readonly query?: string;
  /** Names and values in turn. */
  readonly headers?: readonly string[];
  readonly body?: string | Uint8Array;
}

function pairs(list: readonly string[]): [string, string][] {
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i]!, list[2 * i + 1]!]);
}

function grouped(entries: Iterable<readonly [string, string]>): Record<string, string[]> {
  const groups: Record<string, string[]> = {};
  for (const [name, value] of entries) (groups[name] ??= []).push(value);
  return groups;
}

function map<T, U>(record: Record<string, T>, of: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value)]));
}

/** Text as it is, other bytes as base64. */
function bodyOf(body: Asked["body"]): { body: string | null; isBase64Encoded: boolean } {
  if (body === undefined) return { body: null, isBase64Encoded: false };
  if (typeof body === "string") return { body, isBase64Encoded: false };
  return { body: Buffer.from(body).toString("base64"), isBase64Encoded: true };
}

/** By a REST API, with proxy integration; `stage` is `prod`. */
export function restApiEvent({ method = "POST", path, query = "", headers = [], body }: Asked): ApiGatewayEventV1 {
  const many = grouped([
    ["Accept", "*/*"],
    ["Host", "70ixmpl4fl.execute-api.us-east-2.amazonaws.com"],
    ["User-Agent", "curl/8.5.0"],
    ["X-Amzn-Trace-Id", "Root=1-5e66d96f-7491f09xmpl79d18acf3d050"],
    ["X-Forwarded-For", "203.0.113.7, 52.46.138.86"],
    ["X-Forwarded-Port", "443"],
    ["X-Forwarded-Proto", "https"],
    ...pairs(headers),
  ]);
  const queries = grouped(new URLSearchParams(query));
  const none = Object.keys(queries).length === 0;
  const event = {
    resource: "/{proxy+}",
    path,
    httpMethod: method,
    headers: map(many, (values) => values.at(-1)!),
    multiValueHeaders: many,
    queryStringParameters: none ? null : map(queries, (values) => values.at(-1)!),
    multiValueQueryStringParameters: none ? null : queries,
    pathParameters: { proxy: path.slice(1) },
    stageVariables: null,
    requestContext: {
      accountId: "123456789012",
      apiId: "70ixmpl4fl",
      authorizer: { principalId: "user|a1b2c3d4" },
      domainName: "70ixmpl4fl.execute-api.us-east-2.amazonaws.com",
      domainPrefix: "70ixmpl4fl",
      extendedRequestId: "JJbxmplHYosFVYQ=",
      httpMethod: method,
      identity: {
        accessKey: null,
        accountId: null,
        caller: null,
        cognitoAuthenticationProvider: null,
        cognitoAuthenticationType: null,
        cognitoIdentityId: null,
        cognitoIdentityPoolId: null,
        principalOrgId: null,
        sourceIp: "203.0.113.7",
        user: null,
        userAgent: "curl/8.5.0",
        userArn: null,
      },
      path: `/prod${path}`,
      protocol: "HTTP/1.1",
      requestId: "66da07c1-xmpl-4f0b-b8d6-2c9b6c24cc15",
      requestTime: "10/Mar/2020:00:03:59 +0000",
      requestTimeEpoch: 1_583_798_639_428,
      resourceId: "2gxmpl",
      resourcePath: "/{proxy+}",
      stage: "prod",
    },
    ...bodyOf(body),
  };
  return event;
}

function v2(asked: Asked, context: object, base64: boolean): ApiGatewayEventV2 {
  const { method = "POST", path, query = "", headers = [], body } = asked;
  const given = pairs(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  const queries = grouped(new URLSearchParams(query));
  const cookies = given.filter(([name]) => name === "cookie").flatMap(([, value]) => value.split("; "));
  const all = grouped([
    ["accept", "*/*"],
    ["host", "r3pmxmplak.execute-api.us-east-2.amazonaws.com"],
    ["user-agent", "curl/8.5.0"],
    ["x-amzn-trace-id", "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"],
    ["x-forwarded-for", "203.0.113.7"],
    ["x-forwarded-port", "443"],
    ["x-forwarded-proto", "https"],
    ...(body === undefined ? [] : [["content-length", String(Buffer.byteLength(body))] as const]),
    ...given.filter(([name]) => name !== "cookie"),
  ]);
  const sent = body === undefined ? { isBase64Encoded: false } : bodyOf(base64 ? Buffer.from(body) : body);
  const event = {
    version: "2.0" as const,
    routeKey: "$default",
    rawPath: path,
    rawQueryString: query,
    ...(cookies.length > 0 && { cookies }),
    headers: map(all, (values) => values.join(",")),
    ...(query !== "" && { queryStringParameters: map(queries, (values) => values.join(",")) }),
    requestContext: {
      accountId: "123456789012",
      apiId: "r3pmxmplak",
      domainName: "r3pmxmplak.execute-api.us-east-2.amazonaws.com",
      domainPrefix: "r3pmxmplak",
      http: { method, path, protocol: "HTTP/1.1", sourceIp: "203.0.113.7", userAgent: "curl/8.5.0" },
      requestId: "JKJaXmPLvHcESHA=",
      routeKey: "$default",
      stage: "$default",
      time: "10/Mar/2020:05:16:23 +0000",
      timeEpoch: 1_583_817_383_220,
      ...context,
    },
    ...sent,
  };
  return event as ApiGatewayEventV2;
}

/** By an HTTP API, payload format 2.0: the path is decoded. */
export function httpApiEvent(asked: Asked): ApiGatewayEventV2 {
  const jwt = { claims: { sub: "user|a1b2c3d4", scope: "orders" }, scopes: ["orders"] };
  return v2({ ...asked, path: decodeURIComponent(asked.path) }, { authentication: null, authorizer: { jwt } }, false);
}

/** By an HTTP API, payload format 1.0. */
export function httpApiEventV1(asked: Asked): ApiGatewayEventV1 {
  const event = restApiEvent({ ...asked, path: decodeURIComponent(asked.path) });
  return { ...event, version: "1.0", requestContext: { ...event.requestContext, stage: "$default" } };
}

/** By the function's own URL: the path is as it came, and bodies of requests are base64. */
export function functionUrlEvent(asked: Asked): ApiGatewayEventV2 {
  const domain = "r3pmxmplak.lambda-url.us-east-2.on.aws";
  return v2(asked, { accountId: "anonymous", authentication: null, authorizer: null, domainName: domain }, true);
}
