// Preloaded into every task: ends it when its runner is gone (killed with SIGKILL, say), which nothing else would tell it.
import process from "node:process";

const EVERY_MS = 500;
const parent = process.ppid;

const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  process.kill(process.pid, "SIGTERM");
}, EVERY_MS).unref();
