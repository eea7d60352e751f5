// Searches a list while one types: <form data-search-list="id of the list">. The server renders the list, which takes the
// place of the old one, and the address follows. Without this, the form has a button.

import { replaceLive } from "./live.js";

const WAIT_MS = 200;

for (const form of document.querySelectorAll("form[data-search-list]")) {
  let timer = 0;
  let asked = 0;
  form.dataset.typed = "";

  const show = async () => {
    const turn = ++asked;
    const filled = [...new FormData(form)].filter(([, value]) => value);
    // An address without filters that names a view would have those of the view.
    const values = filled.some(([name]) => name !== "view") ? filled : [];
    const address = `${form.action}${values.length ? `?${new URLSearchParams(values)}` : ""}`;
    try {
      const response = await fetch(address, { headers: { "x-live": "1" }, cache: "no-store", redirect: "manual" });
      if (!response.ok) throw new Error(String(response.status));
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      if (turn !== asked) return;
      history.replaceState(history.state, "", address);
      replaceLive(fresh);
    } catch {
      // The page that the form leads to explains what is wrong.
      if (turn === asked) form.submit();
    }
  };

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, WAIT_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    show();
  });
}
