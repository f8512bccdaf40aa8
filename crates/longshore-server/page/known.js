// What is known of the server, what is done with its refusals, and signing in.

import { ask, Refused } from "./api.js";
import { h, notice, reason, say } from "./dom.js";

/** All that the server has told, and who wants to know of changes. */
export const known = { agents: new Map(), runtime: null, watchers: new Set() };

/** Tells all who watch. */
export function changed() {
  for (const watcher of [...known.watchers]) watcher();
}

/** Takes all that there is. */
export function take(agents, runtime) {
  known.agents = new Map(agents.map((agent) => [agent.name, agent]));
  known.runtime = runtime;
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
    notice(reason(error.problem ?? error), "error");
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
