// The strip that says whether containers can run here, and gets them to.

import { ask } from "./api.js";
import { fill, h } from "./dom.js";
import { known, trying, watching } from "./main.js";
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

export function runtimeStrip(element) {
  const rate = new Rate();
  const again = () => trying(() => ask("GET", "/agents/runtime-status").then((status) => { known.runtime = status; show(); }));
  const show = () => {
    const status = known.runtime;
    if (!status) return fill(element, h("p", { class: "quiet" }, "Looking for a container engine…"));
    const name = NAMES[status.backend] ?? status.backend;
    if (status.setup) return fill(element, setup(status.setup, rate));
    if (status.available) {
      return fill(element, h("p", {}, h("span", { class: "dot running", "aria-hidden": "true" }), name, " ", status.version,
        status.machine === "not_needed" ? "" : ` in its machine (${status.machine.replace("_", " ")})`));
    }
    if (status.needs_setup) {
      const made = status.machine !== "absent";
      return fill(element, h("div", { class: "panel" },
        h("p", {}, h("strong", {}, made ? `${name}’s virtual machine is off.` : `${name} needs a virtual machine here.`), " ",
          made ? "It is started when an agent needs it, or now." : "Its image is about 1 GB and is fetched once; the machine lives in your home folder and takes disk space as it is used."),
        h("div", { class: "buttons" }, h("button", { class: "primary", onclick: () => trying(() => ask("POST", "/runtime/setup")) }, made ? "Start it" : "Set it up"))));
    }
    const { problem } = status;
    const install = problem?.code === "not_installed" && INSTALL[status.backend]?.[system()];
    fill(element, h("div", { class: "panel error" },
      h("p", {}, h("strong", {}, "Containers cannot run here."), " ", problem?.message),
      problem?.help && h("p", {}, problem.help),
      install && h("p", {}, "For example: ", h("code", {}, install[0]), " — ", h("a", { href: install[1], target: "_blank", rel: "noopener noreferrer" }, "how it is installed")),
      h("div", { class: "buttons" }, h("button", { onclick: again }, "Look again"))));
  };
  watching(show);
}

function setup(progress, rate) {
  const { perSecond, remaining } = rate.take(progress);
  const total = progress.total_bytes;
  const bar = total ? h("progress", { max: total, value: progress.bytes ?? 0, "aria-label": PHASES[progress.phase] }) : h("progress", { "aria-label": PHASES[progress.phase] });
  const speed = perSecond ? ` at ${bytes(perSecond)}/s` : "";
  const left = remaining ? `, ${duration(remaining)} left` : "";
  return h("div", { class: "panel" },
    h("p", {}, step(progress), speed, left), bar,
    h("div", { class: "buttons" }, h("button", { onclick: () => trying(() => ask("DELETE", "/runtime/setup")) }, "Cancel")));
}
