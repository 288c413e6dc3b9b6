// The start form: a scenario fills the other fields, and all clients are there from the start.
(() => {
  "use strict";
  const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
  const field = (form, name) => form.querySelector(`[name="${camel(name)}"]`);
  let scenarios = null;

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

  async function extend(form) {
    form.dataset.loadtest = "yes";
    scenarios = scenarios || (await (await fetch("./loadtest/scenarios.json")).json());
    const label = document.createElement("label");
    label.className = "lt-scenario";
    label.append("Scenario (fills the fields below; each can still be changed)");
    const select = document.createElement("select");
    select.setAttribute("aria-label", "scenario");
    select.append(new Option("as below", ""), ...Object.keys(scenarios).map((name) => new Option(name, name)));
    select.addEventListener("change", (event) => {
      event.stopPropagation();
      if (select.value) fill(form, scenarios[select.value]);
    });
    label.append(select);
    form.prepend(label);
    const users = field(form, "user_count");
    users.addEventListener("input", () => set(field(form, "spawn_rate"), users.value));
  }

  function look() {
    const form = document.querySelector("#root form");
    if (form && !form.dataset.loadtest && field(form, "user_count")) extend(form);
  }

  new MutationObserver(look).observe(document.getElementById("root"), { childList: true, subtree: true });
  look();
})();
