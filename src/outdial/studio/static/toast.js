// Toasts: what an action has done, at the foot of the page.

const SHOWN_MS = 10000;
const ANNOUNCED_MS = 200;

// Screen readers announce what changes in a message that is there, not the text that a message comes with.
export function announce(message) {
  setTimeout(() => message.replaceChildren(...[...message.childNodes].map((node) => node.cloneNode(true))), ANNOUNCED_MS);
}

// A toast goes away after ten seconds, or when it is not pointed at any more and does not hold the focus.
export function endToast(toast) {
  const end = () => { if (toast.matches(":hover, :focus-within")) setTimeout(end, 2000); else toast.remove(); };
  setTimeout(end, SHOWN_MS);
  announce(toast.querySelector("p"));
}

// Shows a toast of another page, or one that says `message`: a `status`, or an `alert` for what has failed.
export function showToast(message, role = "status") {
  const toast = typeof message === "string" ? document.createElement("div") : document.importNode(message, true);
  if (typeof message === "string") {
    toast.className = "toast";
    toast.setAttribute("role", role);
    toast.append(document.createElement("p"));
    toast.firstChild.textContent = message;
  }
  document.querySelector(".skip").after(toast);
  endToast(toast);
}
