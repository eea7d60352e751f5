// Keeps a page up to date. Elements with `data-live` and an id are replaced with the server's current rendering when the
// stream reports a change, after a reconnect, and when a hidden tab is shown again. `data-live-every="5"` also refreshes
// the page every five seconds, for data the stream does not cover.

const MIN_INTERVAL_MS = 700;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30000;

export function watchPage() {
  const address = document.body.dataset.stream;
  if (!address || !document.querySelector("[data-live]")) return;
  new Watch(address).begin();
}

class Watch {
  #address;
  #source = null;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer = 0;
  #refreshTimer = 0;
  #refreshedAt = 0;
  #isRefreshing = false;
  #isStale = false;

  constructor(address) {
    this.#address = address;
  }

  begin() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#disconnect() : this.#connect()));
    window.addEventListener("pagehide", () => this.#disconnect());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.#connect(); });
    window.addEventListener("online", () => this.#connect());
    if (!document.hidden) this.#connect();
    const every = Number(document.querySelector("[data-live-every]")?.dataset.liveEvery);
    if (every) setInterval(() => { if (!document.hidden) this.#scheduleRefresh(); }, every * 1000);
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    if (this.#source) return;
    const source = new EventSource(this.#address);
    this.#source = source;
    // `hello` means the server is listening now: fetch what changed before.
    source.addEventListener("hello", () => {
      this.#retryMs = FIRST_RETRY_MS;
      showStatus("");
      this.#scheduleRefresh();
    });
    source.addEventListener("changed", () => this.#scheduleRefresh());
    // Reconnecting renews the session. A removed member gets an error page after the reload.
    source.addEventListener("renew", () => { this.#disconnect(); this.#connect(); });
    source.addEventListener("gone", () => location.reload());
    source.addEventListener("error", () => this.#reconnectLater());
  }

  #disconnect() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = 0;
    this.#source?.close();
    this.#source = null;
  }

  // EventSource stops retrying after some responses, so the page reconnects itself, with backoff.
  #reconnectLater() {
    this.#disconnect();
    if (document.hidden) return;
    showStatus("Connection lost. Reconnecting…");
    this.#retryTimer = setTimeout(() => {
      // An expired session returns a page instead of a stream; the fetch detects that.
      this.#scheduleRefresh();
      this.#connect();
    }, this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  #scheduleRefresh() {
    if (this.#isRefreshing) { this.#isStale = true; return; }
    if (this.#refreshTimer) return;
    const wait = Math.max(0, this.#refreshedAt + MIN_INTERVAL_MS - performance.now());
    this.#refreshTimer = setTimeout(() => this.#refresh(), wait);
  }

  async #refresh() {
    this.#refreshTimer = 0;
    this.#isRefreshing = true;
    this.#isStale = false;
    this.#refreshedAt = performance.now();
    try {
      const response = await fetch(location.href, { headers: { "x-live": "1" }, redirect: "manual", cache: "no-store" });
      if (response.type === "opaqueredirect" || response.status === 401) { location.reload(); return; }
      if (response.ok) replaceLive(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch {
      this.#isStale = false;
    } finally {
      this.#isRefreshing = false;
    }
    if (this.#isStale) this.#scheduleRefresh();
  }
}

// The server's last rendering by id: scripts modify the elements after that.
const rendered = new Map();

export function replaceLive(fresh) {
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(old.id);
    if (!next || isInUse(old) || rendered.get(old.id) === next.outerHTML) continue;
    const text = next.outerHTML;
    if (replace(old, document.importNode(next, true))) rendered.set(old.id, text);
  }
}

// Never replace an element with an open dialog or a focused input.
function isInUse(element) {
  if (element.querySelector("dialog[open], :popover-open")) return true;
  const active = document.activeElement;
  return element.contains(active) && active.matches("input:not([type=checkbox], [type=radio]), textarea, select");
}

function replace(old, next) {
  const selection = getSelection();
  if (selection && !selection.isCollapsed && old.contains(selection.anchorNode)) return false;
  keepDetails(old, next);
  keepInputs(old, next);
  const focus = pathOfFocus(old);
  const scrolls = scrollsOf(old);
  old.replaceWith(next);
  next.dispatchEvent(new CustomEvent("outdial:replaced", { bubbles: true }));
  restoreFocus(next, focus);
  for (const { key, top, left } of scrolls) {
    const element = find(next, key);
    if (element) { element.scrollTop = top; element.scrollLeft = left; }
  }
  return true;
}

function keepDetails(old, next) {
  const open = new Map([...old.querySelectorAll("details")].map((element) => [keyOf(old, element), element.open]));
  for (const element of next.querySelectorAll("details")) {
    const state = open.get(keyOf(next, element));
    if (state !== undefined) element.open = state;
  }
}

function keepInputs(old, next) {
  for (const element of old.querySelectorAll("input[type=checkbox], input[type=radio]")) {
    if (element.checked === element.defaultChecked) continue;
    const same = find(next, keyOf(old, element));
    if (same) same.checked = element.checked;
  }
  for (const element of old.querySelectorAll("input:not([type=checkbox], [type=radio], [type=hidden], [type=file]), textarea")) {
    if (element.value === element.defaultValue) continue;
    const same = find(next, keyOf(old, element));
    if (same) same.value = element.value;
  }
}

// Identifies an element by its id, else by its index among elements of its kind.
function keyOf(root, element) {
  if (element === root) return ":root";
  if (element.id) return `#${CSS.escape(element.id)}`;
  const name = element.tagName.toLowerCase();
  return `${name}:${[...root.querySelectorAll(name)].indexOf(element)}`;
}

function find(root, key) {
  if (key === ":root") return root;
  if (key.startsWith("#")) return root.querySelector(key);
  const [name, index] = key.split(":");
  return root.querySelectorAll(name)[Number(index)] ?? null;
}

function pathOfFocus(root) {
  const active = document.activeElement;
  return active && active !== document.body && root.contains(active) ? keyOf(root, active) : null;
}

function restoreFocus(root, key) {
  if (key) find(root, key)?.focus({ preventScroll: true });
}

function scrollsOf(root) {
  return [root, ...root.querySelectorAll(".table-wrap, .code, [data-scroll]")]
    .filter((element) => element.scrollTop || element.scrollLeft)
    .map((element) => ({ key: keyOf(root, element), top: element.scrollTop, left: element.scrollLeft }));
}

function showStatus(text) {
  const region = document.getElementById("connection");
  if (!region || region.textContent === text) return;
  region.textContent = text;
  region.hidden = !text;
}
