const SIGNALS = { SIGTERM: 15, SIGINT: 2 } as const;

/**
 * Calls `onFirst` for the first SIGTERM or SIGINT; the second exits at once with the status a shell gives to that signal.
 *
 * @returns a function that stops listening.
 */
export function onSignals(onFirst: (signal: string) => void): () => void {
  let seen = false;
  const handler = (signal: NodeJS.Signals): void => {
    if (seen) process.exit(128 + SIGNALS[signal as keyof typeof SIGNALS]);
    seen = true;
    onFirst(signal);
  };
  for (const signal of Object.keys(SIGNALS)) process.on(signal, handler);
  return () => {
    for (const signal of Object.keys(SIGNALS)) process.off(signal, handler);
  };
}
