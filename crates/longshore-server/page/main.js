// The page: hears from the server, and shows the view that the address names.

import { agentView, agentsView, createView } from "./agents.js";
import { listen } from "./api.js";
import { fill, say } from "./dom.js";
import { changed, known, signIn, take } from "./known.js";
import { projectsView } from "./projects.js";
import { runtimeStrip } from "./runtime.js";

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

const toMain = () => document.getElementById("main").focus({ preventScroll: true });
// A view may have something better to focus on.
addEventListener("hashchange", () => { toMain(); route(); });
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); toMain(); });
runtimeStrip(document.getElementById("runtime"));
begin();
route();
sessionStorage.removeItem("tries");
