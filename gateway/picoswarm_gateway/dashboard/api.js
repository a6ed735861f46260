// The gateway's HTTP interface: reads, writes with the token, and the stream of events with a way back of its own.

const TOKEN = "picoswarm-token";
const PATIENCE_MS = 6000;
const HEARTBEAT_MS = 5000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10000;
const EVENTS = ["node", "link", "message", "log", "family", "state"];

/** The gateway answered, and said no: `status` and its reason. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function reason(answer) {
  const text = (await answer.text()).slice(0, 300);
  try {
    const told = JSON.parse(text);
    return String(told.error ?? told.detail ?? text);
  } catch {
    return text || answer.statusText || `status ${answer.status}`;
  }
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  if (!answer.ok) throw new Refused(answer.status, await reason(answer));
  const type = answer.headers.get("content-type") || "";
  return type.includes("json") ? answer.json() : answer.text();
}

/** JSON, or text where it is none. Throws `Refused`, or what `fetch` throws when nobody answers. */
export const get = (path) => ask(path);

export const token = () => sessionStorage.getItem(TOKEN);

/** Keep a token as long as this tab is open; none: forget it. */
export function keepToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/** A write. Throws as `get`; a token that is refused is forgotten. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  try {
    return await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch (error) {
    if (error.status === 401) keepToken("");
    throw error;
  }
}

/** Follows the gateway for ever. `onEvent(name, data)` for each event, `onOpen()` after each new beginning, when whatever
 * was missed is to be read again, and `onHealth(isUp, retryAt)` when it comes or goes. A heartbeat finds out about a
 * gateway that is silent with its connections open. */
export class Feed {
  constructor({ onEvent, onOpen, onHealth, beat }) {
    Object.assign(this, { onEvent, onOpen, onHealth, beat });
    this.wait = FIRST_RETRY_MS;
    this.source = null;
    this.timer = null;
    setInterval(() => this.check(), HEARTBEAT_MS);
    addEventListener("online", () => this.retry());
  }

  /** Connect now, whatever the back-off says. */
  retry() {
    if (this.source) return;
    clearTimeout(this.timer);
    this.open();
  }

  open() {
    const source = (this.source = new EventSource("api/events"));
    const slow = setTimeout(() => source.readyState === EventSource.CONNECTING && this.lose(source), PATIENCE_MS);
    source.onopen = () => {
      clearTimeout(slow);
      this.wait = FIRST_RETRY_MS;
      this.onHealth(true);
      this.onOpen();
    };
    source.onerror = () => {
      clearTimeout(slow);
      this.lose(source);
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        let data;
        try {
          data = JSON.parse(event.data);
        } catch {
          return; // a gateway of another version: its other events still count
        }
        this.onEvent(name, data);
      });
    }
  }

  lose(source) {
    if (source !== this.source) return;
    source.close();
    this.source = null;
    this.onHealth(false, Date.now() + this.wait);
    this.timer = setTimeout(() => this.open(), this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_RETRY_MS);
  }

  async check() {
    const source = this.source;
    if (!source || source.readyState !== EventSource.OPEN) return;
    try {
      await this.beat();
    } catch (error) {
      if (!(error instanceof Refused)) this.lose(source);
    }
  }
}
