/** Tells the bench that a server accepts connections, and makes the process end with the bench. */
export function ready(port: number): void {
  process.on("disconnect", () => process.exit(0));
  if (process.send === undefined) process.stdout.write(`${JSON.stringify({ port })}\n`);
  else process.send({ port });
}
