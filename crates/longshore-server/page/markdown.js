// Markdown as elements. No markup is ever parsed: what is not one of these forms is text. Links lead to http and https alone.

import { h } from "./dom.js";

/** The elements of a text. A part of it is what it is until the rest comes. */
export function markdown(text) {
  const blocks = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    const fence = /^\s*(```+|~~~+)\s*([\w+-]*)\s*$/.exec(line);
    if (fence) {
      const end = lines.findIndex((one, index) => index > at && one.trim().startsWith(fence[1]));
      const to = end < 0 ? lines.length : end;
      blocks.push(h("pre", {}, h("code", fence[2] ? { "data-language": fence[2] } : {}, lines.slice(at + 1, to).join("\n"))));
      at = to + 1;
      continue;
    }
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    if (heading) {
      // The page has its own first levels.
      blocks.push(h(`h${Math.min(heading[1].length + 2, 6)}`, {}, inline(heading[2])));
      at += 1;
      continue;
    }
    if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) { blocks.push(h("hr")); at += 1; continue; }
    const bullet = /^\s*([-*+]|\d{1,9}[.)])\s+/;
    if (bullet.test(line)) {
      const ordered = /^\s*\d/.test(line);
      const items = [];
      while (at < lines.length && (bullet.test(lines[at]) || (items.length && /^\s{2,}\S/.test(lines[at])))) {
        if (bullet.test(lines[at])) items.push(lines[at].replace(bullet, ""));
        else items[items.length - 1] += `\n${lines[at].trim()}`;
        at += 1;
      }
      blocks.push(h(ordered ? "ol" : "ul", {}, items.map((item) => h("li", {}, inline(item)))));
      continue;
    }
    if (/^\s*>/.test(line)) {
      const quoted = [];
      while (at < lines.length && /^\s*>/.test(lines[at])) { quoted.push(lines[at].replace(/^\s*> ?/, "")); at += 1; }
      blocks.push(h("blockquote", {}, markdown(quoted.join("\n"))));
      continue;
    }
    if (!line.trim()) { at += 1; continue; }
    const paragraph = [];
    while (at < lines.length && lines[at].trim() && !/^\s*(```|~~~|#{1,6}\s|>|[-*+]\s|\d{1,9}[.)]\s)/.test(lines[at])) { paragraph.push(lines[at]); at += 1; }
    if (paragraph.length === 0) { paragraph.push(lines[at]); at += 1; }
    blocks.push(h("p", {}, inline(paragraph.join("\n"))));
  }
  return blocks;
}

const INLINE = /(`+)([^`](?:.|\n)*?)\1(?!`)|\*\*(\S(?:.|\n)*?)\*\*|(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?!\*)|(?<!\w)_(\S(?:[^_\n]*\S)?)_(?!\w)|\[([^\]\n]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])/;

function inline(text) {
  const found = INLINE.exec(text);
  if (!found) return text ? [text] : [];
  const [whole, , code, strong, star, under, label, target, bare] = found;
  const parts = found.index ? [text.slice(0, found.index)] : [];
  if (code !== undefined) parts.push(h("code", {}, code.trim() || code));
  else if (strong !== undefined) parts.push(h("strong", {}, inline(strong)));
  else if (star !== undefined || under !== undefined) parts.push(h("em", {}, inline(star ?? under)));
  else if (bare !== undefined) parts.push(link(bare, [bare]));
  else parts.push(link(target, inline(label)));
  return [...parts, ...inline(text.slice(found.index + whole.length))];
}

function link(target, children) {
  let url;
  try { url = new URL(target); } catch { return h("span", {}, children); }
  if (url.protocol !== "http:" && url.protocol !== "https:") return h("span", {}, children);
  return h("a", { href: url.href, rel: "noopener noreferrer", target: "_blank" }, children);
}
