// Compose projects on the engine that are ours, and how their services depend on each other.

import { ask } from "./api.js";
import { fill, h, svg } from "./dom.js";
import { trying, watching } from "./known.js";

const WIDTH = 130, HEIGHT = 34, GAP_X = 50, GAP_Y = 14;

/** In which column each service stands: behind all that it depends on. What depends on itself in a circle stands where it is met. */
export function columns(services) {
  const names = new Map(services.map((service) => [service.name, service]));
  const column = new Map();
  const place = (name, above) => {
    if (column.has(name)) return column.get(name);
    if (above.has(name)) return 0;
    const below = (names.get(name)?.depends_on ?? []).filter((one) => names.has(one));
    const value = below.length ? 1 + Math.max(...below.map((one) => place(one, new Set([...above, name])))) : 0;
    column.set(name, value);
    return value;
  };
  for (const name of names.keys()) place(name, new Set());
  return column;
}

function graph(project) {
  const column = columns(project.services);
  const rows = new Map(), places = new Map();
  for (const service of [...project.services].sort((a, b) => a.name.localeCompare(b.name))) {
    const x = column.get(service.name), y = rows.get(x) ?? 0;
    rows.set(x, y + 1);
    places.set(service.name, { x: x * (WIDTH + GAP_X), y: y * (HEIGHT + GAP_Y), service });
  }
  const width = (Math.max(0, ...column.values()) + 1) * (WIDTH + GAP_X) - GAP_X, height = Math.max(1, ...rows.values()) * (HEIGHT + GAP_Y) - GAP_Y;
  const picture = svg("svg", { viewBox: `-2 -2 ${width + 4} ${height + 4}`, width: width + 4, height: height + 4, class: "graph", role: "img", "aria-label": `Services of ${project.name}: ${project.services.map((one) => `${one.name} ${one.state}${one.depends_on.length ? `, needs ${one.depends_on.join(" and ")}` : ""}`).join("; ")}` });
  for (const { x, y, service } of places.values()) {
    for (const below of service.depends_on) {
      const from = places.get(below);
      if (!from) continue;
      const x1 = from.x + WIDTH, y1 = from.y + HEIGHT / 2, y2 = y + HEIGHT / 2, middle = (x1 + x) / 2;
      picture.append(svg("path", { d: `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x} ${y2}`, class: "edge" }));
    }
  }
  for (const { x, y, service } of places.values()) {
    const label = service.name.length > 15 ? `${service.name.slice(0, 14)}…` : service.name;
    picture.append(svg("g", { transform: `translate(${x} ${y})`, class: `node ${service.state}` },
      svg("rect", { width: WIDTH, height: HEIGHT, rx: 6 }), svg("circle", { cx: 14, cy: HEIGHT / 2, r: 5 }), svg("text", { x: 26, y: HEIGHT / 2 + 4 }, label)));
  }
  return picture;
}

export function projectsView(main) {
  const list = h("div", {});
  main.append(h("h2", {}, "Projects"), list);
  let asking = false, again = false, told = "";
  const load = async () => {
    if (asking) { again = true; return; }
    asking = true;
    const answer = await trying(() => ask("GET", "/projects"));
    asking = false;
    const now = JSON.stringify(answer ?? null);
    if (answer && now !== told) {
      told = now;
      fill(list, answer.projects.length ? answer.projects.map((project) => h("section", { class: "card", "aria-labelledby": `project-${project.name}` },
        h("div", { class: "title" }, h("h3", { id: `project-${project.name}` }, project.name), h("span", { class: "quiet" }, `${project.services.filter((one) => one.state === "running").length} of ${project.services.length} run`)),
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Picture of ${project.name}` }, graph(project)),
        h("ul", { class: "services" }, project.services.map((service) => h("li", {}, h("span", { class: `dot ${service.state}`, "aria-hidden": "true" }), service.name, " ", h("span", { class: "quiet" }, service.health ?? service.state)))))) : h("p", { class: "quiet" }, "There is no project of ours on the engine."));
    }
    if (again) { again = false; load(); }
  };
  // Whatever changes, the engine is asked how it is.
  return watching(load);
}
