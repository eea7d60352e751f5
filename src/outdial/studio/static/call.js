// The player of a call's recording: a bar that shows who speaks, skips, speed, and the transcript in step with it.

const SPEED_KEY = "outdial-speed";

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function listen(player) {
  const audio = player.querySelector("audio");
  const drawing = player.querySelector("[data-speakers]");
  const seek = player.querySelector("[data-seek]");
  const play = player.querySelector("[data-play]");
  const turns = [...document.querySelectorAll("[data-turns] > [data-start]")];
  const error = player.querySelector("[data-player-error]");
  player.querySelector("[data-player-tools]").hidden = false;
  audio.controls = false;

  function jump(seconds) {
    audio.currentTime = Math.max(0, Math.min(seconds, audio.duration || seconds));
    showPlace();
  }

  function start() {
    // The "error" event reports what cannot be played.
    audio.play().catch(() => {});
  }

  function showState() {
    play.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    play.toggleAttribute("data-playing", !audio.paused);
  }

  function showPlace() {
    const at = audio.currentTime * 1000;
    const current = turns.findLast((turn) => at >= turn.dataset.start);
    for (const turn of turns) {
      if (turn === current) turn.setAttribute("aria-current", "true");
      else turn.removeAttribute("aria-current");
    }
    const head = drawing.querySelector(".playhead");
    head.setAttribute("x1", at);
    head.setAttribute("x2", at);
    drawing.querySelector(".played").setAttribute("width", at);
    showTime(current?.querySelector(".speaker")?.textContent);
  }

  function showTime(speaker) {
    const now = clock(audio.currentTime);
    player.querySelector("[data-at]").textContent = now;
    seek.value = audio.currentTime;
    seek.setAttribute("aria-valuetext", `${now} of ${clock(seek.max)}${speaker ? `, ${speaker}` : ""}`);
  }

  function setSpeed(speed) {
    audio.defaultPlaybackRate = speed;
    audio.playbackRate = speed;
    for (const button of player.querySelectorAll("[data-speed]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.speed) === speed));
    }
  }

  for (const turn of turns) {
    const place = turn.querySelector(".at");
    const button = document.createElement("button");
    button.type = "button";
    button.className = place.className;
    button.textContent = place.textContent;
    button.setAttribute("aria-label", `Play from ${place.textContent.trim()}`);
    place.replaceWith(button);
    turn.addEventListener("click", () => {
      // Selecting text of the transcript is no wish to hear it.
      if (getSelection().toString()) return;
      jump(turn.dataset.start / 1000);
      start();
    });
  }
  player.addEventListener("click", (event) => {
    const button = event.target.closest("[data-skip], [data-speed]");
    if (!button) return;
    if (button.dataset.skip) {
      jump(audio.currentTime + Number(button.dataset.skip));
      return;
    }
    setSpeed(Number(button.dataset.speed));
    localStorage.setItem(SPEED_KEY, button.dataset.speed);
  });
  play.addEventListener("click", () => (audio.paused ? start() : audio.pause()));
  seek.addEventListener("input", () => jump(Number(seek.value)));
  // A touch on the bar moves the place, also where the browser wants its thumb to be dragged.
  player.querySelector("[data-track]").addEventListener("pointerdown", (event) => {
    const box = drawing.getBoundingClientRect();
    jump((drawing.viewBox.baseVal.width * (event.clientX - box.left)) / box.width / 1000);
  });
  audio.addEventListener("loadedmetadata", () => {
    error.hidden = true;
    if (!Number.isFinite(audio.duration)) return;
    drawing.setAttribute("viewBox", `0 0 ${Math.max(audio.duration * 1000, Number(drawing.dataset.speakers))} 24`);
    seek.max = Math.ceil(audio.duration);
    player.querySelector("[data-length]").textContent = clock(audio.duration);
  });
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, showState);
  audio.addEventListener("waiting", () => play.setAttribute("aria-busy", "true"));
  audio.addEventListener("playing", () => play.removeAttribute("aria-busy"));
  audio.addEventListener("timeupdate", showPlace);
  audio.addEventListener("seeking", showPlace);
  audio.addEventListener("error", () => {
    error.hidden = false;
    play.removeAttribute("aria-busy");
    showState();
  });
  setSpeed(Number(localStorage.getItem(SPEED_KEY)) || 1);
  showTime();
}

for (const player of document.querySelectorAll("[data-player]")) listen(player);
document.addEventListener("outdial:replaced", (event) => {
  const player = event.target.querySelector?.("[data-player]");
  if (player) listen(player);
});
