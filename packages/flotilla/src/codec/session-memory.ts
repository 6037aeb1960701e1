/**
 * Option of node:http2's sessions, millions of bytes: next to none. Node counts towards it (10 by default) what waits to be sent, and never takes off what a
 * stream still had to send when it was given up: after some hundred such streams a connection would refuse all calls, with ENHANCE_YOUR_CALM, for as long as it
 * lasts. What it should bound is bounded by the limits of streams, windows, headers and messages.
 */
export const maxSessionMemory = 1_000_000;
