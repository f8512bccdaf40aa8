// Elements without markup: what comes from elsewhere is text and stays text.

/**
 * An element. `props` that begin with `on` are listeners, `class` and `data-…`, `aria-…` are attributes, the rest properties.
 * Children are elements, texts, lists of them, or nothing.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "for" || name === "role" || name === "tabindex" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** What went wrong and, quieter, what to do about it. */
export function reason({ message, help }) {
  return [message, help && h("span", { class: "quiet" }, ` — ${help}`)];
}

/** Puts children in the place of those that an element has. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * A part of the page that is drawn again only when what it shows is another, so that no button goes away under a finger. `draw` gives its
 * children. What had the focus has it again, as far as it is still there by its label; else the card has it, or the view.
 */
export function part(tag, draw) {
  const element = h(tag, { class: "part" });
  let told;
  const show = (...values) => {
    const now = JSON.stringify(values);
    if (now === told) return;
    told = now;
    const had = element.contains(document.activeElement) ? document.activeElement : null;
    fill(element, draw(...values));
    if (!had) return;
    const label = had.getAttribute("aria-label");
    const again = label && element.querySelector(`[aria-label="${CSS.escape(label)}"]`);
    (again || element.closest(".card")?.querySelector("a") || document.getElementById("main")).focus();
  };
  return { element, show };
}

/** Sets a text if it differs, so that a screen reader is not told the same again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  append(element, children);
  return element;
}

/** Tells something once, at the foot of the page. */
export function notice(text, kind = "info") {
  const close = h("button", { class: "quiet", "aria-label": "Dismiss", onclick: () => item.remove() }, "×");
  const item = h("p", { class: `notice ${kind}` }, text, " ", close);
  document.getElementById("notices").append(item);
}
