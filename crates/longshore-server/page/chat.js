// Talking to an agent.

import { chat, Refused } from "./api.js";
import { fill, h, say } from "./dom.js";
import { known, signIn, watching } from "./main.js";
import { markdown } from "./markdown.js";

// What was said, for as long as the page is open.
const conversations = new Map();

export function chatPanel(element, name) {
  if (!conversations.has(name)) conversations.set(name, []);
  const messages = conversations.get(name);
  let abort = null;
  const list = h("div", { class: "messages", role: "log", "aria-label": `Conversation with ${name}`, tabindex: "0" });
  const field = h("textarea", { id: "message", rows: 2, placeholder: "Say something", onkeydown: (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  } });
  const button = h("button", { class: "primary", type: "submit" }, "Send");
  const wrong = h("div", { role: "alert" });
  element.append(list, wrong, h("form", { class: "say", onsubmit: (event) => { event.preventDefault(); if (abort) abort.abort(); else send(); } },
    h("label", { for: "message", class: "hidden" }, `Message to ${name}`), field, button));

  const bubble = (message) => h("div", { class: `message ${message.role}` }, h("span", { class: "who" }, message.role === "user" ? "You" : name), h("div", { class: "text" }, message.role === "user" ? message.content : markdown(message.content)));
  fill(list, messages.map(bubble));
  list.scrollTop = list.scrollHeight;

  async function send() {
    const text = field.value.trim();
    if (!text || abort) return;
    field.value = "";
    messages.push({ role: "user", content: text });
    list.append(bubble(messages.at(-1)));
    await answer();
  }

  async function answer() {
    fill(wrong);
    abort = new AbortController();
    say(button, "Stop");
    const said = { role: "assistant", content: "" };
    const place = bubble(said), text = place.querySelector(".text");
    list.append(place);
    let drawn = false;
    const draw = () => {
      drawn = false;
      const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
      fill(text, markdown(said.content));
      if (atEnd) list.scrollTop = list.scrollHeight;
    };
    list.scrollTop = list.scrollHeight;
    try {
      for await (const piece of chat(name, messages, abort.signal)) {
        said.content += piece;
        if (!drawn) { drawn = true; requestAnimationFrame(draw); }
      }
      draw();
    } catch (error) {
      draw();
      if (error.name !== "AbortError") {
        if (error instanceof Refused && error.status === 401) signIn();
        fill(wrong, h("p", { class: "panel error" }, error.message, " ", h("button", { onclick: () => { fill(wrong); place.remove(); answer(); } }, "Try again")));
      }
      if (!said.content) place.remove();
    } finally {
      if (said.content) messages.push(said);
      abort = null;
      say(button, "Send");
      field.focus();
    }
  }

  const end = watching(() => {
    const state = known.agents.get(name)?.state;
    const runs = state === "running" || state === "unhealthy";
    field.disabled = !runs;
    button.disabled = !runs && !abort;
    field.placeholder = runs ? "Say something" : "The agent does not run";
  });
  return () => { abort?.abort(); end(); };
}
