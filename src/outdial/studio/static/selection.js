// Selects rows of a list (view/selection.html). While any is selected, the form of actions is a bar that floats above the
// page. An action opens its question, a page of the server, as a dialog, or is sent at once where the form says POST. Shift
// selects all rows from the last one on.

import { openLinked } from "./linked_dialog.js";

const form = document.querySelector("form[data-selection]");
if (form) begin(form);

function begin(bar) {
  // How many match comes with an update of the list.
  const all = () => bar.elements.namedItem("all");
  const count = bar.querySelector("[data-selection-count]");
  let last = null;

  // The ids of selected rows: an update of the list brings new boxes.
  const ids = new Set();
  const idOf = (box) => box.value.split(".")[0];
  const boxes = () => [...document.querySelectorAll('input[name="chosen"][form="selection"]')];
  const set = (checked) => { for (const box of boxes()) box.checked = checked; };

  function show() {
    const rows = boxes();
    ids.clear();
    for (const box of rows) if (box.checked) ids.add(idOf(box));
    const chosen = ids.size;
    const every = all();
    if (every && chosen < rows.length) every.checked = false;
    const isAll = Boolean(every?.checked);
    bar.hidden = !chosen;
    const noun = count.dataset.selectionCount + (chosen === 1 ? "" : "s");
    count.textContent = !chosen ? "" : isAll ? every.closest("label").textContent.trim() : `${chosen} ${noun} selected`;
    if (every) {
      every.closest("label").hidden = true;
      bar.querySelector("[data-select-all]").hidden = isAll;
    }
    for (const page of document.querySelectorAll("[data-tick-page]")) {
      page.hidden = false;
      page.checked = chosen > 0 && chosen === rows.length;
      page.indeterminate = chosen > 0 && chosen < rows.length;
    }
  }

  bar.classList.add("floats");
  bar.querySelector(".selection-plain")?.remove();
  bar.querySelector(".selection-buttons").hidden = false;
  document.addEventListener("outdial:replaced", () => {
    for (const box of boxes()) box.checked = ids.has(idOf(box));
    show();
  });
  // Browsers restore boxes when one comes back to the page.
  window.addEventListener("pageshow", show);
  show();

  document.addEventListener("click", (event) => {
    // The whole cell is the target: a finger needs more room than the box.
    const box = event.target.querySelector?.(':scope > input[name="chosen"]') ?? event.target;
    if (!(box instanceof HTMLInputElement) || box.name !== "chosen") return;
    if (box !== event.target) box.checked = !box.checked;
    const rows = boxes();
    const from = rows.findIndex((each) => idOf(each) === last);
    const to = rows.indexOf(box);
    if (event.shiftKey && from >= 0) {
      for (const each of rows.slice(Math.min(from, to), Math.max(from, to) + 1)) each.checked = box.checked;
    }
    last = idOf(box);
    show();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.("[data-tick-page]")) return;
    set(event.target.checked);
    show();
  });
  bar.addEventListener("click", (event) => {
    if (!event.target.closest("[data-select-all]")) return;
    set(true);
    all().checked = true;
    show();
  });
  bar.querySelector("[data-select-page]").addEventListener("click", () => { set(true); show(); });
  const clear = () => {
    set(false);
    if (all()) all().checked = false;
    show();
  };
  bar.querySelector("[data-select-none]").addEventListener("click", () => {
    clear();
    document.getElementById("main").focus();
  });
  // What was selected has been acted on in place (in_place.js).
  document.addEventListener("outdial:done", clear);
  // Enter in a box would press the first action of the form, which may be done without a question.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches('[name="chosen"]')) event.preventDefault();
  });
  bar.addEventListener("submit", (event) => {
    // A search as one types changes the address.
    bar.elements.namedItem("back").value = location.pathname + location.search;
    if ((event.submitter.getAttribute("formmethod") ?? bar.getAttribute("method")) === "post") return;
    event.preventDefault();
    const values = new URLSearchParams(new FormData(bar, event.submitter));
    values.delete("csrf_token");
    if (values.has("all")) values.delete("chosen");
    // A button named "action" hides the property of the form.
    openLinked(`${bar.getAttribute("action")}?${values}`, event.submitter);
  });
}
