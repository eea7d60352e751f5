// Keys of a page: J presses the element with data-key="j".

// Whether a key is meant for the page: no one types, and no dialog is open.
export function isForPage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return false;
  if (event.target.closest?.("input, select, textarea, [contenteditable], audio, dialog")) return false;
  return !document.querySelector("dialog[open], :popover-open");
}

document.addEventListener("keydown", (event) => {
  if (!isForPage(event)) return;
  const found = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!found) return;
  event.preventDefault();
  found.click();
});
