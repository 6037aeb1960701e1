import { isStream, type Middleware, observeCall } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";

export const timed: Middleware = (next, method) =>
  async function timed(ctx, request) {
    const start = ctx.clock.now();
    const end = (error?: unknown): void => {
      const code = error === undefined ? "ok" : ServiceError.from(error).code;
      console.log(method.procedure, code, ctx.clock.now() - start);
    };
    try {
      const response = await next(ctx, request);
      if (isStream(response)) return observeCall(ctx, response, end) as typeof response;
      end();
      return response;
    } catch (error) {
      end(error);
      throw error;
    }
  };
