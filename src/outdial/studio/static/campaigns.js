// The campaign form: adds the calling hours grid, and shows which hours the calling rules allow.

import { followHours } from "./effective_hours.js";
import { drawWeek } from "./hours.js";

for (const form of document.querySelectorAll("[data-campaign-form]")) {
  // Entering a time selects "Schedule for later".
  const at = form.querySelector("#schedule-at");
  form.querySelector("[name=scheduled_local]")?.addEventListener("input", () => { if (at) at.checked = true; });
  for (const fieldset of form.querySelectorAll("[data-hours]")) drawWeek(fieldset);
  followHours(form);
}
