// A start uses what the server has: it waits until each step of the setup whose typing this tab has kept is saved.
// static/setup.js keeps what is typed.

// Before the path of a form, in the keys of the session storage.
export const PREFIX = "outdial:setup:";
const LABELS = { who: "Who calls", contacts: "Contacts", when: "When", retries: "Retries", pace: "Pace and budget" };

export function holdUnsavedStarts() {
  document.addEventListener("submit", (event) => {
    const path = new URL(event.target.action, location.href).pathname;
    if (!path.endsWith("/start")) return;
    const setup = path.replace(/start$/, "setup/");
    const steps = Object.keys(LABELS).filter((step) => sessionStorage.getItem(PREFIX + setup + step));
    // Only the pages of a draft lead to its setup: elsewhere, nothing that was typed there can be saved or discarded.
    const leads = `a[href^="${setup.slice(0, -1)}"]:not([data-unsaved-start] *)`;
    if (!steps.length || !document.querySelector(leads)) return;
    event.preventDefault();
    event.target.closest("[popover]")?.hidePopover();
    show(steps, setup);
  });
}

function show(steps, setup) {
  for (const old of document.querySelectorAll("[data-unsaved-start]")) old.remove();
  const notice = Object.assign(document.createElement("p"), { className: "notice notice-warn" });
  notice.dataset.unsavedStart = "";
  notice.setAttribute("role", "alert");
  notice.append("Not started: these steps have changes that are not saved. ");
  for (const [index, step] of steps.entries()) {
    const link = Object.assign(document.createElement("a"), { href: setup + step, textContent: LABELS[step] });
    notice.append(index ? ", " : "", link);
  }
  document.querySelector("main .title-row").after(notice);
  notice.scrollIntoView({ block: "nearest" });
}
