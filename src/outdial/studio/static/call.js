// The recording of a call: speed and skips, the line that shows who speaks, and the transcript in step with it.

const SPEED_KEY = "outdial-speed";

function listen(player) {
  const audio = player.querySelector("audio");
  const drawing = player.querySelector("[data-speakers]");
  const turns = [...document.querySelectorAll("[data-turns] > [data-start]")];
  const error = player.querySelector("[data-player-error]");
  player.querySelector("[data-player-tools]").hidden = false;

  function jump(seconds) {
    audio.currentTime = Math.max(0, Math.min(seconds, audio.duration || seconds));
    showPlace();
  }

  function showPlace() {
    const at = audio.currentTime * 1000;
    const current = turns.findLast((turn) => at >= turn.dataset.start);
    for (const turn of turns) {
      if (turn === current) turn.setAttribute("aria-current", "true");
      else turn.removeAttribute("aria-current");
    }
    const head = drawing?.querySelector(".playhead");
    head?.setAttribute("x1", at);
    head?.setAttribute("x2", at);
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
      audio.play().catch(() => {});
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
  drawing?.addEventListener("click", (event) => {
    const box = drawing.getBoundingClientRect();
    jump((drawing.viewBox.baseVal.width * (event.clientX - box.left)) / box.width / 1000);
  });
  audio.addEventListener("loadedmetadata", () => {
    error.hidden = true;
    if (!drawing || !Number.isFinite(audio.duration)) return;
    drawing.setAttribute("viewBox", `0 0 ${Math.max(audio.duration * 1000, Number(drawing.dataset.speakers))} 24`);
  });
  audio.addEventListener("timeupdate", showPlace);
  audio.addEventListener("seeking", showPlace);
  audio.addEventListener("error", () => { error.hidden = false; });
  setSpeed(Number(localStorage.getItem(SPEED_KEY)) || 1);
}

for (const player of document.querySelectorAll("[data-player]")) listen(player);
document.addEventListener("outdial:replaced", (event) => {
  const player = event.target.querySelector?.("[data-player]");
  if (player) listen(player);
});
