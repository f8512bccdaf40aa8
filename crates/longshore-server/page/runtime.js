// The engine: whether containers can run here, and what it takes.

import { ask } from "./api.js";
import { fill, h, reason, say } from "./dom.js";
import { changed, known, trying, watching } from "./known.js";
import { bytes, duration, PHASES, Rate, step } from "./words.js";

const NAMES = { podman: "Podman", docker: "Docker", mock: "Engine in memory" };

const INSTALL = {
  podman: {
    mac: ["brew install podman", "https://podman.io/docs/installation#macos"],
    windows: ["winget install RedHat.Podman", "https://podman.io/docs/installation#windows"],
    linux: ["sudo apt install podman", "https://podman.io/docs/installation#installing-on-linux"],
  },
  docker: {
    mac: ["brew install --cask docker", "https://docs.docker.com/desktop/setup/install/mac-install/"],
    windows: ["winget install Docker.DockerDesktop", "https://docs.docker.com/desktop/setup/install/windows-install/"],
    linux: ["sudo apt install docker.io", "https://docs.docker.com/engine/install/"],
  },
};

function system() {
  const name = navigator.userAgentData?.platform ?? navigator.platform;
  return /mac/i.test(name) ? "mac" : /win/i.test(name) ? "windows" : "linux";
}

function trouble(problem) {
  return problem && h("p", { class: "error" }, reason(problem));
}

function lookAgain() {
  return trying(async () => {
    known.runtime = await ask("GET", "/agents/runtime-status");
    changed();
  });
}

// One for each thing that can be the case: what is shown, and what of it changes while that is so.
const FACES = {
  asked: () => [h("p", { class: "quiet" }, "Looking for a container engine…")],

  there: ({ name, version, machine }) => [h("p", {}, h("span", { class: "dot running", "aria-hidden": "true" }), `${name} ${version ?? ""}`,
    machine === "not_needed" ? "" : h("span", { class: "quiet" }, ` in its machine, which is ${machine.replace("_", " ")}`))],

  needed: ({ name, machine, plan, problem }) => {
    const made = machine !== "absent";
    const size = plan && `The machine is kept in ${plan.folder}, where it can take up to ${plan.disk_gib} GiB of disk as it is used, and has ${plan.memory_mib} MiB of memory${plan.cpus ? ` and ${plan.cpus} processors` : ""}.`;
    return [h("div", { class: "panel" },
      h("p", {}, h("strong", {}, made ? `${name}’s virtual machine is off.` : `${name} needs a virtual machine here.`), " ",
        made ? "It is started when an agent needs it, or now." : `Its image, about 1 GB, is fetched once. ${size ?? ""}`),
      trouble(problem),
      h("div", { class: "buttons" }, h("button", { class: "primary", onclick: () => trying(() => ask("POST", "/runtime/setup", undefined, { again: true })) }, problem ? "Try again" : made ? "Start it" : "Set it up")))];
  },

  missing: ({ backend, problem }) => {
    const install = problem?.code === "not_installed" && INSTALL[backend]?.[system()];
    return [h("div", { class: "panel error" },
      h("p", {}, h("strong", {}, "Containers cannot run here."), " ", problem && reason(problem)),
      install && h("p", {}, "For example: ", h("code", {}, install[0]), " — ", h("a", { href: install[1], target: "_blank", rel: "noopener noreferrer" }, "how it is installed")),
      h("div", { class: "buttons" }, h("button", { onclick: lookAgain }, "Look again")))];
  },
};

function face(status) {
  if (!status) return "asked";
  if (status.setup) return "setup";
  if (status.available) return "there";
  return status.needs_setup ? "needed" : "missing";
}

/** The set-up that goes on: its elements stay, so that the button keeps the focus and a screen reader is not told all again. */
function setupFace() {
  const rate = new Rate();
  const text = h("span", {}), speed = h("span", { class: "quiet" }), bar = h("progress", {});
  const cancel = h("button", { onclick: () => { cancel.disabled = true; trying(() => ask("DELETE", "/runtime/setup")); } }, "Cancel");
  const element = h("div", { class: "panel" }, h("p", {}, text, speed), bar, h("div", { class: "buttons" }, cancel));
  const show = (progress) => {
    const { perSecond, remaining } = rate.take(progress);
    say(text, step(progress));
    say(speed, `${perSecond ? ` at ${bytes(perSecond)}/s` : ""}${remaining ? `, ${duration(remaining)} left` : ""}`);
    bar.setAttribute("aria-label", PHASES[progress.phase] ?? progress.phase);
    if (progress.total_bytes) { bar.max = progress.total_bytes; bar.value = progress.bytes ?? 0; } else bar.removeAttribute("value");
  };
  return { element, show };
}

export function runtimeStrip(element) {
  let told = "", setup = null;
  const show = () => {
    const status = known.runtime;
    const now = face(status);
    if (now === "setup") {
      if (!setup) { setup = setupFace(); fill(element, setup.element); told = "setup"; }
      return setup.show(status.setup);
    }
    setup = null;
    const { backend, version, machine, plan, problem } = status ?? {};
    const seen = JSON.stringify([now, backend, version, machine, plan, problem]);
    if (seen === told) return;
    told = seen;
    const had = element.contains(document.activeElement);
    fill(element, FACES[now]({ name: NAMES[backend] ?? backend, backend, version, machine, plan, problem }));
    if (had) (element.querySelector("button") ?? document.getElementById("main")).focus();
  };
  watching(show);
}
