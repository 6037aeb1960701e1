/** A string as JSON, quickly where it is short and plain. */
export function quoted(text: string): string {
  const { length } = text;
  if (length > 100) return JSON.stringify(text);
  for (let i = 0; i < length; i++) {
    const char = text.charCodeAt(i);
    if (char < 0x20 || char === 0x22 || char === 0x5c || (char & 0xf800) === 0xd800) return JSON.stringify(text);
  }
  return `"${text}"`;
}

const THOUSANDTHS: readonly string[] = Array.from({ length: 1000 }, (_, i) =>
  i === 0 ? "" : `.${String(i).padStart(3, "0").replace(/0+$/, "")}`,
);

/** Milliseconds with up to three decimals. */
export function millis(ms: number): string {
  const micros = Math.round(ms * 1000);
  if (!(micros >= 0 && micros < 1e12)) return Number.isFinite(ms) ? String(micros / 1000) : "0";
  const whole = Math.floor(micros / 1000);
  return whole + THOUSANDTHS[micros - whole * 1000]!;
}
