// Numbers and states as words.

export const STATES = {
  creating: "creating", starting: "starting", running: "running", unhealthy: "not well", stopping: "stopping",
  stopped: "stopped", failed: "failed", deleting: "deleting", unknown: "not known",
};

export const PHASES = {
  queued: "waiting for its turn", machine_busy: "waiting for another process that is busy with the machine",
  machine_download: "fetching the machine’s image", machine_init: "making the machine", machine_boot: "booting the machine",
  engine: "waiting for the engine", pull: "pulling the image", create: "creating", start: "starting",
  health: "waiting until it is well", stop: "stopping", remove: "removing",
};

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** "pulling the image, 34 of 120 MB". */
export function step(progress) {
  if (!progress) return "";
  const what = PHASES[progress.phase] ?? progress.phase;
  if (progress.bytes === null || progress.bytes === undefined) return what;
  const total = progress.total_bytes ? ` of ${bytes(progress.total_bytes)}` : "";
  return `${what}, ${bytes(progress.bytes)}${total}`;
}

/** How fast bytes come and how long they will, of the steps of one phase. */
export class Rate {
  #begin = null;
  /** Takes a step; gives `{ perSecond, remaining }`, either may be null. */
  take(progress, now = performance.now()) {
    if (progress?.bytes === null || progress?.bytes === undefined) { this.#begin = null; return {}; }
    const key = `${progress.phase} ${progress.subject}`;
    if (this.#begin?.key !== key || progress.bytes < this.#begin.bytes) this.#begin = { key, bytes: progress.bytes, at: now };
    const seconds = (now - this.#begin.at) / 1000;
    const perSecond = seconds > 0.5 ? (progress.bytes - this.#begin.bytes) / seconds : null;
    const left = progress.total_bytes ? progress.total_bytes - progress.bytes : null;
    return { perSecond, remaining: perSecond && left !== null ? left / perSecond : null };
  }
}
