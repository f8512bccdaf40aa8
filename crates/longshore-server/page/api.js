// The server: what is asked of it, and what it tells.

/** What the server refused with: a code, a sentence, what to do, and what is wrong with which field. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.message);
    this.status = status;
    this.problem = problem;
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  return new Refused(response.status, body?.error ?? { code: "unexpected", message: `the server answered ${response.status}` });
}

/** Asks the server; gives the answer's JSON. `options.again` is for what may be asked twice: it reads, or asks for the same a second time. */
export async function ask(method, path, body, options = {}) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const send = () => fetch(path, { method, headers: { ...headers, ...options.headers }, body: body === undefined ? undefined : JSON.stringify(body), signal: options.signal });
  let response;
  try {
    // A browser breaks off what it asks when the computer's network changes, which it does whenever a container comes or goes.
    const again = options.again ?? method === "GET";
    response = await send().catch((error) => { if (again && error.name !== "AbortError") return send(); throw error; });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { code: "server_unreachable", message: "the server does not answer", help: "is `longshore serve` still running?" });
  }
  if (!response.ok) throw await refusal(response);
  return options.raw ? response : response.json();
}

export const agent = (name) => `/agents/${encodeURIComponent(name)}`;

/**
 * Server-sent events that come back by themselves: after a broken connection behind the last one that was read. `on` has a function for
 * each kind, given the data and the id; `state` is told `open`, `lost`, `ended` with the last event, and `refused` with the reason. Returns what closes it.
 */
export function listen(path, on, state = () => {}) {
  let source, timer, pause = 500, last = null, closed = false;
  const open = () => {
    // EventSource keeps the id itself, but not when the server was away.
    const url = new URL(path, location.href);
    if (last) url.searchParams.set("after", last);
    source = new EventSource(url);
    source.onopen = () => { pause = 500; state("open"); };
    source.onerror = async () => {
      source.close();
      if (closed) return;
      state("lost");
      // An EventSource does not say why.
      const reason = await refusalOf(url);
      if (closed) return;
      if (reason) { state("refused", reason); return; }
      timer = setTimeout(open, pause);
      pause = Math.min(pause * 2, 10_000);
    };
    for (const kind of [...Object.keys(on), "end"]) {
      source.addEventListener(kind, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        const data = JSON.parse(event.data);
        on[kind]?.(data, event.lastEventId);
        if (kind === "end") { source.close(); state("ended", data); }
      });
    }
  };
  open();
  return () => { closed = true; clearTimeout(timer); source.close(); };
}

/** Why a stream is refused, if it is. */
async function refusalOf(url) {
  const abort = new AbortController();
  try {
    const response = await fetch(url, { signal: abort.signal });
    return response.status >= 400 && response.status < 500 ? await refusal(response) : null;
  } catch {
    return null;
  } finally {
    abort.abort();
  }
}

/** The pieces of a chat's answer, as they come. Aborting the signal tells the agent to stop. */
export async function* chat(name, messages, signal) {
  const response = await ask("POST", `${agent(name)}/chat`, { messages, stream: true }, { signal, raw: true });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (!data) continue;
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Refused(502, chunk.error);
      const text = chunk.choices?.[0]?.delta?.content;
      if (text) yield text;
    }
  }
}
