export { lambdaClient } from "./client.ts";
export type { Invoke, InvokeInput, InvokeOutput, LambdaClientOptions } from "./client-options.ts";
export type {
  ApiGatewayEventV1,
  ApiGatewayEventV2,
  ApiGatewayResultV1,
  ApiGatewayResultV2,
  EventHeaders,
  InvokeEvent,
  InvokeResult,
  LambdaContext,
  LambdaEvent,
  LambdaResult,
} from "./events.ts";
export { type LambdaHandler, lambda } from "./lambda.ts";
export { type LocalFunctionsOptions, localFunctions } from "./local.ts";
export type { LambdaOptions } from "./options.ts";
export { REQUEST_CONTEXT_HEADER } from "./request.ts";
