// Ctrl-K (or Command-K) opens the search as a dialog on every page. Results are those of the search page; arrow keys
// choose one, Enter opens it, and Escape closes the dialog.

const WAIT_MS = 150;

export function offerSearch() {
  const button = document.querySelector("[data-search]");
  if (!button) return;
  const key = button.querySelector("kbd");
  if (key && /Mac|iPhone|iPad/.test(navigator.platform)) key.textContent = "⌘ K";
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.metaKey || event.ctrlKey) || event.shiftKey || event.altKey) return;
    event.preventDefault();
    new Search(button.href).open();
  });
  button.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    new Search(button.href).open();
  });
}

class Search {
  #url;
  #dialog;
  #input;
  #results;
  #timer = 0;
  #asked = 0;
  #shown = null;

  constructor(url) {
    this.#url = url;
  }

  open() {
    const own = document.querySelector("main input[type=search][name=q]");
    if (own) { own.focus(); return; }
    if (document.querySelector("dialog.search[open]")) return;
    this.#dialog = document.createElement("dialog");
    this.#dialog.className = "search";
    this.#dialog.setAttribute("aria-label", "Search");
    this.#input = document.createElement("input");
    Object.assign(this.#input, { type: "search", maxLength: 200, autocomplete: "off", placeholder: "Search campaigns, contacts, numbers and pages" });
    this.#input.setAttribute("aria-label", this.#input.placeholder);
    this.#results = document.createElement("div");
    this.#results.className = "hits";
    this.#results.setAttribute("role", "status");
    this.#dialog.append(this.#input, this.#results);
    document.body.append(this.#dialog);
    this.#dialog.addEventListener("close", () => this.#dialog.remove());
    this.#dialog.addEventListener("click", (event) => { if (event.target === this.#dialog) this.#dialog.close(); });
    this.#dialog.addEventListener("keydown", (event) => this.#choose(event));
    this.#input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#show(), WAIT_MS);
    });
    this.#dialog.showModal();
    this.#show();
  }

  async #show() {
    const asked = ++this.#asked;
    const text = this.#input.value;
    let page = null;
    try {
      const response = await fetch(`${this.#url}?q=${encodeURIComponent(text)}`, { cache: "no-store", redirect: "manual" });
      if (response.type === "opaqueredirect") location.reload();
      else page = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("search-results");
    } catch {
      // Shown below, as is any other page than the results.
    }
    if (asked !== this.#asked) return;
    this.#shown = text;
    if (page) this.#results.replaceChildren(...page.childNodes);
    else this.#results.textContent = "Search is unavailable right now. Try again in a moment.";
  }

  // Who types and presses Enter at once means what was typed, not what is still shown.
  async #openFirst() {
    if (this.#shown !== this.#input.value) {
      clearTimeout(this.#timer);
      await this.#show();
    }
    if (this.#dialog.open && this.#shown === this.#input.value) this.#results.querySelector("a")?.click();
  }

  #choose(event) {
    const links = [...this.#results.querySelectorAll("a")];
    const place = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      // A search field takes the first Escape to clear its text.
      event.preventDefault();
      this.#dialog.close();
    } else if (event.key === "Enter" && place < 0) {
      event.preventDefault();
      this.#openFirst();
    } else if (event.key === "ArrowDown" && links.length) {
      event.preventDefault();
      links[Math.min(place + 1, links.length - 1)].focus();
    } else if (event.key === "ArrowUp") {
      event.preventDefault();
      (links[place - 1] ?? this.#input).focus();
    }
  }
}
