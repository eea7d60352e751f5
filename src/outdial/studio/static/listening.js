// Hears a live call, and takes it over. Retell's sound comes from a LiveKit server; the client that plays it is loaded with
// the first press. Live updates replace rows and buttons; the bar and what it plays stay.

const bar = document.getElementById("listening");
bar.innerHTML = `
  <p role="status" data-said></p>
  <div class="buttons">
    <a class="button" data-dashboard rel="noreferrer" target="_blank" hidden>Open Retell's dashboard</a>
    <button type="button" class="button button-primary" data-hear hidden>Press to hear</button>
    <button type="button" class="button" data-take-over hidden>Take over…</button>
    <button type="button" class="button button-primary" data-retry hidden>Connect the microphone again</button>
    <button type="button" class="button" data-mute aria-pressed="false" hidden>Mute</button>
    <button type="button" class="button" data-leave>Close</button>
  </div>`;
bar.insertAdjacentHTML("afterend", `
  <dialog class="confirm" id="take-over" aria-labelledby="take-over-title">
    <h2 id="take-over-title">Take this call over?</h2>
    <p>The agent stops at once and does not come back. From then on the contact hears you, until you hang up.</p>
    <p class="note" data-undo>This cannot be undone.</p>
    <form class="buttons" method="dialog">
      <button class="button" value="" autofocus>Go back</button>
      <button class="button button-danger" value="take over">Take over</button>
    </form>
  </dialog>`);
const dialog = document.getElementById("take-over");
// The stream of the page is /o/{organization_id}/live.
const CALLS = `/api/v1/organizations/${document.body.dataset.stream.split("/")[2]}/calls/`;
const MAY_SPEAK_WITHIN_MS = 10000;
// LiveKit's reasons for a room that is over: removed, deleted, closed.
const ENDED = [4, 5, 10];
let current = null;
let loading = null;

function loadPlayer() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = bar.dataset.player;
    script.onload = () => resolve(window.LivekitClient);
    script.onerror = () => { loading = null; script.remove(); reject(new Problem("The player cannot be loaded: press Listen again")); };
    document.head.append(script);
  });
  return loading;
}

class Problem extends Error {
  constructor(message, dashboardUrl) {
    super(message);
    this.dashboardUrl = dashboardUrl;
  }
}

async function post(path, body) {
  const headers = { "x-csrf-token": bar.dataset.csrf, "content-type": "application/json" };
  let response;
  try {
    response = await fetch(CALLS + path, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
  } catch {
    throw new Problem("The studio cannot be reached: check your connection, then try again");
  }
  if (response.status === 204) return null;
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(content.message ?? "This did not work: try again", content.dashboard_url);
  return content;
}

function show(text, { dashboardUrl = "", ...buttons } = {}) {
  bar.hidden = false;
  // A reader announces what changes in an element that is there already.
  requestAnimationFrame(() => { bar.querySelector("[data-said]").textContent = text; });
  for (const name of ["hear", "takeOver", "retry", "mute"]) {
    const attribute = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    bar.querySelector(`[data-${attribute}]`).hidden = !buttons[name];
  }
  const link = bar.querySelector("[data-dashboard]");
  link.hidden = !dashboardUrl;
  if (dashboardUrl) link.href = dashboardUrl;
  bar.querySelector("[data-leave]").textContent = buttons.leave ?? "Close";
}

// Only a script can play a call, so the buttons are made and shown here. A row that is rendered again lacks its button.
// Calls that talk have the badge of the tone live.
function offer() {
  for (const row of document.querySelectorAll("tr[data-group=live]:has(.badge-live):not(:has([data-listen]))")) {
    const button = document.createElement("button");
    const name = row.querySelector("th a").textContent;
    Object.assign(button, { type: "button", className: "button button-small", textContent: "Listen", ariaLabel: `Listen to ${name}` });
    Object.assign(button.dataset, { listen: row.id.replace("call-", ""), name });
    const actions = row.querySelector(".row-actions");
    actions.insertBefore(button, actions.querySelector("[data-hang-up]"));
    button.before(" ");
    button.after(" ");
    if (focused === button.dataset.listen && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
  for (const button of document.querySelectorAll("[data-listen]")) {
    button.hidden = false;
    button.toggleAttribute("data-heard", button.dataset.listen === current?.call);
  }
}

let focused = "";
document.addEventListener("focusin", (event) => { focused = event.target.closest("[data-listen]")?.dataset.listen ?? ""; });

class Listening {
  #name;
  #id = null;
  #room = null;
  #microphone = null;
  #isSimulated = false;
  #isOver = false;
  #isAsking = false;
  #isSpeaking = false;
  #said = [];

  constructor(call, name) {
    this.call = call;
    this.#name = name;
  }

  get isSpeaking() {
    return this.#isSpeaking && !this.#isOver;
  }

  #say(text, buttons) {
    this.#said = [text, buttons];
    show(text, buttons);
  }

  async begin() {
    this.#say(`Connecting to the call with ${this.#name}…`, { leave: "Cancel" });
    try {
      const [sound, player] = await Promise.all([post(`${this.call}/listen`), loadPlayer()]);
      if (this.#isOver) return;
      this.#id = sound.listening_id;
      this.#isSimulated = sound.is_simulated;
      if (!this.#isSimulated) await this.#connect(player, sound);
      if (!this.#isOver) this.#showListening();
    } catch (error) {
      this.#fail(error, "The sound of this call cannot be reached: try again, or open Retell's dashboard");
    }
  }

  async #connect({ Room, RoomEvent }, sound) {
    const room = new Room();
    this.#room = room;
    room.on(RoomEvent.TrackSubscribed, (track) => { if (track.kind === "audio") bar.append(track.attach()); });
    room.on(RoomEvent.TrackUnsubscribed, (track) => { for (const element of track.detach()) element.remove(); });
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => { if (this.#id && !this.isSpeaking && !this.#isAsking) this.#showListening(); });
    room.on(RoomEvent.Reconnecting, () => show("The connection was lost. Reconnecting…", { leave: this.isSpeaking ? "Leave the call" : "Stop listening" }));
    room.on(RoomEvent.Reconnected, () => show(...this.#said));
    await room.connect(sound.url, sound.token);
    if (this.#isOver) { room.disconnect(); return; }
    room.on(RoomEvent.Disconnected, (reason) => {
      const lost = `The connection to the call was lost.${this.isSpeaking ? " The contact hears no one: listen and take over again, or hang up." : ""}`;
      this.end(ENDED.includes(reason) ? "The call has ended." : lost);
    });
  }

  #showListening() {
    if (this.#isOver) return;
    const isMuted = this.#room && !this.#room.canPlaybackAudio;
    const text = isMuted
      ? "Your browser blocks the sound until you press the button."
      : `You are listening to the call with ${this.#name}. No one hears you.`;
    const simulated = "This call is simulated: it has no sound.";
    this.#say(this.#isSimulated ? simulated : text, { hear: isMuted, takeOver: true, leave: "Stop listening" });
  }

  async hear() {
    await this.#room.startAudio().catch(() => {});
    this.#showListening();
  }

  // The browser asks for the microphone before anything happens to the call.
  async takeOver() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await this.#askToSpeak();
    this.#isAsking = false;
    if (this.isSpeaking) await this.publish();
  }

  async #askToSpeak() {
    const { createLocalAudioTrack } = window.LivekitClient;
    if (!this.#isSimulated) {
      this.#say("Allow this page to use your microphone.", { leave: "Stop listening" });
      try {
        this.#microphone = await createLocalAudioTrack();
      } catch {
        if (this.#isOver) return;
        this.#say("Your browser does not let this page use a microphone. The agent still speaks. Allow it, then take over.", { takeOver: true, leave: "Stop listening" });
        return;
      }
    }
    if (this.#isOver || !(await this.#isConfirmed())) {
      this.#microphone?.stop();
      this.#showListening();
      return;
    }
    // The agent may stop from here on.
    this.#isSpeaking = true;
    this.#say("Taking over…", { leave: "Leave the call" });
    try {
      await post(`${this.call}/take-over`, { listening_id: this.#id });
    } catch (error) {
      // A response was lost: who may speak has taken over.
      if (this.#isOver || this.#room?.localParticipant.permissions?.canPublish) return;
      this.#isSpeaking = false;
      this.#microphone?.stop();
      this.#say(`${error.message}.`, { takeOver: true, leave: "Stop listening", dashboardUrl: error.dashboardUrl });
    }
  }

  async #isConfirmed() {
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    return dialog.returnValue !== "" && !this.#isOver;
  }

  async publish() {
    if (this.#isOver) return;
    if (this.#isSimulated) { this.#say("The agent has stopped. This call is simulated: no one hears you.", { leave: "Leave the call" }); return; }
    this.#say("Connecting your microphone…", { leave: "Leave the call" });
    try {
      if (this.#microphone.mediaStreamTrack.readyState === "ended") await this.#microphone.restartTrack();
      await this.#untilAllowed();
      await this.#room.localParticipant.publishTrack(this.#microphone);
      if (!this.#isOver) this.#showSpeaking();
    } catch {
      if (!this.#isOver) this.#say("The agent has stopped, but your microphone is not connected: the contact hears no one. Connect it again, or hang up.", { retry: true, leave: "Leave the call" });
    }
  }

  #untilAllowed() {
    const { RoomEvent } = window.LivekitClient;
    const participant = this.#room.localParticipant;
    if (participant.permissions?.canPublish) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("may not speak")), MAY_SPEAK_WITHIN_MS);
      this.#room.on(RoomEvent.ParticipantPermissionsChanged, () => {
        if (!participant.permissions?.canPublish) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #showSpeaking() {
    if (this.#isOver) return;
    const isMuted = this.#microphone.isMuted;
    const mute = bar.querySelector("[data-mute]");
    mute.setAttribute("aria-pressed", String(isMuted));
    const text = isMuted ? "Your microphone is muted: the contact hears no one." : `You are speaking with ${this.#name}. The agent has left: hang up when you are done.`;
    this.#say(text, { mute: true, leave: "Leave the call" });
  }

  async mute() {
    await (this.#microphone.isMuted ? this.#microphone.unmute() : this.#microphone.mute());
    this.#showSpeaking();
  }

  #fail(error, text) {
    if (this.#isOver) return;
    const isOurs = error instanceof Problem;
    this.end(isOurs ? `${error.message}.` : `${text}.`, error.dashboardUrl);
  }

  leave() {
    const isTakingOver = this.#isAsking && this.isSpeaking;
    this.end(isTakingOver ? "You have left while you took over: the agent may have stopped, and the contact hear no one. Hang up if so." : "");
  }

  end(text, dashboardUrl = "") {
    if (this.#isOver) return;
    this.#isOver = true;
    if (dialog.open) dialog.close("");
    this.#microphone?.stop();
    this.#room?.disconnect();
    for (const element of bar.querySelectorAll("audio")) element.remove();
    if (current === this) current = null;
    offer();
    if (text) show(text, { dashboardUrl });
    else bar.hidden = true;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-listen]");
  if (!button || current?.call === button.dataset.listen || current?.isSpeaking) return;
  current?.end("");
  current = new Listening(button.dataset.listen, button.dataset.name);
  offer();
  current.begin();
});

bar.querySelector("[data-hear]").addEventListener("click", () => current?.hear());
bar.querySelector("[data-take-over]").addEventListener("click", () => current?.takeOver());
bar.querySelector("[data-retry]").addEventListener("click", () => current?.publish());
bar.querySelector("[data-mute]").addEventListener("click", () => current?.mute());
bar.querySelector("[data-leave]").addEventListener("click", () => {
  if (current) current.leave();
  else bar.hidden = true;
});

document.addEventListener("outdial:replaced", () => {
  offer();
  if (!current) return;
  const row = document.getElementById(`call-${current.call}`);
  const isListed = document.querySelector(`[data-listen="${current.call}"]`) !== null;
  if (row ? row.dataset.group === "ended" : !document.getElementById("live-rows") && !isListed) current.end("The call has ended.");
});
offer();
window.addEventListener("pagehide", () => current?.end(""));
// Who leaves after a takeover leaves the contact alone: the browser asks first, except for the form that hangs up.
let isHangingUp = false;
document.addEventListener("submit", (event) => {
  isHangingUp = event.target.getAttribute("action")?.endsWith(`/calls/${current?.call}/hang-up`) ?? false;
});
window.addEventListener("beforeunload", (event) => { if (current?.isSpeaking && !isHangingUp) event.preventDefault(); });
