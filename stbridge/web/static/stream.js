// The connection to the server: reads the whole state, then follows its updates.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;
const SILENCE_MS = 40000; // the server sends something every 15 s
const FIRST_MS = 8000; // the server sends an event at once; some proxies keep it until the stream ends
const POLL_MS = 5000;
const HIDDEN_MS = 10000; // six open streams would block every further request to this host over HTTP/1.1

/**
 * Returns the JSON of an answer; a reverse proxy answers with pages of its own, such as "502 Bad Gateway".
 * @param {Response} answer
 */
export async function jsonOf(answer) {
  if (answer.headers.get("content-type")?.startsWith("application/json")) return answer.json();
  throw new Error(`status ${answer.status} ${answer.statusText}`.trim());
}

export class Stream {
  /**
   * @param {import("./state.js").State} state
   * @param {{changed: () => void, lost: (reason: string) => void, login: (asksUsername: boolean) => void}} listener
   */
  constructor(state, listener) {
    this.state = state;
    this.listener = listener;
    /** @type {EventSource | null} */
    this.source = null;
    this.waitMs = FIRST_WAIT_MS;
    this.timer = 0;
    this.first = 0;
    this.watchdog = 0;
    this.hidden = 0;
    this.attempt = 0;
    this.polling = false;
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
  }

  visibilityChanged() {
    clearTimeout(this.hidden);
    if (document.visibilityState === "hidden") this.hidden = window.setTimeout(() => this.close(), HIDDEN_MS);
    else if (!this.source && !this.timer) this.open();
  }

  /** Reads everything, and follows the updates. */
  async open() {
    this.close();
    this.attempt += 1;
    const attempt = this.attempt;
    try {
      const answer = await fetch("api/state");
      const data = await jsonOf(answer);
      if (attempt !== this.attempt) return;
      if (answer.status === 401) {
        this.listener.login(data.asks_username);
        return;
      }
      if (!answer.ok) throw new Error(data.error);
      this.state.replace(data);
    } catch (error) {
      if (attempt === this.attempt)
        this.retry(error instanceof Error && !(error instanceof TypeError) ? error.message : "");
      return;
    }
    this.listener.changed();
    if (this.polling) this.timer = window.setTimeout(() => this.open(), POLL_MS);
    else this.follow();
  }

  follow() {
    const source = new EventSource(`api/events?since=${this.state.boot}.${this.state.number}`);
    this.source = source;
    this.listen();
    let events = 0;
    this.first = window.setTimeout(() => {
      this.polling = true;
      this.open();
    }, FIRST_MS);
    // The first event comes before `reload`: a connection that is too slow for the updates must not reload at once.
    const works = () => {
      this.listen();
      events += 1;
      if (events > 1) this.waitMs = FIRST_WAIT_MS;
    };
    source.onmessage = (event) => {
      works();
      if (this.state.take(JSON.parse(event.data))) this.listener.changed();
      else this.open();
    };
    source.addEventListener("clock", works);
    source.addEventListener("reload", () => {
      this.close();
      this.openLater();
    });
    // Chromium never reconnects after an HTTP error, such as 502 of a proxy, so all reconnections are made here.
    source.onerror = () => {
      if (this.source === source) this.retry("");
    };
  }

  /** Starts to wait for the next sign that the connection works. */
  listen() {
    clearTimeout(this.first);
    clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => this.retry("no data"), SILENCE_MS);
  }

  /** @param {string} reason */
  retry(reason) {
    this.close();
    this.listener.lost(reason);
    this.openLater();
  }

  openLater() {
    this.timer = window.setTimeout(() => this.open(), this.waitMs * (0.5 + Math.random() / 2));
    this.waitMs = Math.min(LONGEST_WAIT_MS, this.waitMs * 2);
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    clearTimeout(this.first);
    clearTimeout(this.watchdog);
    this.timer = 0;
  }
}
