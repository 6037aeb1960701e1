import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { ready } from "../lib/ready.ts";
import { sumPath } from "../lib/sum.ts";

const app = new Hono();
app.post(sumPath, async (context) => {
  const { a, b } = await context.req.json<{ a: unknown; b: unknown }>();
  if (typeof a !== "number" || typeof b !== "number") return context.json({ error: "a and b must be numbers" }, 400);
  return context.json({ v: a + b });
});
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => ready(port));
