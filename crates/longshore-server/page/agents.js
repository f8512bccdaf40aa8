// Agents: listed, shown, made.

import { agent as path, ask } from "./api.js";
import { fill, h, notice, part, reason, say } from "./dom.js";
import { chatPanel } from "./chat.js";
import { logPanel } from "./log.js";
import { known, trying, watching } from "./known.js";
import { duration, STATES, step } from "./words.js";

const BUSY = new Set(["creating", "starting", "stopping", "deleting"]);

function uptime(agent) {
  if (!agent.started_at || agent.state === "stopped") return "";
  return duration(Math.max(0, (Date.now() - Date.parse(agent.started_at)) / 1000));
}

function badge(agent) {
  return h("span", { class: `state ${agent.state}` }, h("span", { class: `dot ${agent.state}`, "aria-hidden": "true" }), STATES[agent.state] ?? agent.state);
}

function buttons(agent) {
  const order = (verb) => () => trying(() => ask("POST", `${path(agent.name)}/${verb}`, undefined, { again: verb !== "restart" }));
  const of = (label, click, props = {}) => h("button", { onclick: click, "aria-label": `${label} ${agent.name}`, ...props }, label);
  const is = (...states) => states.includes(agent.state);
  return h("div", { class: "buttons" },
    is("stopped", "failed", "unknown") && of("Start", order("start")),
    is("running", "unhealthy", "creating", "starting") && of("Stop", order("stop")),
    is("running", "unhealthy") && of("Restart", order("restart")),
    !is("deleting") && of("Delete", () => askToDelete(agent), { class: "danger" }));
}

function askToDelete(agent) {
  const dialog = h("dialog", { "aria-labelledby": "delete-title" },
    h("form", { method: "dialog" },
      h("h2", { id: "delete-title" }, `Delete ${agent.name}?`),
      h("p", {}, "Its containers and its volumes are removed, with all that it has kept in them. That cannot be undone."),
      h("div", { class: "buttons" },
        h("button", { value: "delete", class: "danger" }, "Delete"),
        h("button", { value: "", autofocus: true }, "Keep it"))));
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue === "delete") trying(() => ask("DELETE", path(agent.name), undefined, { again: true }));
  });
  document.body.append(dialog);
  dialog.showModal();
}

function trouble(error) {
  if (!error) return null;
  return h("div", { class: "panel error" },
    h("p", {}, reason(error)),
    error.log?.length ? h("pre", { class: "tail", tabindex: "0", "aria-label": "Last lines of its log" }, error.log.join("\n")) : null);
}

function progress(state, now) {
  if (!BUSY.has(state) || !now) return null;
  const { bytes, total_bytes: total } = now;
  return h("div", { class: "progress" },
    h("progress", { max: total || undefined, value: total ? bytes ?? 0 : undefined, "aria-label": step(now) }),
    h("span", {}, step(now)));
}

/** The parts of an agent that are the same wherever it is shown. */
function face() {
  const about = part("p", (agent) => h("span", { class: "quiet" }, `${agent.provider}, ${agent.model}`, agent.port ? ` · port ${agent.port}` : "", ` · ${agent.image}`));
  const doing = part("div", progress);
  const wrong = part("div", trouble);
  const note = part("div", (text) => text && h("p", { class: "panel" }, text));
  const orders = part("div", (name, state) => buttons({ name, state }));
  const show = (agent) => {
    about.show({ provider: agent.provider, model: agent.model, port: agent.port, image: agent.image });
    doing.show(agent.state, agent.progress ?? null);
    wrong.show(agent.error ?? null);
    note.show(agent.notice ?? null);
    orders.show(agent.name, agent.state);
  };
  return { about: about.element, rest: [doing.element, wrong.element, note.element], orders: orders.element, show };
}

function card(name) {
  const parts = face();
  const state = part("span", (state) => badge({ state })), up = h("span", { class: "uptime quiet" });
  const element = h("li", { class: "card", "data-agent": name },
    h("div", { class: "title" }, h("h3", {}, h("a", { href: `#/agents/${encodeURIComponent(name)}` }, name)), state.element, up),
    parts.about, parts.rest, parts.orders);
  const tick = (agent) => say(up, uptime(agent));
  return { element, tick, show: (agent) => { state.show(agent.state); tick(agent); parts.show(agent); } };
}

export function agentsView(main) {
  const list = h("ul", { class: "agents" });
  const empty = h("p", { class: "quiet" });
  main.append(h("div", { class: "head" }, h("h2", {}, "Agents"), h("a", { class: "button primary", href: "#/create" }, "Create an agent")), empty, list);
  const cards = new Map();
  const show = () => {
    say(empty, known.agents.size ? "" : "There is no agent yet.");
    for (const [name, one] of cards) if (!known.agents.has(name)) { one.element.remove(); cards.delete(name); }
    [...known.agents.keys()].sort().forEach((name, index) => {
      if (!cards.has(name)) cards.set(name, card(name));
      const { element, show } = cards.get(name);
      show(known.agents.get(name));
      if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    });
  };
  const clock = setInterval(() => { for (const [name, one] of cards) one.tick(known.agents.get(name) ?? {}); }, 10_000);
  const end = watching(show);
  return () => { end(); clearInterval(clock); };
}

export function agentView(main, name, tab = "chat") {
  const head = h("div", {}), body = h("div", { class: "panel-body" });
  const link = (to, label) => h("a", { href: `#/agents/${encodeURIComponent(name)}/${to}`, "aria-current": tab === to ? "page" : null }, label);
  main.append(h("p", {}, h("a", { href: "#/agents" }, "← All agents")), head, h("nav", { class: "tabs", "aria-label": `Views of ${name}` }, link("chat", "Chat"), link("log", "Log")), body);
  const parts = face();
  const state = part("span", (state) => badge({ state }));
  const missing = part("p", (text) => text);
  fill(head, h("div", { class: "head" }, h("h2", {}, name), state.element, parts.orders), missing.element, parts.about, parts.rest);
  const show = () => {
    const agent = known.agents.get(name);
    const gone = !agent && known.runtime;
    missing.show(gone ? "There is no such agent." : null);
    if (agent) { state.show(agent.state); parts.show(agent); }
    for (const element of [state.element, parts.about, ...parts.rest, parts.orders]) element.hidden = Boolean(gone);
  };
  const end = watching(show);
  const leave = tab === "log" ? logPanel(body, name) : chatPanel(body, name);
  return () => { end(); leave(); };
}

const FIELDS = [
  ["name", "Name", "A short name: lower-case letters, digits and hyphens.", { autocomplete: "off", spellcheck: false }],
  ["template", "Template", "What it is made from."],
  ["provider", "Provider", "Who its model is asked from."],
  ["model", "Model", "The model’s name as the provider has it.", { autocomplete: "off", spellcheck: false }],
  ["api_key", "API key", "", { type: "password", autocomplete: "off" }],
  ["base_url", "Base URL", "", { type: "url", placeholder: "https://", autocomplete: "off" }],
];
const NEEDED = new Set(["name", "provider", "model"]);

export function createView(main) {
  const controls = {}, marks = {}, helps = {}, rows = {};
  const form = h("form", { class: "form", noValidate: true, onsubmit: submit });
  for (const [field, label, help, props] of FIELDS) {
    const id = `field-${field}`;
    controls[field] = props ? h("input", { id, ...props }) : h("select", { id });
    controls[field].setAttribute("aria-describedby", `${id}-help ${id}-fault`);
    marks[field] = h("p", { id: `${id}-fault`, class: "fault" });
    helps[field] = h("p", { id: `${id}-help`, class: "quiet" }, help);
    rows[field] = h("div", { class: "field" }, h("label", { for: id }, label), controls[field], helps[field], marks[field]);
    form.append(rows[field]);
  }
  const general = h("p", { class: "error", role: "alert" });
  const create = h("button", { class: "primary", type: "submit" }, "Create");
  form.append(general, h("div", { class: "buttons" }, create, h("a", { class: "button", href: "#/agents" }, "Back")));
  main.append(h("h2", {}, "Create an agent"), form);
  controls.name.focus();

  let templates = [];
  const template = () => templates.find((one) => one.name === controls.template.value) ?? templates[0];
  const provider = () => template()?.providers.find((one) => one.name === controls.provider.value);
  const option = (value, label) => h("option", { value }, label);
  function offerProviders() {
    fill(controls.provider, (template()?.providers ?? []).map((one) => option(one.name, one.name)));
    explain();
  }
  function explain() {
    const asked = provider();
    if (!asked) return;
    say(helps.api_key, asked.needs_key ? "Kept on this computer, apart from everything else, and shown nowhere." : "This provider needs none.");
    say(helps.base_url, asked.base_url ? `Where the provider is asked; ${asked.base_url} if you leave it empty.` : "Where the provider is asked.");
    controls.api_key.required = asked.needs_key;
    controls.base_url.required = !asked.base_url;
  }
  controls.template.addEventListener("change", offerProviders);
  controls.provider.addEventListener("change", explain);
  trying(async () => {
    ({ templates } = await ask("GET", "/templates"));
    fill(controls.template, templates.map((one) => option(one.name, one.title)));
    controls.template.value = (templates.find((one) => one.usual) ?? templates[0]).name;
    rows.template.hidden = templates.length < 2;
    offerProviders();
  });

  function mark(faults) {
    for (const [field] of FIELDS) {
      const fault = faults.find((one) => one.field === field);
      say(marks[field], fault?.message ?? "");
      controls[field].setAttribute("aria-invalid", String(Boolean(fault)));
    }
    const first = FIELDS.find(([field]) => faults.some((one) => one.field === field));
    if (first) controls[first[0]].focus();
    // What is wrong with something that is not asked here.
    const others = faults.filter((one) => !controls[one.field]);
    say(general, others.map((one) => `${one.field}: ${one.message}`).join("; "));
  }

  async function submit(event) {
    event.preventDefault();
    const wish = {};
    for (const [field] of FIELDS) if (controls[field].value || NEEDED.has(field)) wish[field] = controls[field].value;
    mark([]);
    create.disabled = true;
    await trying(async () => {
      try {
        // A second one of that name would be refused.
        const agent = await ask("POST", "/agents/create", wish, { again: true });
        notice(`${agent.name} is being created.`);
        location.hash = "#/agents";
      } catch (error) {
        const { code, faults = [] } = error.problem ?? {};
        if (code === "name_taken") mark([{ field: "name", message: error.message }]);
        else if (faults.length) mark(faults);
        else if (code && error.status !== 401) fill(general, reason(error.problem));
        else throw error;
      }
    });
    create.disabled = false;
  }
}
