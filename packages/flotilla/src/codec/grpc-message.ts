/** What of `grpc-message` other peers put up with, once it is encoded: they take 8 KiB of headers in all. */
const MAX_BYTES = 2048;

/** As much of a message as fits into a header, to a whole character. */
export function fittingMessage(message: string): string {
  let bytes = 0;
  let end = 0;
  for (const char of message) {
    const code = char.codePointAt(0)!;
    if (code < 0x80) bytes += isPlain(code) ? 1 : 3;
    else bytes += code < 0x800 ? 6 : code < 0x1_0000 ? 9 : 12;
    if (bytes > MAX_BYTES) return message.slice(0, end);
    end += char.length;
  }
  return message;
}

/** Percent-encodes what cannot stand in header `grpc-message`: all but printable ASCII, and the percent sign. */
export function encodeMessage(message: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(message) && message.trim() === message) return message;
  let encoded = "";
  for (const byte of Buffer.from(message, "utf8")) {
    encoded += isPlain(byte) ? String.fromCharCode(byte) : percent(byte);
  }
  // A space at either end would not survive as that of a header.
  return encoded.replace(/^ | $/g, "%20");
}

function isPlain(code: number): boolean {
  return code >= 0x20 && code < 0x7f && code !== 0x25;
}

function percent(byte: number): string {
  return `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;
}

/** Never fails: a percent sign that begins no escape stands for itself. */
export function decodeMessage(value: string): string {
  if (!value.includes("%")) return value;
  const bytes = Buffer.from(value, "latin1");
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const escape = bytes[i] === 0x25 ? value.slice(i + 1, i + 3) : "";
    if (/^[0-9A-Fa-f]{2}$/.test(escape)) {
      bytes[length++] = Number.parseInt(escape, 16);
      i += 2;
    } else bytes[length++] = bytes[i]!;
  }
  return bytes.toString("utf8", 0, length);
}
