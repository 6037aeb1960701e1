import assert from "node:assert/strict";
import { test } from "node:test";
import { createScreen } from "./screen.ts";

test("the second drawing goes over the first", () => {
  let text = "";
  const screen = createScreen({ write: (part) => (text += part) });
  screen.draw(["a", "b"]);
  screen.draw(["c"]);
  screen.close();
  screen.close();
  const esc = "\u001b[";
  assert.equal(text, `${esc}?25la${esc}K\nb${esc}K\n${esc}J${esc}2Fc${esc}K\n${esc}J${esc}?25h`);
});
