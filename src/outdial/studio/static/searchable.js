// Makes a long <select data-search="agents"> searchable: a field that lists the options which contain what is typed. The
// select stays in the form, hidden, and keeps the value. A short select stays as it is.
//
// What is typed is chosen on Enter and on Tab as the highlighted option. Where the field is left otherwise, it is chosen if
// it names one option alone; else the former choice stays, and a note says so.

import { announce } from "./toast.js";

const LEAST_OPTIONS = 8;
const MOST_SHOWN = 60;

export function makeSearchable(select) {
  if (select.options.length >= LEAST_OPTIONS) new SearchableSelect(select);
}

// <input list="zones" data-search="time zones"> shares the options of one list with others. Without a script, it takes text
// and suggests them; here, a select takes its place.
export function makeListSearchable(input) {
  const select = document.createElement("select");
  for (const name of ["id", "name", "data-search", "aria-describedby", "aria-invalid"]) {
    if (input.hasAttribute(name)) select.setAttribute(name, input.getAttribute(name));
  }
  const values = new Set([...input.list.options].map((option) => option.value));
  if (input.value) values.add(input.value);
  select.append(new Option(input.placeholder, ""), ...[...values].map((value) => new Option(nameOf(value), value)));
  select.value = input.value;
  input.replaceWith(select);
  new SearchableSelect(select);
}

class SearchableSelect {
  #select;
  #input;
  #list;
  #note;
  #active = -1;
  // Whether the field has text, or a highlight, that was not chosen yet.
  #isPending = false;

  constructor(select) {
    this.#select = select;
    const id = select.id;
    select.id = `${id}-value`;
    this.#input = Object.assign(document.createElement("input"), { type: "text", id, autocomplete: "off", spellcheck: false });
    this.#list = Object.assign(document.createElement("ul"), { id: `${id}-options`, hidden: true });
    this.#list.setAttribute("role", "listbox");
    this.#list.setAttribute("aria-label", `Matching ${select.dataset.search}`);
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", this.#list.id]]) {
      this.#input.setAttribute(name, value);
    }
    for (const name of ["aria-describedby", "aria-invalid"]) {
      if (select.hasAttribute(name)) this.#input.setAttribute(name, select.getAttribute(name));
    }
    const box = Object.assign(document.createElement("div"), { className: "searchable" });
    this.#note = Object.assign(document.createElement("p"), { className: "note wrong", hidden: true });
    this.#note.setAttribute("role", "status");
    select.before(box);
    box.append(this.#input, this.#list, select);
    box.after(this.#note);
    select.hidden = true;
    this.#showChosen();
    this.#listen();
  }

  #listen() {
    this.#input.addEventListener("focus", () => this.#input.select());
    this.#input.addEventListener("click", () => this.#open(""));
    this.#input.addEventListener("input", (event) => {
      // What is typed here is no field of the form: only a choice changes it.
      event.stopPropagation();
      this.#isPending = true;
      this.#note.hidden = true;
      this.#open(this.#input.value);
    });
    this.#input.addEventListener("change", (event) => event.stopPropagation());
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("blur", () => this.#leave());
    // The field keeps the focus. A finger that scrolls the list sends neither of these.
    this.#list.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#choose(option.dataset.value);
    });
    this.#select.addEventListener("restored", () => this.#showChosen());
  }

  // The options that contain all words of a text: the one it names first, then those that begin with it.
  #matches(typed) {
    const text = plain(typed);
    const words = text.split(/\s+/).filter(Boolean);
    const found = [...this.#select.options].filter((option) => words.every((word) => haystack(option).includes(word)));
    return text ? found.sort((one, other) => rank(one, text) - rank(other, text)) : found;
  }

  #open(typed) {
    const found = this.#matches(typed);
    this.#list.replaceChildren(...found.slice(0, MOST_SHOWN).map((option, index) => this.#entry(option, index)));
    if (!found.length) this.#list.append(note(`No ${this.#select.dataset.search} match`));
    if (found.length > MOST_SHOWN) this.#list.append(note(`${found.length - MOST_SHOWN} more: type to search`));
    this.#list.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#activate(found.length ? Math.max(0, typed ? 0 : found.findIndex((option) => option.selected)) : -1);
  }

  #entry(option, index) {
    const entry = Object.assign(document.createElement("li"), { id: `${this.#list.id}-${index}`, textContent: option.label });
    entry.setAttribute("role", "option");
    entry.dataset.value = option.value;
    const group = option.parentElement.label;
    if (group) {
      const region = Object.assign(document.createElement("span"), { className: "muted", textContent: group });
      entry.append(" ", region);
    }
    return entry;
  }

  #activate(index) {
    const entries = this.#list.querySelectorAll("[role=option]");
    this.#active = Math.min(index, entries.length - 1);
    entries.forEach((entry, position) => entry.setAttribute("aria-selected", String(position === this.#active)));
    const active = entries[this.#active];
    if (active) {
      this.#input.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    } else this.#input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const isOpen = !this.#list.hidden;
    // Enter ends the composition of a character first.
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) this.#open("");
      else {
        this.#isPending = true;
        this.#activate(Math.max(0, this.#active + (event.key === "ArrowDown" ? 1 : -1)));
      }
    } else if (event.key === "Enter" && isOpen) {
      event.preventDefault();
      this.#chooseActive();
    } else if (event.key === "Tab" && isOpen && this.#isPending && this.#input.value.trim()) {
      // The focus moves on.
      this.#chooseActive();
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      this.#close();
    }
  }

  #chooseActive() {
    const active = this.#list.querySelector("[aria-selected=true]");
    if (active) this.#choose(active.dataset.value);
  }

  #leave() {
    const typed = this.#input.value.trim();
    if (!this.#isPending || !typed || plain(typed) === plain(this.#chosen)) return this.#close();
    const found = this.#matches(typed);
    const named = found.filter((option) => rank(option, plain(typed)) === 0);
    if (found.length === 1 || named.length === 1) return this.#choose((named[0] ?? found[0]).value);
    this.#note.textContent = `${found.length ? "Several" : "No"} ${this.#select.dataset.search} match “${typed.slice(0, 40)}”. ${this.#select.value ? `“${this.#chosen}” stays selected` : "Nothing is selected"}.`;
    this.#note.hidden = false;
    announce(this.#note);
    return this.#close();
  }

  #choose(value) {
    this.#select.value = value;
    this.#note.hidden = true;
    this.#close();
    this.#select.dispatchEvent(new Event("change", { bubbles: true }));
  }

  #close() {
    this.#isPending = false;
    this.#list.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
    this.#showChosen();
  }

  get #chosen() {
    return this.#select.selectedOptions[0]?.label ?? "";
  }

  #showChosen() {
    this.#input.value = this.#chosen;
  }
}

// "New York, America" of America/New_York, as the server names zones.
function nameOf(value) {
  return value.replaceAll("_", " ").split("/").reverse().join(", ");
}

// IDs and zones are pasted with underscores, and typed without; letters are found with and without accents.
function plain(text) {
  const letters = text.normalize("NFD").replace(/[\u0300-\u036f]+/g, "").toLowerCase().replaceAll("ß", "ss");
  return letters.trim().replaceAll("_", " ");
}

function haystack(option) {
  return plain(`${option.label} ${option.value} ${option.parentElement.label ?? ""}`);
}

function rank(option, text) {
  const names = [plain(option.label), plain(option.value)];
  if (names.includes(text)) return 0;
  return names.some((name) => name.startsWith(text)) ? 1 : 2;
}

function note(text) {
  const entry = Object.assign(document.createElement("li"), { className: "note", textContent: text });
  entry.setAttribute("role", "presentation");
  return entry;
}
