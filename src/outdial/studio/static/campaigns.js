// The campaign form: selects the viewer's time zone and adds the calling hours grid.

import { drawWeek } from "./hours.js";

for (const form of document.querySelectorAll("[data-campaign-form]")) {
  chooseZone(form.querySelector("select[data-detect]"), form.querySelector("[data-moment]"));
  chooseSchedule(form);
  for (const fieldset of form.querySelectorAll("[data-hours]")) drawWeek(fieldset);
}

// Show a stored start time in the viewer's time zone.
function chooseZone(select, input) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!select || ![...select.options].some((option) => option.value === zone)) return;
  select.value = zone;
  const start = input?.dataset.moment ? new Date(input.dataset.moment) : null;
  if (!start || Number.isNaN(start.getTime())) return;
  const local = new Date(start.getTime() - start.getTimezoneOffset() * 60_000);
  input.value = local.toISOString().slice(0, 16);
}

// Entering a time selects "Schedule for later".
function chooseSchedule(form) {
  const at = form.querySelector("#schedule-at");
  form.querySelector("[name=scheduled_local]")?.addEventListener("input", () => { if (at) at.checked = true; });
}
