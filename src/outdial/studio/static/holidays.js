// The holidays of a campaign: a chosen day is shown in words with a button that removes it, and one empty date waits for
// the next. Without JavaScript, all are date inputs.

const WORDS = new Intl.DateTimeFormat("en-US", { weekday: "short", month: "short", day: "numeric", year: "numeric", timeZone: "UTC" });

export function showHolidays(group) {
  const redraw = () => draw(group);
  // A year is typed digit by digit, each of which is a change: the day becomes words when the focus has left it.
  for (const name of ["change", "focusout"]) group.addEventListener(name, redraw);
  group.addEventListener("restored", redraw, true);
  window.addEventListener("pageshow", redraw);
  redraw();
}

function draw(group) {
  for (const chip of group.querySelectorAll(".holiday")) chip.remove();
  let hasEmpty = false;
  for (const input of group.querySelectorAll("input")) {
    const isShown = input.matches(":focus") || input.type !== "date" || (!input.value && !hasEmpty);
    hasEmpty ||= !input.value;
    input.hidden = !isShown;
    if (input.hidden && input.value) input.after(chipOf(group, input));
  }
}

function chipOf(group, input) {
  const words = WORDS.format(new Date(input.value));
  const chip = Object.assign(document.createElement("span"), { className: "holiday", textContent: words });
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  button.setAttribute("aria-label", `Remove ${words}`);
  button.addEventListener("click", () => {
    input.value = "";
    input.dispatchEvent(new Event("change", { bubbles: true }));
    group.querySelector("input:not([hidden])").focus();
  });
  chip.append(button);
  return chip;
}
