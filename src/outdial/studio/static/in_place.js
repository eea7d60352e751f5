// Sends a form without loading the page again: its response, a page of the server, replaces the parts of this page with
// `data-in-place` and an id. The rest, its scripts and its scroll position stay. This is for the forms in such parts, and
// on pages with such parts for those of linked_dialog.js, after which selected rows are selected no longer.

import { announce, showToast } from "./toast.js";

const LONGEST_REQUEST_MS = 20000;
let isSending = false;
let isSessionOver = false;

// While a form is sent, nothing else may be pressed: its response replaces what is pressed.
export function isSendingForm() {
  return isSending;
}

// Fails with a TimeoutError after 20 seconds, and with an AbortError if `signal` ends it.
export async function readPage(url, { signal, headers, ...options }) {
  const limit = AbortSignal.timeout(LONGEST_REQUEST_MS);
  const response = await fetch(url, {
    cache: "no-store",
    ...options,
    headers: { accept: "text/html", ...headers },
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  });
  return [response, new DOMParser().parseFromString(await response.text(), "text/html")];
}

export function replacePart(old, next) {
  const shown = document.importNode(next, true);
  old.replaceWith(shown);
  shown.dispatchEvent(new CustomEvent("outdial:replaced", { bubbles: true }));
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (isSessionOver || event.defaultPrevented || !isSentHere(form)) return;
  event.preventDefault();
  if (isSending) return;
  isSending = true;
  send(form, event.submitter).finally(() => { isSending = false; });
});

function isSentHere(form) {
  if (form.getAttribute("method") !== "post") return false;
  const dialog = form.closest("dialog:not([popover])");
  return dialog ? dialog.matches(".linked-dialog") && partsOfPage().length > 0 : Boolean(form.closest("[data-in-place]"));
}

function partsOfPage() {
  return [...document.querySelectorAll("[data-in-place][id]")];
}

async function send(form, button) {
  const url = button?.getAttribute("formaction") ?? form.getAttribute("action");
  const dialog = form.closest(".linked-dialog");
  form.closest(":popover-open")?.hidePopover();
  try {
    const [response, fresh] = await readPage(url, {
      method: "POST",
      body: new URLSearchParams(new FormData(form, button)),
      // A message for another page is kept for it.
      headers: { "x-in-place": location.pathname },
    });
    const { pathname } = new URL(response.url);
    if (response.redirected && pathname.startsWith("/sign-in")) {
      // Nothing was done. Sent by the browser, the form is kept while its user signs in.
      isSessionOver = true;
      form.requestSubmit(button);
    } else if (response.ok && pathname !== location.pathname) location.assign(response.url);
    else {
      dialog?.close();
      show(response, fresh, dialog);
    }
  } catch (error) {
    dialog?.close();
    const cause = error.name === "TimeoutError" ? "The server has not responded for 20 seconds." : "The server cannot be reached.";
    showToast(`${cause} Reload the page to see whether this was done.`, "alert");
  }
}

function show(response, fresh, dialog) {
  for (const message of document.querySelectorAll("main > .notice[role], .toast")) message.remove();
  const menu = fresh.getElementById("navigation");
  if (menu) document.getElementById("navigation").replaceChildren(...document.importNode(menu, true).childNodes);
  const main = document.getElementById("main");
  main.focus({ preventScroll: true });
  const parts = partsOfPage().map((old) => [old, fresh.getElementById(old.id)]);
  if (response.ok && parts.every(([, next]) => next)) {
    history.replaceState(history.state, "", response.url);
    const notices = [...fresh.querySelectorAll("main > .notice[role]")].map((notice) => document.importNode(notice, true));
    main.querySelector(".title-row").after(...notices);
    for (const notice of notices) announce(notice);
    for (const [old, next] of parts) replacePart(old, next);
    if (dialog) {
      document.dispatchEvent(new Event("outdial:done"));
      beginAtMessage();
    }
  } else {
    // The list is empty, or the form was refused.
    document.title = fresh.title;
    main.replaceChildren(...document.importNode(fresh.getElementById("main"), true).childNodes);
    for (const notice of main.querySelectorAll(".notice[role]:not([hidden])")) announce(notice);
    main.dispatchEvent(new CustomEvent("outdial:replaced", { bubbles: true }));
  }
  const toast = fresh.querySelector(".toast");
  if (toast) showToast(toast);
}

// As on a new page, the keyboard reaches the button of a message first.
function beginAtMessage() {
  if (document.activeElement.id !== "main") return;
  const skip = document.querySelector(".skip");
  skip.focus({ preventScroll: true });
  skip.blur();
}
