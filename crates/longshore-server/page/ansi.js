// The colours of terminals, and of levels.

import { h } from "./dom.js";

const ESCAPE = /\x1b\[([0-9;:]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]/g;
const LEVEL = /\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|FATAL|CRITICAL|PANIC)\b|"level":\s*"(\w+)"|\blevel=(\w+)/i;

/** `error`, `warn`, `info`, `debug`, or nothing: what a line says of itself, near its beginning. */
export function level(text) {
  const found = LEVEL.exec(text.slice(0, 200));
  const word = (found?.[1] ?? found?.[2] ?? found?.[3] ?? "").toLowerCase();
  if (/^(err|fatal|crit|panic)/.test(word)) return "error";
  if (word.startsWith("warn")) return "warn";
  if (word === "info" || word === "notice") return "info";
  if (word === "debug" || word === "trace") return "debug";
  return "";
}

/** The text without what only terminals read. */
export function plain(text) {
  return text.replace(ESCAPE, "");
}

/** A line as pieces with classes. The colours are those of the page's own theme. */
export function colored(text) {
  if (!text.includes("\x1b")) return [plain(text)];
  const parts = [];
  let from = 0, style = { color: "", bold: false, dim: false, italic: false, underline: false };
  const push = (piece) => {
    const clean = piece.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
    if (!clean) return;
    const classes = [style.color, ...["bold", "dim", "italic", "underline"].filter((name) => style[name])].filter(Boolean);
    parts.push(classes.length ? h("span", { class: classes.map((name) => `ansi-${name}`).join(" ") }, clean) : clean);
  };
  for (const found of text.matchAll(ESCAPE)) {
    push(text.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[2] === "m") style = styled(style, found[1]);
  }
  push(text.slice(from));
  return parts;
}

function styled(before, codes) {
  let style = { ...before };
  const numbers = codes.split(/[;:]/).map(Number);
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at];
    if (code === 0) style = { color: "", bold: false, dim: false, italic: false, underline: false };
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 39) style.color = "";
    else if (code >= 30 && code <= 37) style.color = String(code - 30);
    else if (code >= 90 && code <= 97) style.color = String(code - 90);
    // Of 256 and of all colours the first eight are enough here.
    else if (code === 38 && numbers[at + 1] === 5) { style.color = numbers[at + 2] < 16 ? String(numbers[at + 2] % 8) : ""; at += 2; }
    else if ((code === 38 || code === 48) && numbers[at + 1] === 2) at += 4;
    else if (code === 48 && numbers[at + 1] === 5) at += 2;
  }
  return style;
}
