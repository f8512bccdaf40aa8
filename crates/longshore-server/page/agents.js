// Agents: listed, shown, made.

import { agent as path, ask } from "./api.js";
import { fill, h, notice, refill, say } from "./dom.js";
import { chatPanel } from "./chat.js";
import { logPanel } from "./log.js";
import { known, trying, watching } from "./main.js";
import { duration, Rate, STATES, step } from "./words.js";

const BUSY = new Set(["creating", "starting", "stopping", "deleting"]);

function uptime(agent) {
  if (!agent.started_at || agent.state === "stopped") return "";
  return duration(Math.max(0, (Date.now() - Date.parse(agent.started_at)) / 1000));
}

function badge(agent) {
  return h("span", { class: `state ${agent.state}` }, h("span", { class: `dot ${agent.state}`, "aria-hidden": "true" }), STATES[agent.state] ?? agent.state);
}

function buttons(agent) {
  const order = (verb) => () => trying(() => ask("POST", `${path(agent.name)}/${verb}`));
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
    if (dialog.returnValue === "delete") trying(() => ask("DELETE", path(agent.name)));
  });
  document.body.append(dialog);
  dialog.showModal();
}

function trouble(error) {
  if (!error) return null;
  return h("div", { class: "panel error" },
    h("p", {}, error.message, error.help ? h("span", { class: "quiet" }, ` — ${error.help}`) : ""),
    error.log?.length ? h("pre", { class: "tail", tabindex: "0", "aria-label": "Last lines of its log" }, error.log.join("\n")) : null);
}

function progress(agent, rates) {
  if (!BUSY.has(agent.state) || !agent.progress) return null;
  const { bytes, total_bytes: total } = agent.progress;
  rates.take(agent.progress);
  return h("div", { class: "progress" },
    h("progress", { max: total || undefined, value: total ? bytes ?? 0 : undefined, "aria-label": step(agent.progress) }),
    h("span", {}, step(agent.progress)));
}

export function agentsView(main) {
  const list = h("ul", { class: "agents" });
  const empty = h("p", { class: "quiet" });
  main.append(h("div", { class: "head" }, h("h2", {}, "Agents"), h("a", { class: "button primary", href: "#/create" }, "Create an agent")), empty, list);
  const cards = new Map();
  const show = () => {
    say(empty, known.agents.size ? "" : "There is no agent yet.");
    for (const [name, card] of cards) if (!known.agents.has(name)) { card.element.remove(); cards.delete(name); }
    const names = [...known.agents.keys()].sort();
    names.forEach((name, index) => {
      const agent = known.agents.get(name);
      let card = cards.get(name);
      if (!card) { card = { element: h("li", { class: "card", "data-agent": name }), told: "", rates: new Rate() }; cards.set(name, card); }
      const told = JSON.stringify(agent);
      if (told !== card.told) {
        card.told = told;
        refill(card.element,
          h("div", { class: "title" }, h("h3", {}, h("a", { href: `#/agents/${encodeURIComponent(name)}` }, name)), badge(agent), h("span", { class: "uptime quiet" }, uptime(agent))),
          h("p", { class: "quiet" }, `${agent.provider}, ${agent.model}`, agent.port ? ` · port ${agent.port}` : "", ` · ${agent.image}`),
          progress(agent, card.rates), trouble(agent.error), agent.notice ? h("p", { class: "panel" }, agent.notice) : null, buttons(agent));
      }
      if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index] ?? null);
    });
  };
  const clock = setInterval(() => {
    for (const [name, card] of cards) say(card.element.querySelector(".uptime"), uptime(known.agents.get(name) ?? {}));
  }, 10_000);
  const end = watching(show);
  return () => { end(); clearInterval(clock); };
}

export function agentView(main, name, tab = "chat") {
  const head = h("div", {}), body = h("div", { class: "panel-body" });
  const link = (to, label) => h("a", { href: `#/agents/${encodeURIComponent(name)}/${to}`, "aria-current": tab === to ? "page" : null }, label);
  main.append(h("p", {}, h("a", { href: "#/agents" }, "← All agents")), head, h("nav", { class: "tabs", "aria-label": `Views of ${name}` }, link("chat", "Chat"), link("log", "Log")), body);
  let told = "";
  const rates = new Rate();
  const show = () => {
    const agent = known.agents.get(name);
    const now = JSON.stringify(agent ?? null);
    if (now === told) return;
    told = now;
    if (!agent) return refill(head, h("h2", { tabIndex: -1 }, name), h("p", { class: "quiet" }, known.runtime ? "There is no such agent." : "…"));
    refill(head, h("div", { class: "head" }, h("h2", {}, name), badge(agent), buttons(agent)),
      h("p", { class: "quiet" }, `${agent.template}: ${agent.provider}, ${agent.model}`, agent.port ? ` · port ${agent.port}` : "", ` · ${agent.image}`),
      progress(agent, rates), trouble(agent.error), agent.notice ? h("p", { class: "panel" }, agent.notice) : null);
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
        const agent = await ask("POST", "/agents/create", wish);
        notice(`${agent.name} is being created.`);
        location.hash = "#/agents";
      } catch (error) {
        const { code, faults = [], help } = error.problem ?? {};
        if (code === "name_taken") mark([{ field: "name", message: error.message }]);
        else if (faults.length) mark(faults);
        else if (code && error.status !== 401) say(general, help ? `${error.message} — ${help}` : error.message);
        else throw error;
      }
    });
    create.disabled = false;
  }
}
