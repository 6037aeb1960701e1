export {
  type RedisRateLimiter,
  type RedisRateLimiterOptions,
  type RedisState,
  redisRateLimiter,
} from "./redis-rate-limiter.ts";
export type { RedisScripts, ScriptInput } from "./redis-scripts.ts";
