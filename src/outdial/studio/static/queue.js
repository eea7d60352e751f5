// A queue: J and K choose an entry, a digit presses its button of that number, while no one types and no dialog is open.
// On a wide screen, the chosen entry is shown beside the list (`#entry`), without a page load. Its forms are sent in place
// (in_place.js); their response has the next entry.

import { isSendingForm, readPage, replacePart } from "./in_place.js";
import { isForPage } from "./keys.js";

let entries = [];
let chosen = -1;
let loading = Promise.resolve();
let reading = new AbortController();

// The part beside the list, where there is room for it.
function beside() {
  const shown = document.getElementById("entry");
  return shown && getComputedStyle(shown).position === "sticky" ? shown : null;
}

function linkOf(entry) {
  return entry.querySelector(".queue-head :is(h2, h3) a");
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

async function showBeside(entry) {
  reading.abort();
  reading = new AbortController();
  const link = linkOf(entry).href.replace("#entry", "");
  try {
    const [response, fresh] = await readPage(link, { signal: reading.signal });
    const next = fresh.getElementById("entry");
    // Decided by someone else, or the session has ended: the page explains it.
    if (!response.ok || response.redirected || next?.dataset.entry !== entry.id) location.assign(link);
    else {
      const old = document.getElementById("entry");
      const hadFocus = old.contains(document.activeElement);
      replacePart(old, next);
      if (hadFocus) focusBeside();
      history.replaceState(null, "", link);
    }
  } catch (error) {
    if (error.name !== "AbortError") location.assign(link);
  }
}

function focusBeside() {
  document.getElementById("entry")?.focus({ preventScroll: true });
}

// A digit of several buttons leads to the first one.
function press(key) {
  const place = beside() ?? entries[chosen];
  if (place === beside() && place.dataset.entry !== entries[chosen]?.id) return;
  const found = place?.querySelector(`[data-digit="${key}"]`);
  const button = found?.querySelector("button") ?? found;
  if (found && "leads" in found.dataset) button.focus();
  else button?.click();
}

// A digit waits until the chosen entry is shown. If another one is chosen meanwhile, it decides nothing.
function pressOnceShown(key) {
  const entry = entries[chosen];
  loading.then(() => { if (entries[chosen] === entry) press(key); });
}

document.addEventListener("keydown", (event) => {
  if (!isForPage(event) || isSendingForm()) return;
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
  if (event.target.closest("a") && event.target.closest("a") !== linkOf(entry)) return;
  if (event.target.closest("button, input, label, dialog, form") || getSelection().toString()) return;
  event.preventDefault();
  choose(entries.indexOf(entry));
  // Enter on the name leads to what is shown, as the link does.
  if (event.detail === 0) loading.then(focusBeside);
});

// A decision leads to the entry after it. If that is gone, none is chosen: entries before it were skipped, and no digit
// may decide about them.
function begin() {
  entries = [...document.querySelectorAll("[data-queue] > li")];
  chosen = -1;
  choose(entries.findIndex((entry) => entry.hasAttribute("aria-current")));
}

document.addEventListener("outdial:replaced", (event) => {
  if (!event.target.matches("#queue, #main")) return;
  begin();
  entries[chosen]?.focus({ preventScroll: true });
});

begin();
