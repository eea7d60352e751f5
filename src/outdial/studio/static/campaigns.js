// The campaign form: adds the calling hours grid, shows which hours the calling rules allow, fills in the details of a
// chosen preset, offers one more date when all are used, and makes long selects searchable.

import { followHours } from "./effective_hours.js";
import { showHolidays } from "./holidays.js";
import { addDates, drawWeek } from "./hours.js";
import { makeSearchable } from "./searchable.js";

for (const form of document.querySelectorAll("[data-campaign-form]")) {
  // Entering a time selects "Schedule for later".
  const at = form.querySelector("#schedule-at");
  form.querySelector("[name=scheduled_local]")?.addEventListener("input", () => { if (at) at.checked = true; });
  for (const fieldset of form.querySelectorAll("[data-hours]")) drawWeek(fieldset);
  followHours(form);
  for (const fieldset of form.querySelectorAll("[data-retries]")) followPresets(fieldset);
  for (const dates of form.querySelectorAll("[data-dates]")) {
    dates.addEventListener("change", () => addDate(dates));
    showHolidays(dates);
  }
  for (const select of form.querySelectorAll("select[data-search]")) makeSearchable(select);
}

function followPresets(fieldset) {
  fieldset.addEventListener("change", (event) => {
    if (event.target.name !== "retry_preset") {
      fieldset.querySelector("[name=retry_preset][value=custom]").checked = true;
      return;
    }
    if (!event.target.dataset.fields) {
      fieldset.querySelector("details").open = true;
      return;
    }
    for (const [name, values] of Object.entries(JSON.parse(event.target.dataset.fields))) {
      fieldset.querySelectorAll(`[name=${name}]`).forEach((element, index) => { element.value = values[index] ?? ""; });
    }
  });
}

function addDate(dates) {
  const inputs = [...dates.querySelectorAll("input")];
  if (inputs.every((input) => input.value)) addDates(dates, inputs.length + 1);
}
