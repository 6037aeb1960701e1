import { serveLoopDelay } from "../lib/loop-delay.ts";

serveLoopDelay(process.argv[2] ?? "http://127.0.0.1:4318");
