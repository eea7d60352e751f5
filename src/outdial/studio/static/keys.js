// Keys of a page: J presses the element with data-key="j", while no one types and no dialog is open.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable], audio, dialog")) return;
  if (document.querySelector("dialog[open], :popover-open")) return;
  const found = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!found) return;
  event.preventDefault();
  found.click();
});
