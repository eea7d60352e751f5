// Toasts: what an action has done, at the foot of the page.

const SHOWN_MS = 10000;

// A toast goes away after ten seconds, or when it is not pointed at any more and does not hold the focus.
export function endToast(toast) {
  const end = () => { if (toast.matches(":hover, :focus-within")) setTimeout(end, 2000); else toast.remove(); };
  setTimeout(end, SHOWN_MS);
  // Screen readers announce what changes in a status, not what a page begins with.
  const text = toast.querySelector("p");
  setTimeout(() => text.replaceChildren(text.textContent), 200);
}

// Shows a toast of another page, or one that says `message`.
export function showToast(message) {
  const toast = typeof message === "string" ? document.createElement("div") : document.importNode(message, true);
  if (typeof message === "string") {
    toast.className = "toast";
    toast.setAttribute("role", "status");
    toast.append(document.createElement("p"));
    toast.firstChild.textContent = message;
  }
  document.querySelector(".skip").after(toast);
  endToast(toast);
}
