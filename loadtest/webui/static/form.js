// The start form: a scenario fills the other fields, and all clients are there from the start.
(() => {
  "use strict";
  const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
  const field = (form, name) => form.querySelector(`[name="${camel(name)}"]`);
  let known = null;

  // React takes a value only from the browser's own setter and an event.
  function set(input, value) {
    const prototype = input instanceof HTMLSelectElement ? HTMLSelectElement : HTMLInputElement;
    if (input instanceof HTMLSelectElement && ![...input.options].some((option) => option.value === value)) {
      input.append(new Option(value, value));
    }
    Object.getOwnPropertyDescriptor(prototype.prototype, "value").set.call(input, value);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function fill(form, values) {
    for (const [name, value] of Object.entries(values)) {
      const input = field(form, name);
      if (input) set(input, value);
    }
  }

  // Locust has the fields by their names' alphabet, in a column that can be ordered; its own nodes stay.
  function arrange(form) {
    const place = (name) => {
      let part = field(form, name);
      while (part && getComputedStyle(part.parentElement).rowGap !== "32px") part = part.parentElement;
      return part;
    };
    known.order.forEach((name, at) => {
      const part = field(form, name) && place(name);
      if (!part) return;
      part.style.order = at;
      if (known.hidden.includes(name)) part.style.display = "none";
    });
    const summary = field(form, "strategy").closest(".MuiAccordion-root").querySelector("button");
    if (summary && summary.getAttribute("aria-expanded") === "false") summary.click();
  }

  async function extend(form) {
    form.dataset.loadtest = "yes";
    known = known || (await (await fetch("./loadtest/form.json")).json());
    arrange(form);
    const label = document.createElement("label");
    label.className = "lt-scenario";
    label.append("Scenario (fills the fields below; each can still be changed)");
    const select = document.createElement("select");
    select.setAttribute("aria-label", "scenario");
    select.append(new Option("as below", ""), ...Object.keys(known.scenarios).map((name) => new Option(name, name)));
    select.addEventListener("change", (event) => {
      event.stopPropagation();
      if (select.value) fill(form, known.scenarios[select.value]);
    });
    label.append(select);
    form.prepend(label);
    const users = field(form, "user_count");
    users.addEventListener("input", () => set(field(form, "spawn_rate"), users.value));
  }

  // The first one stands in the page, the next ones in dialogs. One that edits has no host, and needs nothing.
  function look() {
    for (const form of document.querySelectorAll("form:not([data-loadtest])")) {
      if (field(form, "user_count") && field(form, "host")) extend(form);
    }
  }

  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  look();
})();
