// A queue: J and K choose an entry, a digit presses its button of that number, while no one types and no dialog is open.
// On a wide screen, the chosen entry is shown beside the list (`#entry`), without a page load, and so is the next one after
// a decision: the forms of `[data-queue-page]` are sent here, and their response replaces that part of the page.

import { isForPage } from "./keys.js";
import { showToast } from "./toast.js";

const page = document.querySelector("[data-queue-page]");
let entries = [];
let chosen = -1;
let loading = Promise.resolve();
let reading = new AbortController();
let isSending = false;
let isSessionOver = false;

function findEntries() {
  entries = [...document.querySelectorAll("[data-queue] > li")];
}

// The part beside the list, where there is room for it.
function beside() {
  const shown = document.getElementById("entry");
  return shown && getComputedStyle(shown).position === "sticky" ? shown : null;
}

function choose(number) {
  if (!entries.length) return;
  entries[chosen]?.removeAttribute("aria-current");
  chosen = Math.min(number, entries.length - 1);
  if (chosen < 0) return;
  const entry = entries[chosen];
  entry.setAttribute("aria-current", "true");
  entry.scrollIntoView({ block: "nearest" });
  const shown = beside();
  if (!shown) return;
  // The one that is still being read was chosen before.
  if (shown.dataset.entry === entry.id) reading.abort();
  else loading = showBeside(entry);
}

async function read(url, options) {
  const response = await fetch(url, { headers: { accept: "text/html" }, cache: "no-store", ...options });
  return [response, new DOMParser().parseFromString(await response.text(), "text/html")];
}

async function showBeside(entry) {
  reading.abort();
  reading = new AbortController();
  const link = entry.querySelector("h2 a").href.replace("#entry", "");
  try {
    const [response, fresh] = await read(link, { signal: reading.signal });
    const next = fresh.getElementById("entry");
    // Decided by someone else, or the session has ended: the page explains it.
    if (!response.ok || response.redirected || next?.dataset.entry !== entry.id) location.assign(link);
    else {
      const old = document.getElementById("entry");
      const hadFocus = old.contains(document.activeElement);
      replace(old, next);
      if (hadFocus) focusBeside();
      history.replaceState(null, "", link);
    }
  } catch (error) {
    if (error.name !== "AbortError") location.assign(link);
  }
}

function replace(old, next) {
  const shown = document.importNode(next, true);
  old.replaceWith(shown);
  shown.dispatchEvent(new CustomEvent("outdial:replaced", { bubbles: true }));
}

function focusBeside() {
  document.getElementById("entry")?.focus({ preventScroll: true });
}

function press(key) {
  const place = beside() ?? entries[chosen];
  if (place === beside() && place.dataset.entry !== entries[chosen]?.id) return;
  const found = place?.querySelector(`[data-digit="${key}"]`);
  (found?.querySelector("button") ?? found)?.click();
}

// A digit waits until the chosen entry is shown. If another one is chosen meanwhile, it decides nothing.
function pressOnceShown(key) {
  const entry = entries[chosen];
  loading.then(() => { if (entries[chosen] === entry) press(key); });
}

document.addEventListener("keydown", (event) => {
  if (!isForPage(event) || isSending) return;
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") choose(Math.max(0, chosen + (key === "j" ? 1 : -1)));
  else if (/^[1-9]$/.test(key)) pressOnceShown(key);
  else return;
  event.preventDefault();
});

// A press on an entry shows it. Its links and buttons keep their meaning, except that its name leads beside the list.
document.addEventListener("click", (event) => {
  const entry = event.target.closest("[data-queue] > li");
  if (!entry || !beside() || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (event.target.closest("a") && event.target.closest("a") !== entry.querySelector("h2 a")) return;
  if (event.target.closest("button, input, label, dialog, form") || getSelection().toString()) return;
  event.preventDefault();
  choose(entries.indexOf(entry));
  // Enter on the name leads to what is shown, as the link does.
  if (event.detail === 0) loading.then(focusBeside);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!page || isSessionOver || event.defaultPrevented || !form.closest("[data-queue-page]") || form.closest("dialog:not([popover])")) return;
  event.preventDefault();
  if (isSending) return;
  isSending = true;
  send(form, button).finally(() => { isSending = false; });
});

async function send(form, button) {
  const url = button?.getAttribute("formaction") ?? form.getAttribute("action");
  const values = new URLSearchParams(new FormData(form, button));
  const next = values.get("place") ?? new URL(url, location.href).searchParams.get("place") ?? "";
  form.closest(":popover-open")?.hidePopover();
  try {
    const [response, fresh] = await read(url, { method: "POST", body: values });
    const { pathname } = new URL(response.url);
    if (response.redirected && pathname.startsWith("/sign-in")) {
      // Nothing was done. Sent by the browser, the form is kept while its user signs in.
      isSessionOver = true;
      form.requestSubmit(button);
    } else if (response.ok && pathname !== location.pathname) location.assign(response.url);
    else show(response, fresh, next);
  } catch {
    showToast("The server cannot be reached. Reload the page to see whether this was done.");
  }
}

// Takes from the response what has changed. The rest of this page, its scripts and its scroll position stay.
function show(response, fresh, next) {
  const part = fresh.querySelector("[data-queue-page]");
  const old = document.querySelector("[data-queue-page]");
  for (const message of document.querySelectorAll("main > .notice[role=status], .toast")) message.remove();
  const menu = fresh.getElementById("navigation");
  if (menu) document.getElementById("navigation").replaceChildren(...document.importNode(menu, true).childNodes);
  if (response.ok && part) {
    replace(old, part);
    history.replaceState(null, "", response.url);
    const notices = [...fresh.querySelectorAll("main > .notice[role=status]")];
    document.querySelector("[data-queue-page]").before(...notices.map((notice) => document.importNode(notice, true)));
    begin(next);
    (entries[chosen] ?? document.getElementById("main")).focus({ preventScroll: true });
  } else {
    // The queue is empty, or the decision was refused.
    document.getElementById("main").replaceChildren(...document.importNode(fresh.getElementById("main"), true).childNodes);
    document.getElementById("main").focus({ preventScroll: true });
  }
  const toast = fresh.querySelector(".toast");
  if (toast) showToast(toast);
}

// A decision leads to the entry after it. If that is gone, none is chosen: entries before it were skipped, and no digit
// may decide about them.
function begin(place) {
  findEntries();
  chosen = -1;
  const at = place || document.getElementById("entry")?.dataset.entry;
  choose(at ? entries.findIndex((entry) => entry.id === at) : 0);
}

begin(location.hash.slice(1).replace("entry", ""));
