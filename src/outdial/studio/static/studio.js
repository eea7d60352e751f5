// Runs on every page: local times, menus, copy buttons and live updates.

import { watchPage } from "./live.js";
import { reportZone, showTimes } from "./time.js";

reportZone();
showTimes(document);
document.addEventListener("outdial:replaced", (event) => showTimes(event.target));

for (const menu of document.querySelectorAll("details[data-menu]")) {
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// Copies the text a button names: <button data-copy="#id-of-the-text">.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

watchPage();
