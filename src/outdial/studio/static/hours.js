// Adds a week grid of half hours that can be painted with pointer or keyboard. The time inputs stay the source of truth:
// painting writes to them, and typing into them updates the grid.

const SLOTS = 48;
const MINUTES = 30;
const PRESETS = [
  ["Weekdays 9 AM–8 PM", (day) => (day < 5 ? [[540, 1200]] : [])],
  ["Every day 9 AM–8 PM", () => [[540, 1200]]],
  ["Around the clock", () => [[0, 1440]]],
  ["Clear", () => []],
];

export function drawWeek(fieldset) {
  const place = fieldset.querySelector("[data-hours-grid]");
  const times = fieldset.querySelector("[data-hours-times]");
  const days = [...times.querySelectorAll("tr[data-day]")];
  if (!place || !days.length) return;
  const week = new Week(place, days);
  week.show();
  const showLaw = () => week.showLaw(JSON.parse(fieldset.querySelector("#effective-hours[data-law]")?.dataset.law ?? "{}"));
  fieldset.addEventListener("law-changed", showLaw);
  showLaw();
  place.hidden = false;
  // Half an hour is too small for a finger on a small screen.
  times.open = fieldset.hasAttribute("aria-invalid") || matchMedia("(max-width: 40rem)").matches;
}

class Week {
  #days;
  #place;
  #cells;
  #status;
  #paint = null;
  #grid;
  #legend;

  constructor(place, days) {
    this.#place = place;
    this.#days = days;
    this.#cells = days.map((row, day) => Array.from({ length: SLOTS }, (_, slot) => cell(nameOf(row), day, slot)));
    this.#cells[0][18].tabIndex = 0;
    this.#build();
    this.#listen();
  }

  // What the calling rules allow, as letters for each half hour of each day: all places, some of them, or none.
  showLaw(law) {
    this.#days.forEach((row, day) => {
      this.#cells[day].forEach((element, slot) => {
        const letter = law[row.dataset.day]?.[slot] ?? "a";
        if (element.dataset.law === letter) return;
        element.dataset.law = letter;
        element.setAttribute("aria-label", labelOf(element));
      });
    });
    this.#legend.hidden = !Object.keys(law).length;
  }

  show() {
    this.#days.forEach((row, day) => {
      const windows = windowsOf(row);
      this.#cells[day].forEach((element, slot) => press(element, stateOf(windows, slot)));
    });
    this.#showTotal();
  }

  #build() {
    const buttons = element("div", { className: "buttons" });
    for (const [label, windows] of PRESETS) {
      const button = element("button", { type: "button", className: "button button-quiet", textContent: label });
      button.addEventListener("click", () => {
        this.#days.forEach((row, day) => writeWindows(row, windows(day)));
        this.#painted();
      });
      buttons.append(button);
    }
    const grid = element("div", { className: "week" });
    grid.setAttribute("role", "grid");
    grid.setAttribute("aria-multiselectable", "true");
    grid.setAttribute("aria-label", "Calling hours. Use the arrow keys to move, Space to open or close half an hour, and Shift with the arrow keys to paint.");
    grid.append(hoursRow());
    this.#cells.forEach((row, day) => {
      const line = element("div", { className: "week-day" });
      line.setAttribute("role", "row");
      const name = element("span", { className: "week-name", textContent: nameOf(this.#days[day]) });
      name.setAttribute("role", "rowheader");
      line.append(name, ...row);
      grid.append(line);
    });
    this.#status = element("p", { className: "note" });
    this.#status.setAttribute("role", "status");
    const hint = element("p", { className: "note", textContent: "Drag to paint, or use the arrow keys and Space." });
    const scroll = element("div", { className: "week-scroll" });
    scroll.append(grid);
    this.#legend = legend();
    this.#place.append(buttons, scroll, this.#legend, hint, this.#status);
    this.#grid = grid;
  }

  #listen() {
    const grid = this.#grid;
    grid.addEventListener("pointerdown", (event) => {
      const at = positionOf(event.target);
      if (!at || event.button !== 0) return;
      event.preventDefault();
      this.#paint = { from: at, open: !isOpen(this.#cells[at.day][at.slot]), before: this.#states() };
      // Lets a painting finger leave the cell it started on.
      event.target.releasePointerCapture?.(event.pointerId);
      this.#stretch(at);
      this.#focus(at);
    });
    grid.addEventListener("pointermove", (event) => {
      const at = this.#paint && positionOf(document.elementFromPoint(event.clientX, event.clientY));
      if (at) this.#stretch(at);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      document.addEventListener(name, () => {
        if (!this.#paint) return;
        this.#paint = null;
        this.#write();
      });
    }
    grid.addEventListener("keydown", (event) => this.#key(event));
    for (const row of this.#days) row.addEventListener("change", () => this.show());
  }

  #key(event) {
    const at = positionOf(event.target);
    if (!at || event.altKey || event.metaKey) return;
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      press(this.#cells[at.day][at.slot], String(!isOpen(this.#cells[at.day][at.slot])));
      this.#write();
      return;
    }
    const to = moved(at, event);
    if (!to) return;
    event.preventDefault();
    if (event.shiftKey) {
      press(this.#cells[to.day][to.slot], String(isOpen(this.#cells[at.day][at.slot])));
      this.#write();
    }
    this.#focus(to);
  }

  // Paints the rectangle from the start cell to the current one; cells outside keep their previous state.
  #stretch(to) {
    const { from, open, before } = this.#paint;
    const [top, bottom] = [Math.min(from.day, to.day), Math.max(from.day, to.day)];
    const [left, right] = [Math.min(from.slot, to.slot), Math.max(from.slot, to.slot)];
    this.#cells.forEach((row, day) => row.forEach((element, slot) => {
      const inside = day >= top && day <= bottom && slot >= left && slot <= right;
      press(element, inside ? String(open) : before[day][slot]);
    }));
  }

  #states() {
    return this.#cells.map((row) => row.map((element) => element.dataset.state));
  }

  // Writes painted days only, so that a typed 09:15 on another day is kept.
  #write() {
    this.#days.forEach((row, day) => {
      const typed = windowsOf(row);
      const shown = this.#cells[day].map((element) => element.dataset.state);
      if (shown.every((state, slot) => state === stateOf(typed, slot))) return;
      writeWindows(row, merged(shown));
    });
    this.#painted();
  }

  // Inputs fire no change event when a script writes to them.
  #painted() {
    this.show();
    this.#place.dispatchEvent(new CustomEvent("hours-painted", { bubbles: true }));
  }

  #focus(at) {
    for (const element of this.#grid.querySelectorAll("[tabindex='0']")) element.tabIndex = -1;
    const target = this.#cells[at.day][at.slot];
    target.tabIndex = 0;
    target.focus();
  }

  #showTotal() {
    const open = this.#days.map((row) => windowsOf(row).reduce((sum, [from, to]) => sum + Math.max(0, to - from), 0));
    const hours = open.reduce((sum, minutes) => sum + minutes, 0) / 60;
    const days = open.filter((minutes) => minutes > 0).length;
    const text = hours ? `${hours} ${hours === 1 ? "hour" : "hours"} per week on ${days === 1 ? "1 day" : `${days} days`}.` : "No calling hours. Open at least half an hour.";
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }
}

function moved({ day, slot }, event) {
  switch (event.key) {
    case "ArrowLeft": return slot > 0 && { day, slot: slot - 1 };
    case "ArrowRight": return slot < SLOTS - 1 && { day, slot: slot + 1 };
    case "ArrowUp": return day > 0 && { day: day - 1, slot };
    case "ArrowDown": return day < 6 && { day: day + 1, slot };
    case "Home": return { day: event.ctrlKey ? 0 : day, slot: 0 };
    case "End": return { day: event.ctrlKey ? 6 : day, slot: SLOTS - 1 };
    default: return null;
  }
}

function hoursRow() {
  const line = element("div", { className: "week-hours" });
  line.setAttribute("aria-hidden", "true");
  for (const hour of [0, 3, 6, 9, 12, 15, 18, 21]) line.append(element("span", { textContent: hourText(hour) }));
  return line;
}

function cell(name, day, slot) {
  const made = element("span", { className: "week-cell", tabIndex: -1 });
  made.setAttribute("role", "gridcell");
  made.dataset.name = `${name}, ${minuteText(slot * MINUTES)} to ${minuteText((slot + 1) * MINUTES)}`;
  made.dataset.at = `${day}:${slot}`;
  return made;
}

function positionOf(target) {
  const at = target?.closest?.(".week-cell")?.dataset.at;
  if (!at) return null;
  const [day, slot] = at.split(":").map(Number);
  return { day, slot };
}

// "mixed" is a half hour that a typed time opens only partly.
function stateOf(windows, slot) {
  const [from, to] = [slot * MINUTES, (slot + 1) * MINUTES];
  const open = windows.reduce((sum, [begin, end]) => sum + Math.max(0, Math.min(end, to) - Math.max(begin, from)), 0);
  return open >= MINUTES ? "true" : open > 0 ? "mixed" : "false";
}

function press(element, state) {
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.setAttribute("aria-selected", String(state === "true"));
  element.setAttribute("aria-label", labelOf(element));
}

const LAW = { s: ", closed in some places by the calling rules", n: ", closed by the calling rules" };

function labelOf(element) {
  return `${element.dataset.name}${element.dataset.state === "mixed" ? ", partly open" : ""}${LAW[element.dataset.law] ?? ""}`;
}

function legend() {
  const list = element("ul", { className: "legend", hidden: true });
  for (const [letter, text] of [["n", "Closed by the calling rules"], ["s", "Closed by them in some places"]]) {
    const entry = element("li", {});
    const sample = element("span", { className: "week-sample" });
    sample.dataset.law = letter;
    entry.append(sample, ` ${text}`);
    list.append(entry);
  }
  return list;
}

function isOpen(element) {
  return element.dataset.state === "true";
}

function merged(states) {
  const windows = [];
  states.forEach((state, slot) => {
    if (state === "false") return;
    const last = windows.at(-1);
    if (last && last[1] === slot * MINUTES) last[1] += MINUTES;
    else windows.push([slot * MINUTES, (slot + 1) * MINUTES]);
  });
  return windows;
}

function windowsOf(row) {
  return [...row.querySelectorAll("[data-window]")].flatMap((pair) => {
    const [from, to] = [...pair.querySelectorAll("input")].map((input) => minuteOf(input.value));
    return from === null || to === null ? [] : [[from, to === 0 ? 1440 : to]];
  });
}

// Gives a day at least so many pairs of times, and returns them.
export function addWindows(row, least) {
  const pairs = [...row.querySelectorAll("[data-window]")];
  const template = pairs[0];
  while (pairs.length < least) {
    const pair = template.cloneNode(true);
    for (const input of pair.querySelectorAll("input")) {
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+$/, String(pairs.length + 1)));
    }
    pairs.at(-1).after(pair);
    pairs.push(pair);
  }
  return pairs;
}

// Gives a group of holidays at least so many inputs.
export function addDates(group, least) {
  const inputs = [...group.querySelectorAll("input")];
  while (inputs.length < least) {
    const added = inputs.at(-1).cloneNode();
    added.removeAttribute("id");
    Object.assign(added, { type: "date", value: "" });
    added.setAttribute("aria-label", `Holiday ${inputs.length + 1}`);
    inputs.at(-1).after(added);
    inputs.push(added);
  }
}

function writeWindows(row, windows) {
  addWindows(row, windows.length).forEach((pair, index) => {
    const [from, to] = pair.querySelectorAll("input");
    from.value = index < windows.length ? clock(windows[index][0]) : "";
    to.value = index < windows.length ? clock(windows[index][1] % 1440) : "";
  });
}

function minuteOf(text) {
  const match = /^(\d\d):(\d\d)/.exec(text);
  return match ? Number(match[1]) * 60 + Number(match[2]) : null;
}

// As the server formats it: 9 AM.
function hourText(hour) {
  return `${hour % 12 || 12} ${hour < 12 ? "AM" : "PM"}`;
}

// 9:00 AM, and midnight for the end of the day.
function minuteText(minute) {
  if (minute === 1440) return "midnight";
  const hour = Math.floor(minute / 60);
  return `${hour % 12 || 12}:${String(minute % 60).padStart(2, "0")} ${hour < 12 ? "AM" : "PM"}`;
}

// As time inputs have it: 09:00.
function clock(minute) {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

function nameOf(row) {
  return row.querySelector("th").textContent.trim();
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
