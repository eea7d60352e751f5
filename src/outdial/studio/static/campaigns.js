// The form of a campaign: the viewer's own time zone is chosen for them, and the calling hours are drawn as a week.

import { drawWeek } from "./hours.js";

for (const form of document.querySelectorAll("[data-campaign-form]")) {
  chooseZone(form.querySelector("select[data-guess]"), form.querySelector("[data-moment]"));
  chooseSchedule(form);
  for (const fieldset of form.querySelectorAll("[data-hours]")) drawWeek(fieldset);
}

// A stored moment is shown as the clocks of the viewer's zone show it.
function chooseZone(select, input) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!select || ![...select.options].some((option) => option.value === zone)) return;
  select.value = zone;
  const moment = input?.dataset.moment ? new Date(input.dataset.moment) : null;
  if (!moment || Number.isNaN(moment.getTime())) return;
  const local = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  input.value = local.toISOString().slice(0, 16);
}

// Whoever gives a time wants it to be used.
function chooseSchedule(form) {
  const at = form.querySelector("#schedule-at");
  form.querySelector("[name=scheduled_local]")?.addEventListener("input", () => { if (at) at.checked = true; });
}
