// Files dropped on a file input with data-drop: shows the name and size, and refuses an empty file before it is sent.

for (const field of document.querySelectorAll("[data-drop]")) {
  const input = field.querySelector("input[type=file]");
  const zone = field.querySelector(".drop");
  for (const type of ["dragenter", "dragover"]) {
    zone.addEventListener(type, (event) => {
      event.preventDefault();
      zone.classList.add("drop-over");
    });
  }
  for (const type of ["dragleave", "drop"]) {
    zone.addEventListener(type, () => zone.classList.remove("drop-over"));
  }
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    const first = new DataTransfer();
    first.items.add(event.dataTransfer.files[0]);
    input.files = first.files;
    show(field, input);
  });
  input.addEventListener("change", () => show(field, input));
  show(field, input);
}

function show(field, input) {
  const file = input.files[0];
  if (!file) return;
  const problem = file.size ? "" : `${file.name} is empty. Select a file with contacts.`;
  field.querySelector("[data-chosen]").textContent = problem ? "Drop a file here, or select one." : `${file.name}, ${sizeOf(file.size)}`;
  field.querySelector(".choose").textContent = problem ? "Choose file" : "Choose another file";
  field.querySelector("[data-wrong]").textContent = problem;
  field.classList.toggle("field-wrong", problem !== "");
  input.setAttribute("aria-invalid", String(problem !== ""));
  input.setCustomValidity(problem);
}

function sizeOf(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  const unit = bytes < 1024 ** 2 ? "KB" : "MB";
  return `${(bytes / (unit === "KB" ? 1024 : 1024 ** 2)).toFixed(1)} ${unit}`;
}
