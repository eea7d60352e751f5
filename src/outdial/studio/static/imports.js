// Uploads a file in parts with progress, and resumes after connection failures. Without this script, the form sends the
// whole file in one request.

const PART_BYTES = 4 * 1024 * 1024;
const MAX_FAILURES = 6;
const FIRST_PAUSE_MS = 500;

for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    const file = form.elements.file.files[0];
    if (!file) return;
    event.preventDefault();
    new Upload(form, file).run();
  });
}

class Rejected extends Error {}

class Upload {
  #form;
  #file;
  #stopping = new AbortController();
  #id = null;

  constructor(form, file) {
    this.#form = form;
    this.#file = file;
  }

  async run() {
    this.#show(true);
    addEventListener("beforeunload", warn);
    addEventListener("pagehide", this.#discard);
    try {
      const created = await this.#create();
      this.#id = created.id;
      await this.#sendAll(created);
      this.#settle();
      location.assign(this.#form.dataset.then + created.id);
    } catch (error) {
      this.#settle();
      this.#discard();
      this.#show(false);
      this.#report(error.name === "AbortError" ? "Upload stopped. Nothing was imported." : `Upload failed: ${error.message}`);
    }
  }

  #settle() {
    removeEventListener("beforeunload", warn);
    removeEventListener("pagehide", this.#discard);
  }

  // An upload that has ended early would stay in the list of imports as one that is uploading.
  #discard = () => {
    if (this.#id === null) return;
    const headers = { "x-csrf-token": this.#form.elements.csrf_token.value };
    fetch(`${this.#form.dataset.upload}/${this.#id}/cancel`, { method: "POST", headers, keepalive: true }).catch(() => {});
    this.#id = null;
  };

  async #create() {
    const { campaign_id: campaign, region } = this.#form.elements;
    return this.#request(this.#form.dataset.upload, "POST", JSON.stringify({
      campaign_id: campaign.value,
      file_name: this.#file.name.slice(-300),
      size: this.#file.size,
      default_region: region.value || null,
    }), { "content-type": "application/json" });
  }

  async #sendAll(created) {
    const address = `${this.#form.dataset.upload}/${created.id}`;
    let offset = 0;
    let failures = 0;
    while (offset < this.#file.size) {
      const part = this.#file.slice(offset, offset + PART_BYTES);
      const range = `bytes ${offset}-${offset + part.size - 1}/${this.#file.size}`;
      try {
        const state = await this.#request(`${address}/file`, "PUT", part, { "content-range": range, "content-type": "text/csv" });
        offset = state.bytes_stored;
        failures = 0;
      } catch (error) {
        if (error.name === "AbortError" || error instanceof Rejected || (failures += 1) > MAX_FAILURES) throw error;
        this.#report("Connection lost. Resuming…");
        await pause(FIRST_PAUSE_MS * 2 ** failures);
        offset = (await this.#request(address, "GET").catch(() => ({ bytes_stored: offset }))).bytes_stored;
      }
      this.#progress(offset);
    }
  }

  async #request(address, method, body, headers = {}) {
    const response = await fetch(address, {
      method,
      body,
      headers: { ...headers, "x-csrf-token": this.#form.elements.csrf_token.value },
      signal: this.#stopping.signal,
    });
    const content = await response.json();
    if (response.ok) return content;
    // A part that is already stored is no failure: the next status says where to resume.
    const failure = response.status >= 500 || content.bytes_stored !== undefined ? Error : Rejected;
    throw new failure(content.message);
  }

  #show(isRunning) {
    const stop = this.#form.querySelector("[data-stop]");
    this.#form.querySelector("[data-send]").disabled = isRunning;
    this.#form.querySelector("[data-progress]").hidden = !isRunning;
    stop.hidden = !isRunning;
    stop.onclick = () => this.#stopping.abort();
    if (isRunning) this.#progress(0);
  }

  #progress(bytes) {
    const percent = Math.floor((100 * bytes) / Math.max(this.#file.size, 1));
    this.#form.querySelector("progress").value = percent;
    this.#report(percent < 100 ? `${percent}% of ${this.#file.name}` : "Reading the file…");
  }

  #report(text) {
    this.#form.querySelector("[data-said]").textContent = text;
  }
}

function warn(event) {
  event.preventDefault();
}

function pause(ms) {
  return new Promise((done) => { setTimeout(done, ms); });
}
