// Keeps a page up to date. Elements with `data-live` and an id are replaced with the server's current rendering when the
// stream reports a change that concerns the page, after a reconnect, and when a hidden tab is shown again.
//
// A page about one campaign (`data-live-campaign` of the body) ignores other campaigns, and one about background jobs
// (`data-live-jobs`) ignores all campaigns. A list (`data-live-rows`: the ids of its rows) fetches the changed rows only,
// and with them the elements marked `data-live-with-rows`.
// A page that shows what is said in live calls (`data-live-transcripts`: their ids) follows these calls only.
// The rows of a table body with `data-live-keyed` are updated one by one, by their ids (rows.js).
// While an element has `data-live-every="5"`, the page is refreshed every five seconds, for data the stream does not cover.
//
// The server sends something every 15 seconds. After 35 seconds of silence, the page says that it may be out of date.

import { replaceKeyedRows } from "./rows.js";
import { secondsText } from "./time.js";
import { announce } from "./toast.js";

const MIN_INTERVAL_MS = 700;
// A change reaches all open pages at the same moment: they do not fetch at the same moment.
const SPREAD_MS = 400;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 30000;
const MAX_SILENCE_MS = 35000;
const CHECK_MS = 1000;
const IDLE_S = 2;
const FETCH_TIMEOUT_MS = 20000;
const FAILURE_INTERVAL_MS = 5000;
// The session has ended, the user's role has changed, or what the page shows is gone: the reload explains it.
const GONE = [401, 403, 404];

// A link or a button that is replaced between press and release gets no click: the page waits for the release.
const LONGEST_PRESS_MS = 2000;
let isPressed = false;
const RELEASES = ["pointerup", "pointercancel", "dragend"];
addEventListener("pointerdown", () => { isPressed = true; }, true);
for (const name of RELEASES) addEventListener(name, () => { isPressed = false; }, true);

function pointerReleased() {
  if (!isPressed) return Promise.resolve();
  return new Promise((resolve) => {
    // The click follows the release.
    for (const name of RELEASES) addEventListener(name, () => setTimeout(resolve), { capture: true, once: true });
    setTimeout(resolve, LONGEST_PRESS_MS);
  });
}

export function watchPage() {
  const address = document.body.dataset.stream;
  // The response to a form has the URL of the form, which cannot be fetched.
  if (!address || !("reloadable" in document.body.dataset) || !document.querySelector("[data-live]")) return;
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
  #changed = new Set();
  #isAllChanged = false;
  #isFailing = false;
  #sentAt = -Infinity;
  #heardAt = Date.now();
  #updatedAt = new Date();

  constructor(address) {
    this.#address = address;
  }

  begin() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#disconnect() : this.#connect()));
    window.addEventListener("pagehide", () => this.#disconnect());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.#connect(); });
    window.addEventListener("online", () => this.#connect());
    document.addEventListener("submit", (event) => { if (!event.defaultPrevented) this.#sentAt = performance.now(); });
    setInterval(() => this.#checkSilence(), CHECK_MS);
    this.#showUpdate();
    if (!document.hidden) this.#connect();
    this.#repeat();
  }

  // A refresh may bring the interval, and take it away when the page waits for nothing any more.
  #repeat() {
    const every = Number(document.querySelector("[data-live-every]")?.dataset.liveEvery);
    setTimeout(() => {
      if (every && !document.hidden) this.#refreshAll();
      this.#repeat();
    }, (every || IDLE_S) * 1000);
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    if (this.#source) return;
    const source = new EventSource(this.#address);
    this.#source = source;
    this.#heardAt = Date.now();
    // `hello` means the server is listening now: fetch what changed before.
    this.#on("hello", () => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#refreshAll();
    });
    this.#on("beat", () => this.#confirm());
    this.#on("changed", (event) => this.#note(JSON.parse(event.data)));
    // Reconnecting renews the session. A removed member gets an error page after the reload.
    this.#on("renew", () => { this.#disconnect(); this.#connect(); });
    this.#on("gone", () => location.reload());
    source.addEventListener("error", () => this.#reconnectLater());
  }

  #on(name, handle) {
    this.#source.addEventListener(name, (event) => {
      this.#heardAt = Date.now();
      if (!this.#isFailing) showStatus("");
      handle(event);
    });
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
    showStatus(`Connection lost. Last update ${secondsText(this.#updatedAt)}. Reconnecting…`);
    this.#retryTimer = setTimeout(() => {
      // An expired session returns a page instead of a stream; the fetch detects that.
      this.#refreshAll();
      this.#connect();
    }, this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  // A server that hangs, or a network that drops all packets, does not close the connection.
  #checkSilence() {
    if (document.hidden || !this.#source || Date.now() - this.#heardAt < MAX_SILENCE_MS) return;
    showStatus(`The server is not responding. Last update ${secondsText(this.#updatedAt)}. Reconnecting…`);
    this.#disconnect();
    this.#connect();
  }

  #note({ campaigns, transcripts = [], jobs, everything }) {
    const { liveCampaign, liveJobs } = document.body.dataset;
    const only = liveCampaign ? campaigns.filter((id) => id === liveCampaign) : campaigns;
    const isOurs = liveJobs === undefined ? only.length > 0 : jobs;
    const followed = document.querySelector("[data-live-transcripts]")?.dataset.liveTranscripts.split(" ") ?? [];
    const isHeard = transcripts.some((id) => followed.includes(id));
    if (everything || isHeard || (isOurs && !rowsOfPage())) this.#refreshAll();
    else if (isOurs) this.#refreshRows(only);
    else this.#confirm();
  }

  #refreshAll() {
    this.#isAllChanged = true;
    this.#schedule();
  }

  #refreshRows(ids) {
    for (const id of ids) this.#changed.add(id);
    this.#schedule();
  }

  #schedule() {
    if (this.#isRefreshing || this.#refreshTimer) return;
    const interval = this.#isFailing ? FAILURE_INTERVAL_MS : MIN_INTERVAL_MS;
    const wait = Math.max(0, this.#refreshedAt + interval - performance.now()) + Math.random() * SPREAD_MS;
    this.#refreshTimer = setTimeout(() => this.#refresh(), wait);
  }

  async #refresh() {
    this.#refreshTimer = 0;
    this.#isRefreshing = true;
    this.#refreshedAt = performance.now();
    const rows = this.#isAllChanged ? "" : [...this.#changed].join(" ");
    this.#isAllChanged = false;
    this.#changed.clear();
    try {
      const response = await fetch(location.href, {
        headers: { "x-live": rows || "1" },
        redirect: "manual",
        cache: "no-store",
        signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      });
      if (response.type === "opaqueredirect" || GONE.includes(response.status)) {
        // A reload would end the request of a form that is on its way, whose response leads away from here.
        if (performance.now() - this.#sentAt < FETCH_TIMEOUT_MS) setTimeout(() => this.#refreshAll(), FETCH_TIMEOUT_MS);
        else location.reload();
        return;
      }
      const text = response.ok ? await response.text() : null;
      this.#isFailing = text === null;
      if (text !== null) {
        showStatus("");
        const fresh = new DOMParser().parseFromString(text, "text/html");
        await pointerReleased();
        if (!rows) replaceLive(fresh);
        else if (!replaceRows(fresh)) this.#isAllChanged = true;
        this.#confirm();
      }
    } catch {
      this.#isFailing = true;
    } finally {
      this.#isRefreshing = false;
    }
    if (this.#isFailing) {
      // The rows that were to be fetched are unknown now. Without a stream, `hello` fetches them after the reconnect.
      this.#isAllChanged = true;
      if (this.#source?.readyState !== EventSource.OPEN) return;
      showStatus(`Numbers cannot be updated right now. Last update ${secondsText(this.#updatedAt)}. Retrying…`);
    }
    if ((this.#isAllChanged || this.#changed.size) && !document.hidden) this.#schedule();
  }

  // The page shows what the server knows now.
  #confirm() {
    if (this.#isFailing) return;
    this.#updatedAt = new Date();
    this.#showUpdate();
  }

  #showUpdate() {
    const place = document.getElementById("last-update");
    if (!place) return;
    place.textContent = `Last update ${secondsText(this.#updatedAt)}`;
    place.hidden = false;
  }
}

// The server's last rendering by id: scripts modify the elements after that.
const rendered = new Map();
const renderedRows = new Map();
// The first refresh follows the page at once, and mostly brings what is there: to replace it all took up to 0.8 s.
for (const element of document.querySelectorAll("[data-live][id]")) rendered.set(element.id, element.outerHTML);

// What another script has replaced is no rendering of this one.
document.addEventListener("outdial:replaced", (event) => rendered.delete(event.target.id));

export function replaceLive(fresh) {
  renderedRows.clear();
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(old.id);
    if (next && "liveKeyed" in old.dataset) replaceKeyedRows(old, next, isInUse);
    else replaceIfChanged(old, next, rendered);
  }
}

function rowsOfPage() {
  return document.querySelector("[data-live-rows]")?.dataset.liveRows;
}

// Replaces the rows in `fresh`; returns false when the list itself has changed.
function replaceRows(fresh) {
  if (fresh.querySelector("[data-live-rows]")?.dataset.liveRows !== rowsOfPage()) return false;
  for (const next of fresh.querySelectorAll("[data-live-rows] tbody tr[id]")) {
    const old = document.getElementById(next.id);
    if (old) replaceIfChanged(old, next, renderedRows);
  }
  for (const old of document.querySelectorAll("[data-live-with-rows][id]")) {
    replaceIfChanged(old, fresh.getElementById(old.id), rendered);
  }
  rendered.delete(document.querySelector("[data-live-rows]").id);
  return true;
}

function replaceIfChanged(old, next, known) {
  if (!next || isInUse(old) || known.get(old.id) === next.outerHTML) return;
  const text = next.outerHTML;
  if (replace(old, document.importNode(next, true))) known.set(old.id, text);
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
  if (text) announce(region);
}
