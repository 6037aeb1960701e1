import { errorReporterKey } from "../../endpoint/report.ts";
import type { Connector, Listener } from "../../endpoint/transport.ts";
import { lambdaClient } from "../../transport/http/lambda/client.ts";
import { type LambdaHandler, lambda } from "../../transport/http/lambda/lambda.ts";
import { localFunctions } from "../../transport/http/lambda/local.ts";

/** Functions of AWS Lambda, in this process, as what listens and what connects. */
export function functions(): { listener(): Listener; connector(): Connector } {
  const handlers: Record<string, LambdaHandler> = {};
  let count = 0;
  return {
    listener: () => ({
      protocol: "lambda",
      async listen(serve, root) {
        const onError = root.value(errorReporterKey);
        const name = `f${++count}`;
        handlers[name] = lambda({ serve, ...(onError !== undefined && { onError }) });
        const gone = async (): Promise<void> => void delete handlers[name];
        return {
          protocol: "lambda",
          address: `lambda://${name}`,
          inFlight: 0,
          discourage() {},
          drain: gone,
          close: gone,
        };
      },
    }),
    connector: () => lambdaClient({ invoke: localFunctions(handlers), maxPayloadBytes: 4 * 1024 * 1024 }),
  };
}
