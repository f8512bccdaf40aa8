// The page: what is known, and which view shows it.

import { ask, listen, Refused } from "./api.js";
import { fill, h, notice, say } from "./dom.js";
import { agentView, agentsView, createView } from "./agents.js";
import { projectsView } from "./projects.js";
import { runtimeStrip } from "./runtime.js";

/** All that the server has told, and who wants to know of changes. */
export const known = { agents: new Map(), runtime: null, watchers: new Set() };

function changed() {
  for (const watcher of [...known.watchers]) watcher();
}

function take(agents, runtime) {
  known.agents = new Map(agents.map((agent) => [agent.name, agent]));
  known.runtime = runtime;
}

const connection = document.getElementById("connection");

function begin() {
  listen("/events", {
    snapshot: ({ agents, runtime }) => { take(agents, runtime); changed(); },
    agent: (agent) => { known.agents.set(agent.name, agent); changed(); },
    deleted: ({ name }) => { known.agents.delete(name); changed(); },
    runtime: (runtime) => { known.runtime = runtime; changed(); },
    project: () => changed(),
    missed: () => {},
  }, (state, end) => {
    document.body.dataset.connection = state;
    if (state === "open") say(connection, "");
    if (state === "lost") say(connection, "The server does not answer. Trying again…");
    if (state === "refused") { say(connection, end.message); if (end.status === 401) signIn(); }
    if (state === "ended") {
      say(connection, end.reason === "shutting_down" ? "The server is shutting down. Trying again…" : "The server has ended.");
      setTimeout(begin, 2000);
    }
  });
}

// A view is given its element and the rest of the path, and returns what ends it.
const VIEWS = [
  [/^#\/agents\/([^/]+)(?:\/(log|chat))?$/, agentView],
  [/^#\/create$/, createView],
  [/^#\/projects$/, projectsView],
  [/^/, agentsView],
];

/** What somebody typed into the address need not be well formed. */
function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

let leave = () => {};

function route() {
  leave();
  const main = document.getElementById("main");
  fill(main);
  for (const [pattern, view] of VIEWS) {
    const found = pattern.exec(location.hash);
    if (!found) continue;
    leave = view(main, ...found.slice(1).map((part) => part && decoded(part))) ?? (() => {});
    break;
  }
  for (const link of document.querySelectorAll("nav a")) {
    const current = location.hash.startsWith(link.hash) || (link.dataset.view === "agents" && !location.hash.startsWith("#/projects"));
    if (current) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
}

/** Shows what is known now, and again at each change, until the view is left. */
export function watching(show) {
  known.watchers.add(show);
  show();
  return () => known.watchers.delete(show);
}

/** Does something that the user asked for, and says what went wrong. */
export async function trying(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    if (error instanceof Refused && error.status === 401) { signIn(); return undefined; }
    notice(error.problem?.help ? `${error.message} — ${error.problem.help}` : error.message, "error");
    return undefined;
  }
}

/** Asks for the token: without it only looking is allowed. */
export function signIn() {
  if (document.getElementById("sign-in")) return;
  const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true });
  const wrong = h("p", { class: "error", role: "alert" });
  const dialog = h("dialog", { id: "sign-in", "aria-labelledby": "sign-in-title" },
    h("form", { method: "dialog", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await ask("POST", "/sign-in", undefined, { headers: { authorization: `Bearer ${field.value.trim()}` } });
        location.reload();
      } catch (error) { say(wrong, error.message); field.focus(); }
    } },
      h("h2", { id: "sign-in-title" }, "Sign in"),
      h("p", {}, "To change something, open the link that ", h("code", {}, "longshore serve"), " prints, or give the server’s token: the content of the file ", h("code", {}, "token"), " in the folder of its state."),
      h("label", { for: "token" }, "Token"), field, wrong,
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Sign in"), h("button", { type: "button", onclick: () => dialog.close() }, "Only look"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const toMain = () => document.getElementById("main").focus({ preventScroll: true });
// A view may have something better to focus on.
addEventListener("hashchange", () => { toMain(); route(); });
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); toMain(); });
runtimeStrip(document.getElementById("runtime"));
begin();
route();
