// A queue: J and K choose an entry, a digit presses its button of that number, while no one types and no dialog is open.

const entries = [...document.querySelectorAll("[data-queue] > li")];
let chosen = -1;

function choose(number) {
  if (!entries.length) return;
  entries[chosen]?.removeAttribute("aria-current");
  chosen = Math.max(0, Math.min(number, entries.length - 1));
  entries[chosen].setAttribute("aria-current", "true");
  entries[chosen].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable], dialog")) return;
  if (document.querySelector("dialog[open], :popover-open")) return;
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") choose(chosen + (key === "j" ? 1 : -1));
  else if (/^[1-9]$/.test(key)) {
    const found = entries[chosen]?.querySelector(`[data-digit="${key}"]`);
    (found?.querySelector("button") ?? found)?.click();
  } else return;
  event.preventDefault();
});

// After a decision the next entry is the first one.
choose(0);
