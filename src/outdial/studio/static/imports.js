// Uploads a file in parts, shows how far it is, and goes on where it stopped when the connection breaks. Without this
// script the form sends the file by itself, in one go.

const PART_BYTES = 4 * 1024 * 1024;
const MOST_FAILURES = 6;
const FIRST_PAUSE_MS = 500;

for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", (event) => {
    const file = form.elements.file.files[0];
    if (!file) return;
    event.preventDefault();
    new Upload(form, file).run();
  });
}

class Refused extends Error {}

class Upload {
  #form;
  #file;
  #stopping = new AbortController();

  constructor(form, file) {
    this.#form = form;
    this.#file = file;
  }

  async run() {
    this.#show(true);
    try {
      const made = await this.#make();
      await this.#sendAll(made);
      location.assign(this.#form.dataset.then + made.id);
    } catch (error) {
      this.#show(false);
      this.#say(error.name === "AbortError" ? "The upload was stopped." : `The upload failed: ${error.message}`);
    }
  }

  async #make() {
    const { campaign_id: campaign, region } = this.#form.elements;
    return this.#ask(this.#form.dataset.upload, "POST", JSON.stringify({
      campaign_id: campaign.value,
      file_name: this.#file.name.slice(-300),
      size: this.#file.size,
      default_region: region.value.trim() || null,
    }), { "content-type": "application/json" });
  }

  async #sendAll(made) {
    const address = `${this.#form.dataset.upload}/${made.id}`;
    let offset = 0;
    let failures = 0;
    while (offset < this.#file.size) {
      const part = this.#file.slice(offset, offset + PART_BYTES);
      const range = `bytes ${offset}-${offset + part.size - 1}/${this.#file.size}`;
      try {
        const state = await this.#ask(`${address}/file`, "PUT", part, { "content-range": range, "content-type": "text/csv" });
        offset = state.bytes_stored;
        failures = 0;
      } catch (error) {
        if (error.name === "AbortError" || error instanceof Refused || (failures += 1) > MOST_FAILURES) throw error;
        this.#say("The connection broke: going on in a moment.");
        await pause(FIRST_PAUSE_MS * 2 ** failures);
        offset = (await this.#ask(address, "GET").catch(() => ({ bytes_stored: offset }))).bytes_stored;
      }
      this.#progress(offset);
    }
  }

  async #ask(address, method, body, headers = {}) {
    const answer = await fetch(address, {
      method,
      body,
      headers: { ...headers, "x-csrf-token": this.#form.elements.csrf_token.value },
      signal: this.#stopping.signal,
    });
    const said = await answer.json();
    if (answer.ok) return said;
    // A part that was there already is no failure: the next look tells where to go on.
    const failure = answer.status >= 500 || said.bytes_stored !== undefined ? Error : Refused;
    throw new failure(said.message);
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
    const percent = Math.floor((100 * bytes) / this.#file.size);
    this.#form.querySelector("progress").value = percent;
    this.#say(`${percent} % of ${this.#file.name}`);
  }

  #say(text) {
    this.#form.querySelector("[data-said]").textContent = text;
  }
}

function pause(ms) {
  return new Promise((done) => { setTimeout(done, ms); });
}
