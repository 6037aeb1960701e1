/** Keys and arguments of a script. */
export interface ScriptInput {
  keys: string[];
  arguments: string[];
}

/**
 * What is asked of a Redis client: to run scripts. The clients, pools and clusters of `@redis/client` have it as they are; for others write
 * these two functions.
 */
export interface RedisScripts {
  /** False while there is no connection, when no call need wait to find out. Undefined: not known. */
  readonly isReady?: boolean;
  /** Runs a script that Redis knows by its SHA-1. Rejects with a message that begins with `NOSCRIPT` when it does not. */
  evalSha(sha1: string, input: ScriptInput): Promise<unknown>;
  /** Runs a script, from which on Redis knows it. */
  eval(script: string, input: ScriptInput): Promise<unknown>;
}

/** Runs a script in one round trip; in two when this Redis sees it for the first time. */
export async function runScript(
  redis: RedisScripts,
  sha1: string,
  script: string,
  input: ScriptInput,
): Promise<unknown> {
  try {
    return await redis.evalSha(sha1, input);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
  }
  return redis.eval(script, input);
}
