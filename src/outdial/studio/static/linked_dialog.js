// A link with data-dialog opens the form of its page in a dialog: the part of that page with data-dialog-content. Without
// JavaScript, or when the page cannot be read, the link leads there.

import "./in_place.js";

const dialog = document.createElement("dialog");
dialog.className = "linked-dialog";
dialog.setAttribute("aria-labelledby", "linked-dialog-title");
let opener = null;

async function read(url) {
  const response = await fetch(url, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!response.ok || response.redirected) throw new Error("not shown here");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const title = document.createElement("h2");
  title.id = "linked-dialog-title";
  title.textContent = page.querySelector("h1").textContent.trim();
  return [title, document.importNode(page.querySelector("[data-dialog-content]"), true)];
}

// Opens the form of a page. When the dialog is closed, what opened it has the focus again.
export async function openLinked(url, from) {
  try {
    dialog.replaceChildren(...await read(url));
  } catch {
    location.assign(url);
    return;
  }
  opener = from;
  document.body.append(dialog);
  dialog.dispatchEvent(new CustomEvent("outdial:replaced", { bubbles: true }));
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  openLinked(link.href, link);
});

dialog.addEventListener("click", (event) => {
  if (event.target !== dialog && !event.target.closest("[data-close]")) return;
  event.preventDefault();
  dialog.close();
});
dialog.addEventListener("close", () => opener?.focus());
