/** What is to be done before the process is gone. Nothing here may throw. */
export interface Ending {
  /** An error that nobody caught is about to end the process; told before all else. */
  crash?(error: unknown, origin: string): void;
  /** SIGUSR2 has come. */
  toggle?(): void;
  /** A signal has come that ends the process unless somebody listens. */
  signal?(): void;
  /** The process exits: the last chance to write. */
  exit?(): void;
}

/** The signals that end a process unless somebody listens. */
const DEADLY = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** One listener of the process for all endings: many would look like a leak. */
const endings = new Set<Ending>();

function onExit(): void {
  for (const ending of endings) ending.exit?.();
}

function onCrash(error: Error, origin: string): void {
  for (const ending of endings) ending.crash?.(error, origin);
}

function onToggle(): void {
  for (const ending of endings) ending.toggle?.();
}

function onDeadly(signal: NodeJS.Signals): void {
  // Whoever else listens decides what the signal means, and the process exits later or not at all.
  const alone = process.listenerCount(signal) === 1;
  for (const ending of endings) {
    ending.signal?.();
    if (alone) ending.exit?.();
  }
  if (!alone) return;
  process.off(signal, onDeadly);
  process.kill(process.pid, signal);
}

/** Keeps an ending until what is returned is called. */
export function onProcessEnd(ending: Ending): () => void {
  if (endings.size === 0) {
    process.on("exit", onExit);
    process.on("uncaughtExceptionMonitor", onCrash);
    process.on("SIGUSR2", onToggle);
    for (const signal of DEADLY) process.on(signal, onDeadly);
  }
  endings.add(ending);
  return () => {
    if (!endings.delete(ending) || endings.size > 0) return;
    process.off("exit", onExit);
    process.off("uncaughtExceptionMonitor", onCrash);
    process.off("SIGUSR2", onToggle);
    for (const signal of DEADLY) process.off(signal, onDeadly);
  };
}
