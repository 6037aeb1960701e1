/** Header values by name; the platform sends names in lower case, or as the client wrote them. */
export type EventHeaders = Readonly<Record<string, string | undefined>>;

/**
 * A request by API Gateway's REST API, or by its HTTP API with payload format 1.0: what of it is read here.
 *
 * Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
 */
export interface ApiGatewayEventV1 {
  /** `1.0` by an HTTP API; a REST API leaves it out. */
  readonly version?: "1.0";
  readonly httpMethod: string;
  readonly path: string;
  readonly headers?: EventHeaders | null;
  readonly multiValueHeaders?: Readonly<Record<string, readonly string[] | undefined>> | null;
  readonly queryStringParameters?: EventHeaders | null;
  readonly multiValueQueryStringParameters?: Readonly<Record<string, readonly string[] | undefined>> | null;
  readonly requestContext: {
    readonly identity?: { readonly sourceIp?: string };
    readonly apiId?: string;
    readonly stage?: string;
    readonly domainPrefix?: string;
  };
  readonly body?: string | null;
  readonly isBase64Encoded?: boolean;
}

/**
 * A request by API Gateway's HTTP API (payload format 2.0), or by the function's own URL: what of it is read here.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 */
export interface ApiGatewayEventV2 {
  readonly version: "2.0";
  readonly rawPath: string;
  readonly rawQueryString?: string;
  readonly cookies?: readonly string[];
  readonly headers?: EventHeaders;
  readonly requestContext: {
    readonly http: { readonly method: string; readonly sourceIp?: string };
    readonly apiId?: string;
    readonly stage?: string;
    readonly domainPrefix?: string;
  };
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
}

/** What whoever invokes the function by itself sends: a unary method, its input, and headers. */
export interface InvokeEvent {
  /** `strings.v1.Strings/uppercase`. */
  readonly method: string;
  /** As JSON; `{}` where the method takes nothing. Default `{}`. */
  readonly input?: unknown;
  /** Headers of the call: `connect-timeout-ms`, `traceparent`, `authorization`, whatever the service reads. Default none. */
  readonly metadata?: Readonly<Record<string, string | readonly string[]>>;
}

/** Everything the function can be invoked with. */
export type LambdaEvent = ApiGatewayEventV1 | ApiGatewayEventV2 | InvokeEvent;

/** What of the platform's context is read here. */
export interface LambdaContext {
  /** Milliseconds until the platform ends the invocation. */
  getRemainingTimeInMillis(): number;
}

/** The answer to a request of payload format 1.0. */
export interface ApiGatewayResultV1 {
  readonly statusCode: number;
  /** What stands once. */
  readonly headers: Readonly<Record<string, string>>;
  /** What stands more than once. */
  readonly multiValueHeaders: Readonly<Record<string, readonly string[]>>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

/** The answer to a request of payload format 2.0, or of a function URL. */
export interface ApiGatewayResultV2 {
  readonly statusCode: number;
  /** Several values of a name are joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  /** The values of `set-cookie`. */
  readonly cookies: readonly string[];
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

/** The answer to whoever invokes the function by itself. */
export interface InvokeResult {
  readonly output: unknown;
  /** Headers that the service has set. */
  readonly metadata: Readonly<Record<string, string | readonly string[]>>;
  /** Trailers that the service has set. Left out where there are none. */
  readonly trailers?: Readonly<Record<string, string | readonly string[]>>;
}

/** The answer to an event of a kind. */
export type LambdaResult<Event> = Event extends InvokeEvent
  ? InvokeResult
  : Event extends ApiGatewayEventV2
    ? ApiGatewayResultV2
    : Event extends ApiGatewayEventV1
      ? ApiGatewayResultV1
      : ApiGatewayResultV1 | ApiGatewayResultV2 | InvokeResult;
