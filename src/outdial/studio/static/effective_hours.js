// Shows which hours in the campaign form the calling rules allow, while the hours are painted: the server evaluates the
// form and returns this part of the page. Without this script, the part shows the hours that were last sent.

import { announce } from "./toast.js";

const PAUSE_MS = 200;
const FIELDS = /^(purpose|excluded_dates|\w+day_(from|to))$/;

export function followHours(form) {
  let timer = 0;
  let running = new AbortController();
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      running.abort();
      running = new AbortController();
      refresh(form, running.signal);
    }, PAUSE_MS);
  };
  form.addEventListener("hours-painted", ask);
  form.addEventListener("change", (event) => { if (FIELDS.test(event.target.name)) ask(); });
}

async function refresh(form, signal) {
  const shown = form.querySelector("#effective-hours");
  try {
    const response = await fetch(form.dataset.effectiveHours, { method: "POST", body: new FormData(form), signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const part = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("effective-hours");
    update(shown, part);
  } catch (error) {
    if (error.name === "AbortError") return;
    const note = document.createElement("p");
    note.className = "note";
    note.setAttribute("role", "status");
    note.textContent = "The calling rules cannot be loaded right now. Save the campaign to see their effect.";
    shown.replaceChildren(note);
    announce(note);
  }
}

// Keeps the table open, and announces a summary only when it has changed.
function update(shown, part) {
  const details = part.querySelector("details");
  if (details) details.open = shown.querySelector("details")?.open ?? false;
  const [old, fresh] = [shown.querySelector("[data-summary]"), part.querySelector("[data-summary]")];
  if (old && fresh && old.textContent === fresh.textContent) fresh.replaceWith(old);
  else for (const message of part.querySelectorAll("[role=status]")) announce(message);
  shown.replaceChildren(...part.childNodes);
  if (!part.dataset.law) return;
  shown.dataset.law = part.dataset.law;
  shown.dispatchEvent(new Event("law-changed", { bubbles: true }));
}
