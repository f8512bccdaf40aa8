// A log: only what is seen is drawn, so that a hundred thousand lines are as quick as ten.

import { agent as path, listen } from "./api.js";
import { colored, level, plain } from "./ansi.js";
import { fill, h, say } from "./dom.js";
import { known, signIn, watching } from "./known.js";

const HEIGHT = 20;
const MOST = 200_000;
const MARGIN = 20;

export function logPanel(element, name) {
  const lines = [];
  let dropped = 0, follows = true, close = () => {}, drawn = false, found = [], at = -1, pattern = "", placed = null;
  const spacer = h("div", { class: "log-space" }), rows = h("div", { class: "log-rows" });
  const view = h("div", { class: "log", role: "log", "aria-label": `Log of ${name}`, "aria-live": "off", tabindex: "0" }, spacer, rows);
  const status = h("span", { class: "quiet", role: "status" });
  const pause = h("button", { "aria-pressed": "false", onclick: () => { follow(!follows); } }, "Pause");
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the log", oninput: () => find(search.value), onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); step(event.shiftKey ? -1 : 1); } } });
  const count = h("span", { class: "quiet", role: "status" });
  const amount = h("span", { class: "quiet amount" });
  element.append(h("div", { class: "tools" }, pause, search,
    h("button", { "aria-label": "Previous match", onclick: () => step(-1) }, "↑"), h("button", { "aria-label": "Next match", onclick: () => step(1) }, "↓"), count,
    h("button", { onclick: download }, "Download"), amount, status), view);

  /** Scrolls as nobody does: its event comes later, when the user may have pressed something, and says nothing of them. */
  function place(top) {
    const before = view.scrollTop;
    view.scrollTop = top;
    if (view.scrollTop !== before) placed = view.scrollTop;
  }

  function draw() {
    drawn = false;
    const all = dropped + lines.length;
    say(amount, `${all.toLocaleString("en")} ${all === 1 ? "line" : "lines"}`);
    spacer.style.height = `${lines.length * HEIGHT}px`;
    if (follows) place(view.scrollHeight);
    const first = Math.max(0, Math.floor(view.scrollTop / HEIGHT) - MARGIN);
    const last = Math.min(lines.length, Math.ceil((view.scrollTop + view.clientHeight) / HEIGHT) + MARGIN);
    rows.style.transform = `translateY(${first * HEIGHT}px)`;
    fill(rows, lines.slice(first, last).map((line, index) => {
      const classes = ["line", line.kind, line.stream, first + index === found[at] ? "current" : ""].filter(Boolean).join(" ");
      return h("div", { class: classes }, pattern ? marked(line.plain) : colored(line.text));
    }));
  }
  function soon() { if (!drawn) { drawn = true; requestAnimationFrame(draw); } }

  function marked(text) {
    const parts = [], low = text.toLowerCase();
    let from = 0;
    for (let hit = low.indexOf(pattern); hit >= 0; hit = low.indexOf(pattern, from)) {
      parts.push(text.slice(from, hit), h("mark", {}, text.slice(hit, hit + pattern.length)));
      from = hit + pattern.length;
    }
    return [...parts, text.slice(from)];
  }

  function add(line) {
    lines.push(line);
    if (pattern && line.plain.toLowerCase().includes(pattern)) { found.push(lines.length - 1); tellCount(); }
    if (lines.length > MOST) {
      const surplus = MOST / 10;
      lines.splice(0, surplus);
      dropped += surplus;
      found = found.map((index) => index - surplus).filter((index) => index >= 0);
      at = Math.min(at, found.length - 1);
      if (!follows) place(view.scrollTop - surplus * HEIGHT);
    }
    soon();
  }

  function follow(on) {
    follows = on;
    pause.setAttribute("aria-pressed", String(!on));
    say(pause, on ? "Pause" : "Go on");
    soon();
  }

  function find(text) {
    pattern = text.toLowerCase();
    found = [];
    at = -1;
    if (pattern) lines.forEach((line, index) => { if (line.plain.toLowerCase().includes(pattern)) found.push(index); });
    tellCount();
    if (found.length) step(-1); else soon();
  }
  function step(by) {
    if (!found.length) return;
    follow(false);
    at = at < 0 ? found.length - 1 : (at + by + found.length) % found.length;
    place(Math.max(0, found[at] * HEIGHT - view.clientHeight / 2));
    tellCount();
    soon();
  }
  function tellCount() { say(count, !pattern ? "" : found.length ? `${at + 1} of ${found.length}` : "nothing found"); }

  function download() {
    const text = lines.map((line) => `${line.time ?? ""} ${line.plain}`.trim()).join("\n");
    const url = URL.createObjectURL(new Blob([text, "\n"], { type: "text/plain" }));
    h("a", { href: url, download: `${name}.log` }).click();
    URL.revokeObjectURL(url);
  }

  view.addEventListener("scroll", () => {
    const isOurs = view.scrollTop === placed;
    placed = null;
    const atEnd = view.scrollTop + view.clientHeight >= view.scrollHeight - HEIGHT;
    // Scrolling up is reading; reaching the end again is following.
    if (!isOurs && atEnd !== follows && lines.length * HEIGHT > view.clientHeight) follow(atEnd);
    soon();
  });

  // First all that there is, as fast as it is read, and then what comes. Of what comes a server keeps a few megabytes for who is slow: what
  // is missed of that is read from the log again.
  let open = false, last = null;
  const ends = { not_running: "The agent does not run.", deleted: "The agent is deleted.", shutting_down: "The server is shutting down." };
  function take({ text, time, stream }, id) {
    const words = plain(text);
    last = id;
    add({ text, time, stream, plain: words, kind: level(words) });
  }
  function told(state, end) {
    if (state === "open") say(status, "");
    if (state === "lost") say(status, "The connection is lost. Trying again…");
    if (state === "refused") { open = end.status === 401; say(status, end.message); if (open) signIn(); }
    if (state === "ended") { open = false; say(status, ends[end.reason] ?? end.error?.message ?? "The log has ended."); }
  }
  function connect() {
    open = true;
    const from = last ? `after=${encodeURIComponent(last)}` : `tail=${MOST / 2}`;
    close = listen(`${path(name)}/logs?follow=false&${from}`, { line: take }, (state, end) => {
      if (state === "ended" && end.reason === "complete") goOn(); else told(state, end);
    });
  }
  function goOn() {
    const from = last ? `after=${encodeURIComponent(last)}` : "tail=1000";
    close = listen(`${path(name)}/logs?${from}`, {
      line: take,
      missed: ({ count }) => {
        // As many as that would not be kept here either.
        if (count && count < MOST) { close(); connect(); return; }
        const text = count ? `… ${count} lines were missed …` : "… lines were missed …";
        add({ text, plain: text, kind: "missed" });
      },
    }, told);
  }
  connect();
  // One that is started again has a log again.
  const end = watching(() => {
    const state = known.agents.get(name)?.state;
    if (!open && (state === "running" || state === "starting")) { lines.length = 0; dropped = 0; last = null; find(search.value); connect(); }
  });
  soon();
  return () => { close(); end(); };
}
