/** Processor time of this process since it began, user and system, µs. */
export function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Tells the bench that a server accepts connections, and makes the process end with the bench. */
export function ready(port: number): void {
  process.on("disconnect", () => process.exit(0));
  // Whatever the bench asks, it asks for the processor time used so far.
  process.on("message", () => process.send?.({ cpuMicros: cpuMicros() }));
  if (process.send === undefined) process.stdout.write(`${JSON.stringify({ port })}\n`);
  else process.send({ port });
}
