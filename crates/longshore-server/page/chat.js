// Talking to an agent.

import { chat } from "./api.js";
import { fill, h, reason, say } from "./dom.js";
import { known, signIn, watching } from "./known.js";
import { markdown } from "./markdown.js";

// What was said, for as long as the page is open. An answer goes on coming while something else is looked at.
const conversations = new Map();

class Conversation {
  messages = [];
  error = null;
  /** What stops the answer that is coming. */
  abort = null;
  /** Shows what has changed. */
  show = () => {};

  constructor(name) { this.name = name; }

  async say(text) {
    this.messages.push({ role: "user", content: text });
    await this.answer();
  }

  async answer() {
    this.error = null;
    const asked = [...this.messages];
    const said = { role: "assistant", content: "" };
    this.messages.push(said);
    this.abort = new AbortController();
    this.show();
    try {
      for await (const piece of chat(this.name, asked, this.abort.signal)) {
        said.content += piece;
        this.show();
      }
    } catch (error) {
      if (error.name !== "AbortError") this.error = error;
      if (error.status === 401) signIn();
    }
    if (!said.content) this.messages.splice(this.messages.indexOf(said), 1);
    this.abort = null;
    this.show();
  }

  /** Asks for the last answer again, without what came of it. */
  async again() {
    if (this.messages.at(-1)?.role === "assistant") this.messages.pop();
    await this.answer();
  }
}

export function chatPanel(element, name) {
  if (!conversations.has(name)) conversations.set(name, new Conversation(name));
  const talk = conversations.get(name);
  const list = h("div", { class: "messages", role: "log", "aria-label": `Conversation with ${name}`, tabindex: "0" });
  const field = h("textarea", { id: "message", rows: 2, onkeydown: (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  } });
  const button = h("button", { class: "primary", type: "submit" }, "Send");
  const wrong = h("div", { role: "alert" });
  element.append(list, wrong, h("form", { class: "say", onsubmit: (event) => { event.preventDefault(); if (talk.abort) talk.abort.abort(); else send(); } },
    h("label", { for: "message", class: "hidden" }, `Message to ${name}`), field, button));

  function send() {
    const text = field.value.trim();
    if (!text || talk.abort) return;
    field.value = "";
    talk.say(text);
  }

  // Each message is drawn again only if it has grown.
  let bubbles = [], told = null, drawn = false;
  function draw() {
    drawn = false;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
    bubbles = talk.messages.map((message, index) => {
      const known = bubbles[index];
      if (known?.message === message && known.length === message.content.length) return known;
      const text = message.role === "user" ? message.content : markdown(message.content);
      const bubble = known?.message === message ? known.bubble : h("div", { class: `message ${message.role}` }, h("span", { class: "who" }, message.role === "user" ? "You" : name), h("div", { class: "text" }));
      fill(bubble.querySelector(".text"), text || (talk.abort ? "…" : ""));
      return { message, length: message.content.length, bubble };
    });
    bubbles.forEach(({ bubble }, index) => { if (list.children[index] !== bubble) list.insertBefore(bubble, list.children[index] ?? null); });
    while (list.children.length > bubbles.length) list.lastChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    say(button, talk.abort ? "Stop" : "Send");
    if (talk.error !== told) {
      told = talk.error;
      fill(wrong, told && h("div", { class: "panel error" }, h("p", {}, reason(told.problem ?? told)),
        h("div", { class: "buttons" }, h("button", { onclick: () => { talk.again(); field.focus(); } }, "Try again"))));
    }
    const state = known.agents.get(name)?.state;
    const runs = state === "running" || state === "unhealthy";
    field.disabled = !runs;
    button.disabled = !runs && !talk.abort;
    field.placeholder = runs ? "Say something" : "The agent does not run";
  }
  talk.show = () => { if (!drawn) { drawn = true; requestAnimationFrame(draw); } };
  const end = watching(talk.show);
  list.scrollTop = list.scrollHeight;
  return () => { talk.show = () => {}; end(); };
}
