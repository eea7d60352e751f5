// Shows the value of what is pointed at, touched or reached with the arrow keys in a chart (`data-marks`, with elements
// `data-mark`). Their titles have the words; they serve without this script, and go once it runs, so that no value shows
// twice. Live updates replace charts, so that the document listens.

const tip = document.createElement("p");
tip.className = "chart-tip";
tip.setAttribute("role", "status");
tip.hidden = true;
let shown = null;

function wordsOf(mark) {
  const title = mark.querySelector(":scope > title");
  if (title) {
    mark.dataset.mark = title.textContent;
    title.remove();
  } else if (mark.title) {
    mark.dataset.mark = mark.title;
    mark.removeAttribute("title");
  }
  return mark.dataset.mark;
}

function show(mark) {
  if (mark === shown) return;
  hide();
  shown = mark;
  const words = wordsOf(mark);
  if (!words) return;
  mark.classList.add("is-shown");
  tip.textContent = words;
  tip.hidden = false;
  document.body.append(tip);
  const box = mark.getBoundingClientRect();
  const width = tip.offsetWidth;
  const left = Math.min(Math.max(8, box.left + box.width / 2 - width / 2), document.documentElement.clientWidth - width - 8);
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above < 4 ? box.bottom + 6 : above) + scrollY}px`;
}

function hide() {
  shown?.classList.remove("is-shown");
  shown = null;
  tip.hidden = true;
}

document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest("[data-mark]");
  if (mark) show(mark);
  else if (event.pointerType !== "touch" && !document.activeElement.closest("[data-marks]")) hide();
});
document.addEventListener("pointerdown", (event) => {
  const mark = event.target.closest("[data-mark]");
  if (mark) show(mark);
  else hide();
});
document.addEventListener("focusin", (event) => {
  const root = event.target.closest("[data-marks]");
  if (!root) hide();
  else if (event.target === root) show(shown && root.contains(shown) ? shown : root.querySelector("[data-mark]"));
  else if (event.target.closest("[data-mark]")) show(event.target.closest("[data-mark]"));
});
document.addEventListener("focusout", (event) => {
  // A press on another chart has shown its value before the focus moves there.
  if (event.target.closest("[data-marks]")?.contains(shown)) hide();
});
document.addEventListener("outdial:replaced", hide);
document.addEventListener("keydown", (event) => {
  const root = event.target.closest("[data-marks]");
  if (!root || event.target !== root) return;
  if (event.key === "Escape") return hide();
  const marks = [...root.querySelectorAll("[data-mark]")];
  const at = marks.indexOf(shown);
  const across = Number(root.dataset.across) || 1;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -at, End: marks.length - 1 - at };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const next = at + steps[event.key];
  if (marks[next]) show(marks[next]);
});
