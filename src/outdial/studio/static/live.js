// Keeps a page up to date. Elements with `data-live` and an id are replaced by what the server renders now, whenever the
// stream says that something has changed, when it comes back after a loss, and when a hidden tab is shown again; an
// element with `data-live-every="5"` also has the page fetched every five seconds, for what the stream knows nothing of.

const LEAST_PAUSE_MS = 700;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30000;

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
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#rest() : this.#connect()));
    window.addEventListener("pagehide", () => this.#rest());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.#connect(); });
    window.addEventListener("online", () => this.#connect());
    if (!document.hidden) this.#connect();
    const every = Number(document.querySelector("[data-live-every]")?.dataset.liveEvery);
    if (every) setInterval(() => { if (!document.hidden) this.#wantRefresh(); }, every * 1000);
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    if (this.#source) return;
    const source = new EventSource(this.#address);
    this.#source = source;
    // The server says `hello` when it listens: what changed before that is fetched now.
    source.addEventListener("hello", () => {
      this.#retryMs = FIRST_RETRY_MS;
      say("");
      this.#wantRefresh();
    });
    source.addEventListener("changed", () => this.#wantRefresh());
    // The session is renewed by the next request; who no longer works here is told so by the page.
    source.addEventListener("renew", () => { this.#rest(); this.#connect(); });
    source.addEventListener("gone", () => location.reload());
    source.addEventListener("error", () => this.#lost());
  }

  #rest() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = 0;
    this.#source?.close();
    this.#source = null;
  }

  // The browser's own retry gives up on some answers, so the page does it itself, less and less often.
  #lost() {
    this.#rest();
    if (document.hidden) return;
    say("Connection lost. Trying again…");
    this.#retryTimer = setTimeout(() => {
      // A session that has ended answers the stream with a page: the fetch finds that out.
      this.#wantRefresh();
      this.#connect();
    }, this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }

  #wantRefresh() {
    if (this.#isRefreshing) { this.#isStale = true; return; }
    if (this.#refreshTimer) return;
    const wait = Math.max(0, this.#refreshedAt + LEAST_PAUSE_MS - performance.now());
    this.#refreshTimer = setTimeout(() => this.#refresh(), wait);
  }

  async #refresh() {
    this.#refreshTimer = 0;
    this.#isRefreshing = true;
    this.#isStale = false;
    this.#refreshedAt = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { "x-live": "1" }, redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
      if (answer.ok) replaceLive(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      this.#isStale = false;
    } finally {
      this.#isRefreshing = false;
    }
    if (this.#isStale) this.#wantRefresh();
  }
}

// What the server sent last, by id: the page's own scripts have changed the elements since.
const sent = new Map();

export function replaceLive(fresh) {
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(old.id);
    if (!next || isInUse(old) || sent.get(old.id) === next.outerHTML) continue;
    const text = next.outerHTML;
    if (replace(old, document.importNode(next, true))) sent.set(old.id, text);
  }
}

// What somebody types, or an open dialog, is never taken away from under their hands.
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

// An element is known again by its id, else by its place among its like.
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

function say(text) {
  const region = document.getElementById("connection");
  if (!region || region.textContent === text) return;
  region.textContent = text;
  region.hidden = !text;
}
