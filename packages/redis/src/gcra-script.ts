import { hash } from "node:crypto";

/**
 * The generic cell rate algorithm (ITU-T I.371, annex A) as one script on one key: it reads the server's clock, takes or refuses, and
 * returns whether it took and how many microseconds of debt the key has.
 *
 * KEYS[1]: the key. ARGV: microseconds of debt that the request adds, and that a key may have at most.
 *
 * Kept are the time, in whole microseconds, and the debt at that time. Not their sum: at 10^15 a double has no room for fractions
 * of a microsecond, and Redis turns numbers into text with 14 to 17 digits, and into integers in replies. A clock that was set
 * back, by hand or by a failover, adds nothing to what is owed. The key expires when its debt is paid.
 */
export const gcraScript = `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local debt = 0
local setBack = false
local state = redis.call("GET", KEYS[1])
if state then
  local at, owed = string.match(state, "^(%d+) (%S+)$")
  at, owed = tonumber(at), tonumber(owed)
  if at and owed then
    setBack = now < at
    debt = math.max(0, owed - math.max(0, now - at))
  end
end
local cost = tonumber(ARGV[1])
local after = debt + cost
local allowed = after <= tonumber(ARGV[2])
if allowed then debt = after end
if (allowed and cost > 0) or setBack then
  local value = string.format("%.0f %.17g", now, debt)
  redis.call("SET", KEYS[1], value, "PX", string.format("%.0f", math.ceil(debt / 1000) + 1))
end
return { allowed and 1 or 0, string.format("%.17g", debt) }
`;

/** What Redis knows the script by once it has run it. */
export const gcraSha: string = hash("sha1", gcraScript);
