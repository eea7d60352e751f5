// A queue: J and K choose an entry, a digit presses its button of that number, while no one types and no dialog is open.

import { isForPage } from "./keys.js";

const entries = [...document.querySelectorAll("[data-queue] > li")];
let chosen = -1;

function choose(number) {
  if (!entries.length) return;
  entries[chosen]?.removeAttribute("aria-current");
  chosen = Math.min(number, entries.length - 1);
  if (chosen < 0) return;
  entries[chosen].setAttribute("aria-current", "true");
  entries[chosen].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (!isForPage(event)) return;
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") choose(Math.max(0, chosen + (key === "j" ? 1 : -1)));
  else if (/^[1-9]$/.test(key)) {
    const found = entries[chosen]?.querySelector(`[data-digit="${key}"]`);
    (found?.querySelector("button") ?? found)?.click();
  } else return;
  event.preventDefault();
});

// A decision leads to the entry after it. If that is gone, none is chosen: entries before it were skipped, and no digit
// may decide about them.
const place = location.hash.slice(1);
choose(place ? entries.findIndex((entry) => entry.id === place) : 0);
