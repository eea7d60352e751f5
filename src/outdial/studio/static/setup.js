// Saves a step of the setup as one types, and keeps what the server does not have yet: in the session storage of this tab,
// so that it survives the end of the session, the back button, a reload and a server that is away.

import { addDates, addWindows } from "./hours.js";
import { secondsText } from "./time.js";
import { PREFIX } from "./unsaved_steps.js";

const SLOW_MS = 800;
const PAUSE_MS = 1000;
const FIRST_RETRY_MS = 2000;
const MAX_RETRY_MS = 30000;
const TIMEOUT_MS = 20000;
const UNKEPT = new Set(["csrf_token", "campaign_id", "retry_preset_shown"]);
// No version of a step has this ETag: a form with it is not saved before its user has seen that someone else changed the step.
const OUTDATED = "outdated";

class StepForm {
  #form;
  #note;
  #timer = 0;
  #retryMs = FIRST_RETRY_MS;
  #saving = null;
  #isChanged = false;
  #isSent = false;
  #isOutdated = false;
  #isRekeyed = false;

  constructor(form) {
    this.#form = form;
    this.#note = form.querySelector("[data-saved-note]");
    if ("outdated" in form.dataset) this.#outdated();
    else this.#restore();
    for (const name of ["input", "change", "hours-painted"]) form.addEventListener(name, () => this.#typed());
    form.addEventListener("submit", (event) => this.#submit(event));
    window.addEventListener("online", () => this.#isChanged && this.#save());
    window.addEventListener("pagehide", () => this.#leave());
  }

  get #key() {
    return PREFIX + this.#form.dataset.setupForm;
  }

  #typed() {
    this.#isChanged = true;
    this.#keep();
    if (this.#isOutdated) return;
    this.#retryMs = FIRST_RETRY_MS;
    this.#schedule(PAUSE_MS);
  }

  #schedule(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), ms);
  }

  // The key of the form is kept too: it makes one draft of what a lost response has saved already. So is the version that was
  // seen: what is restored must not replace what someone else has saved since.
  #keep() {
    const fields = [...new FormData(this.#form)].filter(([name]) => !UNKEPT.has(name));
    for (const field of fields) if (field[0] === "seen" && this.#isOutdated) field[1] = OUTDATED;
    sessionStorage.setItem(this.#key, JSON.stringify(fields));
  }

  #restore() {
    const kept = JSON.parse(sessionStorage.getItem(this.#key) ?? "null");
    // A page with errors shows what was sent, which is what is kept.
    if (!kept || this.#form.querySelector("[aria-invalid]")) return;
    fill(this.#form, kept);
    this.#isChanged = true;
    this.#say("Restored what you typed.");
    this.#schedule(0);
  }

  async #save() {
    clearTimeout(this.#timer);
    if (this.#isOutdated) return undefined;
    if (this.#saving) return this.#saving;
    this.#saving = this.#send();
    await this.#saving;
    this.#saving = null;
    return undefined;
  }

  async #send() {
    this.#isChanged = false;
    const slow = setTimeout(() => this.#say("Saving…"), SLOW_MS);
    try {
      const response = await fetch(this.#form.action, this.#request());
      if (response.type === "opaqueredirect") return this.#stale("Your session has ended.", "Sign in again", `/sign-in?next=${encodeURIComponent(location.pathname)}`);
      if ([404, 409].includes(response.status) && this.#form.elements.key && !this.#isRekeyed) return this.#rekey();
      if (!response.headers.get("content-type")?.startsWith("application/json")) {
        if (response.status >= 500) throw new Error(`status ${response.status}`);
        return this.#stale("This page is out of date.", "Reload it", location.pathname);
      }
      const body = await response.json();
      showErrors(this.#form, body.fields ?? {});
      if (response.ok) this.#saved(body);
      else if (response.status === 412) this.#outdated();
      else {
        this.#isChanged = true;
        this.#say(`Not saved yet: ${Object.values(body.fields ?? {})[0] ?? body.message}`);
      }
    } catch {
      this.#isChanged = true;
      this.#say("The server cannot be reached. What you typed is kept in this tab and saved once it is back.");
      this.#schedule(this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
    } finally {
      clearTimeout(slow);
    }
    return undefined;
  }

  #request() {
    return {
      method: "POST",
      body: new URLSearchParams(new FormData(this.#form)),
      headers: { "x-autosave": "1" },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    };
  }

  #saved(body) {
    this.#retryMs = FIRST_RETRY_MS;
    if (!this.#form.elements.seen) this.#created(body);
    this.#form.elements.seen.value = body.seen;
    if (this.#isChanged) {
      this.#keep();
      this.#schedule(PAUSE_MS);
    } else sessionStorage.removeItem(this.#key);
    const title = document.querySelector("h1");
    if (title.textContent.trim() !== body.name) title.textContent = body.name;
    this.#say(`Saved ${secondsText(new Date())}`);
  }

  // From now on, this is the page of a draft: a reload shows it, and the other steps can be opened.
  #created(body) {
    sessionStorage.removeItem(this.#key);
    const url = `${body.setup}/${body.step}`;
    this.#form.action = url;
    this.#form.dataset.setupForm = url;
    this.#form.elements.key.remove();
    // The account of a draft is fixed.
    const account = this.#form.elements.provider_account_id;
    account?.closest(".field").replaceChildren(
      Object.assign(document.createElement("span"), { className: "label", textContent: "Retell account" }),
      Object.assign(document.createElement("p"), { textContent: account.selectedOptions[0]?.label ?? "" }),
    );
    this.#form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "seen" }));
    history.replaceState(null, "", url);
    for (const link of document.querySelectorAll("a[data-step]")) link.href = `${body.setup}/${link.dataset.step}`;
  }

  // The draft that the kept key made is gone, or no longer a draft: what is typed becomes another one.
  #rekey() {
    this.#isRekeyed = true;
    this.#isChanged = true;
    // crypto.randomUUID needs HTTPS.
    this.#form.elements.key.value = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.#keep();
    this.#schedule(0);
  }

  // From now on, only a press of the button saves: the server shows the form again, with a warning.
  #outdated() {
    this.#isOutdated = true;
    this.#isChanged = true;
    clearTimeout(this.#timer);
    this.#keep();
    this.#say("Someone else has changed this step. What you typed is kept in this tab, but not saved. ");
    const link = Object.assign(document.createElement("a"), { href: location.pathname, textContent: "Discard it" });
    link.addEventListener("click", () => sessionStorage.removeItem(this.#key));
    this.#note.append(link);
  }

  #stale(reason, label, href) {
    this.#isChanged = true;
    this.#say(`${reason} What you typed is kept in this tab. `);
    this.#note.append(Object.assign(document.createElement("a"), { href, textContent: label }));
  }

  // The draft has to be of the last save when the form is sent: a save under way would overtake it.
  async #submit(event) {
    clearTimeout(this.#timer);
    if (!this.#saving) {
      this.#isSent = true;
      return;
    }
    event.preventDefault();
    const button = event.submitter;
    await this.#saving;
    this.#form.requestSubmit(button);
  }

  #leave() {
    if (this.#isChanged && !this.#saving && !this.#isSent && !this.#isOutdated) fetch(this.#form.action, { ...this.#request(), keepalive: true }).catch(() => {});
  }

  #say(text) {
    this.#note.textContent = text;
  }
}

function fill(form, fields) {
  const values = new Map();
  for (const [name, value] of fields) values.set(name, [...(values.get(name) ?? []), value]);
  for (const row of form.querySelectorAll("[data-day]")) addWindows(row, values.get(`${row.dataset.day}_from`)?.length ?? 0);
  for (const dates of form.querySelectorAll("[data-dates]")) addDates(dates, values.get("excluded_dates")?.length ?? 0);
  for (const element of [...form.elements]) {
    if (!element.name || element.type === "submit" || UNKEPT.has(element.name)) continue;
    const given = values.get(element.name) ?? [];
    if (element.type === "hidden" && !given.length) continue;
    if (element.type === "checkbox" || element.type === "radio") element.checked = given.includes(element.value);
    else element.value = given.shift() ?? "";
    element.dispatchEvent(new Event("restored"));
  }
  for (const row of form.querySelectorAll("[data-day]")) row.dispatchEvent(new Event("change"));
}

// Shows beside each field what is wrong with it, and removes what is right by now, also what the page came with.
function showErrors(form, fields) {
  form.parentElement.querySelector(":scope > .notice-bad")?.remove();
  for (const old of form.querySelectorAll("[data-autosave-error], span.wrong, p.wrong:not(.note)")) old.remove();
  for (const field of form.querySelectorAll(".field-wrong")) field.classList.remove("field-wrong");
  for (const element of form.querySelectorAll("[aria-invalid]")) element.removeAttribute("aria-invalid");
  for (const [name, reason] of Object.entries(fields)) {
    const element = form.querySelector(`#field-${CSS.escape(name)}`);
    const place = element?.closest(".field") ?? element;
    if (!place) continue;
    const note = Object.assign(document.createElement("p"), { className: "note wrong", textContent: reason[0].toUpperCase() + reason.slice(1) });
    note.dataset.autosaveError = "";
    place.append(note);
  }
}

// The page after a step says which step was saved: nothing of it needs to be kept.
function forgetSaved() {
  const url = new URL(location.href);
  const step = url.searchParams.get("saved");
  if (!step) return;
  sessionStorage.removeItem(PREFIX + url.pathname.replace(/[^/]+$/, step));
  if (step === "who") sessionStorage.removeItem(PREFIX + url.pathname.replace(/\/[^/]+\/setup\/.*$/, "/new"));
  url.searchParams.delete("saved");
  history.replaceState(null, "", url);
}

// A start uses what the server has: not before each step is saved. Elsewhere, unsaved_steps.js holds it when it is pressed.
function disableUnsavedStart(review) {
  const unsaved = [...document.querySelectorAll("a[data-step]")].filter((link) => sessionStorage.getItem(PREFIX + link.pathname));
  for (const button of document.querySelectorAll('form[action$="/start"] button')) button.disabled = unsaved.length > 0;
  for (const old of review.querySelectorAll("[data-unsaved]")) old.remove();
  for (const link of unsaved.reverse()) {
    const notice = Object.assign(document.createElement("p"), { className: "notice notice-warn" });
    notice.dataset.unsaved = "";
    const label = link.querySelector(".name").firstChild.textContent.trim();
    notice.append(Object.assign(document.createElement("a"), { href: link.href, textContent: label }), " has changes that are not saved.");
    review.prepend(notice);
  }
}

forgetSaved();
const review = document.querySelector("[data-review]");
if (review) {
  window.addEventListener("pageshow", () => disableUnsavedStart(review));
  // The banner with the button is new after a launch check.
  review.addEventListener("outdial:replaced", () => disableUnsavedStart(review));
}
for (const form of document.querySelectorAll("[data-setup-form]")) new StepForm(form);
