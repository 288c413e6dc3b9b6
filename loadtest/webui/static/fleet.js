// Each container a cell that keeps its place for as long as it lives; its colour is its state.
(() => {
  "use strict";
  const EVERY_MS = 1000;
  const GONE_MS = 4000; // how long a container that went is still shown
  const HEIGHT = 200;
  const STATES = [
    ["cold", "#56B4E9"], ["busy", "#0072B2"], ["frozen", "#B3B3B3"], ["zombie", "#D55E00"], ["gone", "#76767633"],
  ];
  const GONE = 4;
  const { panel, visible } = window.loadtestPanel;
  const canvas = panel.querySelector(".lt-fleet canvas");
  const tip = panel.querySelector(".lt-tip");
  const slots = []; // {number, state, connection, invocations, age_s, since} or null
  const placeOf = new Map();

  panel.querySelector(".lt-key").append(
    ...STATES.flatMap(([name, colour]) => {
      const mark = document.createElement("i");
      mark.style.background = colour;
      return [mark, name];
    }),
  );

  function take(cells) {
    const now = performance.now();
    const there = new Set(cells.map((cell) => cell[0]));
    for (const [number, place] of placeOf) {
      const slot = slots[place];
      if (there.has(number)) continue;
      if (slot.state !== GONE) Object.assign(slot, { state: GONE, since: now });
      else if (now - slot.since > GONE_MS) {
        slots[place] = null;
        placeOf.delete(number);
      }
    }
    let free = 0;
    for (const [number, state, connection, invocations, age_s] of cells) {
      let place = placeOf.get(number);
      if (place === undefined) {
        while (slots[free]) free += 1;
        place = free;
        placeOf.set(number, place);
      }
      slots[place] = { number, state, connection, invocations, age_s, since: now };
    }
    while (slots.length && !slots.at(-1)) slots.pop();
    const counts = STATES.map(([name], state) => [name, cells.filter((cell) => cell[1] === state).length]);
    panel.querySelector(".lt-count").textContent = counts
      .filter(([, count]) => count).map(([name, count]) => `${count} ${name}`).join(", ");
  }

  // As large as they fit.
  function size() {
    const count = Math.max(1, slots.length);
    return Math.max(5, Math.min(16, Math.floor(Math.sqrt((canvas.clientWidth * HEIGHT) / count))));
  }

  const columns = () => Math.max(1, Math.floor(canvas.clientWidth / size()));

  function paint() {
    const side = size();
    const across = columns();
    const height = Math.max(1, Math.ceil(slots.length / across)) * side;
    const ratio = window.devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    slots.forEach((slot, place) => {
      if (!slot) return;
      context.fillStyle = STATES[slot.state][1];
      const x = (place % across) * side;
      const y = Math.floor(place / across) * side;
      const edge = side > 8 ? side - 2 : side - 1;
      context.fillRect(x, y, edge, edge);
      if (slot.connection && slot.state === 2) { // frozen with a connection in its hand
        context.fillStyle = "#9CCBEB";
        context.fillRect(x + edge / 4, y + edge / 4, edge / 2, edge / 2);
      }
    });
  }

  canvas.addEventListener("mousemove", (event) => {
    const across = columns();
    const side = size();
    const place = Math.floor(event.offsetY / side) * across + Math.floor(event.offsetX / side);
    const slot = event.offsetX < across * side ? slots[place] : null;
    tip.hidden = !slot;
    if (!slot) return;
    const words = [`container ${slot.number}: ${STATES[slot.state][0]}`];
    words.push(slot.connection ? `connection ${slot.connection}` : "no connection");
    if (slot.state === 3) words.push(`left ${slot.age_s} s ago`);
    else {
      words.push(`${slot.invocations} invocations`);
      if (slot.age_s >= 0) words.push(`${slot.age_s} s old`);
    }
    tip.textContent = words.join(", ");
    const left = Math.min(event.offsetX + 12, Math.max(0, canvas.clientWidth - tip.offsetWidth - 8));
    tip.style.left = `${left}px`;
    tip.style.top = `${canvas.offsetTop + event.offsetY + 16}px`;
  });
  canvas.addEventListener("mouseleave", () => { tip.hidden = true; });

  let asking = false;
  async function ask() {
    if (asking) return;
    asking = true;
    try {
      take(await (await fetch("./loadtest/fleet")).json());
      paint();
    } catch {
      // the other script says that nobody answers
    } finally {
      asking = false;
    }
  }

  setInterval(() => {
    const seen = visible() && !document.hidden;
    if (seen && (panel.dataset.state === "running" || panel.dataset.state === "spawning" || slots.length)) ask();
  }, EVERY_MS);
})();
