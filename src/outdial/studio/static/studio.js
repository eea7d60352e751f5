// Runs on every page: local times, menus, copy buttons and live updates.

import { watchPage } from "./live.js";
import { offerSearch } from "./search.js";
import { reportZone, showTimes } from "./time.js";
import { endToast } from "./toast.js";
import { holdUnsavedStarts } from "./unsaved_steps.js";

reportZone();
showTimes(document);
document.addEventListener("outdial:replaced", (event) => showTimes(event.target));

// A page that is the response to a form takes the address of the page of the form, so that Back and Reload load that page
// instead of asking whether to send the form again. The email of a failed sign-in stays. A form that is kept while its
// user signs in is in this page only.
const username = document.querySelector("input[type=email][autocomplete=username]");
const isResponse = !("reloadable" in document.body.dataset) && !document.querySelector("[name=kept], [data-kept]");
if (isResponse && document.referrer.startsWith(`${location.origin}/`)) {
  history.replaceState({ ...history.state, username: username?.value }, "", document.referrer);
} else if (username && history.state?.username) username.value ||= history.state.username;

// A menu closes on a press elsewhere, and on Escape. Live updates replace menus, so that the document listens.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest("details[data-menu][open]");
  if (event.key !== "Escape" || !menu || menu.querySelector(":popover-open")) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// Copies the text a button names: <button data-copy="#id-of-the-text">; or the address of a link: <a href data-copy>.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  if (button.href) event.preventDefault();
  const text = button.href || document.querySelector(button.dataset.copy).textContent.trim();
  await navigator.clipboard.writeText(text);
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

// On a phone, the rows of a list become cards. Each cell shows the head of its column, unless the page has labelled it.
function labelCells() {
  for (const wrap of document.querySelectorAll(".table-wrap:not(.chart *)")) {
    const heads = [...wrap.querySelectorAll("thead th")].map((head) => (head.querySelector(".visually-hidden") ? "" : head.textContent.trim()));
    if (!wrap.classList.contains("stacks")) wrap.classList.add("stacks");
    else if (wrap.querySelector("[data-label]")) continue;
    for (const row of wrap.querySelectorAll("tbody tr")) {
      for (const [place, cell] of [...row.cells].entries()) {
        if (cell.tagName === "TD" && heads[place] && cell.textContent.trim()) cell.dataset.label = heads[place];
      }
    }
  }
}
labelCells();
document.addEventListener("outdial:replaced", labelCells);

// A table that fits keeps its head in sight while the page scrolls; one that does not scrolls sideways.
function showFits() {
  for (const wrap of document.querySelectorAll(".table-wrap")) {
    wrap.toggleAttribute("data-fits", wrap.firstElementChild.offsetWidth <= wrap.clientWidth + 1);
  }
}
showFits();
window.addEventListener("resize", showFits);
document.addEventListener("outdial:replaced", showFits);

// The whole row leads to the page of its first link: <tr data-href>. Links and buttons in it keep their own meaning.
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-href]");
  // A cell with a box is part of its box (selection.js).
  const own = 'a, button, input, label, summary, .panel, td:has(> [name="chosen"])';
  if (!row || event.target.closest(own) || getSelection().toString()) return;
  const { href } = row.querySelector("a[href]");
  if (event.metaKey || event.ctrlKey) open(href);
  else location.assign(href);
});

document.querySelectorAll("[data-toast]").forEach(endToast);

// Long selects outside the campaign form, whose own script makes them searchable before it restores what was typed.
const searched = document.querySelectorAll("select[data-search]:not([data-campaign-form] *)");
const listed = document.querySelectorAll("input[list][data-search]");
if (searched.length || listed.length) {
  import("./searchable.js").then(({ makeSearchable, makeListSearchable }) => {
    searched.forEach(makeSearchable);
    listed.forEach(makeListSearchable);
  });
}

holdUnsavedStarts();
offerSearch();
watchPage();
