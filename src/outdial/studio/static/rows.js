// Updates the rows of a table body by their ids (`data-live-keyed`): a row that has not changed stays the element that it
// was, and one that has moved slides to its new place. `data-group` of a row says in which part of the table it belongs.

const SLIDE_MS = 260;
// The server's last rendering of each row, without the times that scripts count up.
const rendered = new Map();

export function replaceKeyedRows(old, next, isInUse) {
  const before = new Map([...old.rows].map((row) => [row.id, row.getBoundingClientRect().top]));
  const wanted = [...next.rows];
  const ids = new Set(wanted.map((row) => row.id));
  const active = document.activeElement?.closest("tr")?.id;
  const group = new Map(wanted.map((row) => [row.id, row.dataset.group]));
  for (const name of old.getAttributeNames()) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const name of next.getAttributeNames()) old.setAttribute(name, next.getAttribute(name));
  const moved = new Map();
  for (const row of [...old.rows]) {
    if (!ids.has(row.id)) { rendered.delete(row.id); row.remove(); }
    else if (group.get(row.id) !== row.dataset.group) { moved.set(row.id, row); row.remove(); }
  }
  let place = old.rows[0] ?? null;
  for (const row of wanted) {
    const known = document.getElementById(row.id) ?? moved.get(row.id);
    const shown = known ? update(known, row, isInUse) : document.importNode(row, true);
    if (!known) rendered.set(row.id, textOf(row));
    if (shown === place) place = place.nextElementSibling;
    else old.insertBefore(shown, place);
  }
  old.dispatchEvent(new CustomEvent("outdial:replaced", { bubbles: true }));
  if (active && moved.has(active)) document.getElementById(active)?.querySelector("a")?.focus({ preventScroll: true });
  slide(old, before);
}

// The row keeps its element, and so its focus; only its cells are new.
function update(row, next, isInUse) {
  const text = textOf(next);
  if (rendered.get(row.id) === text || isInUse(row) || isSelected(row)) return row;
  rendered.set(row.id, text);
  const focused = row.contains(document.activeElement) ? [...row.querySelectorAll("a, button")].indexOf(document.activeElement) : -1;
  for (const name of next.getAttributeNames()) row.setAttribute(name, next.getAttribute(name));
  row.replaceChildren(...document.importNode(next, true).childNodes);
  if (focused >= 0) row.querySelectorAll("a, button")[focused]?.focus({ preventScroll: true });
  return row;
}

// Someone copies what the row says.
function isSelected(row) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && row.contains(selection.anchorNode);
}

function textOf(row) {
  const copy = row.cloneNode(true);
  for (const time of copy.querySelectorAll("[data-elapsed]")) time.textContent = "";
  return copy.outerHTML;
}

function slide(body, before) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of body.rows) {
    const was = before.get(row.id);
    const distance = was === undefined ? 0 : was - row.getBoundingClientRect().top;
    const from = was === undefined ? { opacity: 0 } : { transform: `translateY(${distance}px)` };
    if (was === undefined || distance) row.animate([from, {}], { duration: SLIDE_MS, easing: "ease-out" });
  }
}
