// Watches a name at the server given, and prints what it was told. "stop": stops the watch at once; "told": when it was told something;
// "leave": never. Then it has nothing more to do.
import { dns } from "../dns.ts";

const [server, when] = process.argv.slice(2);
const watch = dns({ name: "calc.test", servers: [server!], timeoutMs: 60_000 }).watch("calc", {
  update: (instances) => tell(instances.map(({ address }) => address).join()),
  error: (error) => tell(String(error)),
});
if (when === "stop") setImmediate(() => watch.stop());

function tell(text: string): void {
  process.stdout.write(`${text}\n`);
  if (when === "told") watch.stop();
}
