// The pages work without this file.
"use strict";
(() => {
  const all = (selector) => document.querySelectorAll(selector);

  // A server never sees the fragment of an address. Browsers keep it over the redirect to this page; from here the form
  // and the links to providers take it along.
  if (location.hash) {
    for (const element of all("[data-keep-hash]")) {
      if (element instanceof HTMLFormElement) {
        const to = element.elements.namedItem("to");
        if (to && !to.value.includes("#")) to.value += location.hash;
      } else {
        const url = new URL(element.href);
        const to = url.searchParams.get("to");
        if (to && !to.includes("#")) url.searchParams.set("to", to + location.hash);
        element.href = url.href;
      }
    }
  }

  for (const button of all("[data-show]")) {
    const field = document.getElementById(button.dataset.show);
    const show = button.textContent;
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = field.type === "text";
      field.type = shown ? "password" : "text";
      button.setAttribute("aria-pressed", String(!shown));
      button.textContent = shown ? show : button.dataset.hideText;
    });
    // A password manager recognizes the field by its type.
    field.form.addEventListener("submit", () => { field.type = "password"; });
  }

  for (const button of all("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const lines = [...document.querySelectorAll(`#${button.dataset.copy} li`)].map((line) => line.textContent.trim());
      await navigator.clipboard.writeText(lines.join("\n"));
      button.textContent = button.dataset.copied;
    });
  }

  document.querySelector("[data-focus]")?.focus();

  // The back button shows the page of an earlier step, whose form is used up.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
