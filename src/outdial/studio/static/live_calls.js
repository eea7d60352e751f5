// The live page: times that count up, and the dialog that asks for a reason before a call is hung up. Without JavaScript,
// a time is the server's, and the link leads to a page that asks.

const TICK_MS = 1000;
let offset = 0;

// The device's clock may be wrong: count from the server's.
function readClock() {
  const now = document.querySelector("[data-now]")?.dataset.now;
  if (now) offset = Date.parse(now) - Date.now();
}

// As the server formats it: 0:07, 12:40, 1 h 05 min.
export function elapsedText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

function tick() {
  const now = Date.now() + offset;
  for (const element of document.querySelectorAll("time[data-elapsed]")) {
    const text = elapsedText(now - Date.parse(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

readClock();
tick();
setInterval(tick, TICK_MS);
document.addEventListener("outdial:replaced", () => { readClock(); tick(); });

const dialog = document.getElementById("hang-up");
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-hang-up]");
  if (!dialog || !link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  dialog.querySelector("h2").textContent = link.ariaLabel.replace("…", "?");
  dialog.querySelector("form").action = link.href;
  dialog.showModal();
});
dialog?.querySelector("[data-close]").addEventListener("click", () => dialog.close());
