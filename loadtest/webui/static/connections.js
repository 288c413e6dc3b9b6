// The Connections tab: asks for what is new once a second and draws it. All text is set as text.
(() => {
  "use strict";
  const EVERY_MS = 1000;
  const TAB = "connections";
  const NUMBERS = [
    ["used_count", "connections", 0], ["working_count", "working", 0], ["idle_count", "idle", 0],
    ["zombies_count", "zombies", 0], ["refused_count", "refused / s", 0], ["errors_count", "errors / s", 0],
    ["arrivals_count", "arrivals / s", 0], ["p50_ms", "p50 ms", 1], ["p99_ms", "p99 ms", 1],
    ["containers_count", "containers", 0], ["cold_starts_count", "cold starts / s", 0],
    ["kept_count", "kept / s", 0], ["closed_count", "closed / s", 0], ["expired_count", "expired / s", 0],
    ["killed_count", "killed / s", 0], ["lag_ms", "generator lag ms", 1],
    ["cpu_percent", "generator CPU %", 0],
  ];
  const BAD = new Set(["refused_count", "errors_count"]);
  const WORKER = [
    ["worker", "worker"], ["arrivals_count", "arrivals"], ["errors_count", "errors"],
    ["containers_count", "containers"], ["connections_count", "connections"], ["zombies_count", "zombies"],
    ["lag_ms", "lag ms"], ["cpu_percent", "CPU %"],
  ];

  const panel = document.getElementById("loadtest-panel").content.firstElementChild.cloneNode(true);
  const find = (selector) => panel.querySelector(selector);
  const shown = { live: blank(), other: blank() };
  let chosen = 0; // 0: the newest test, whichever that is
  let sources = null;
  let codes = []; // the errors that have a series of their own
  let drawn_plots = [];
  let listed = "";

  function blank() {
    return { number: 0, step_s: 0, at_s: -1, columns: {} };
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  function figure(value, digits) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  const open = () => new URLSearchParams(location.search).get("tab") === TAB;

  // Locust draws its own part of the page anew when the state changes; ours is put back.
  function place() {
    const main = document.querySelector("#root main");
    const visible = open() && main !== null && !document.querySelector("#root form input[name='userCount']");
    if (main && main.lastElementChild !== panel) main.append(panel);
    panel.hidden = !visible;
    return visible;
  }

  // Plots

  let drawing = null;
  function draw() {
    drawing = drawing || (async () => {
      await script("./loadtest/assets/bokeh.min.js");
      const plots = await (await fetch("./loadtest/plots.json")).json();
      for (const [name, html] of Object.entries(plots.places)) find(`[data-plot="${name}"]`).innerHTML = html;
      const before = Bokeh.documents.length;
      const inline = element("script", plots.script);
      document.body.append(inline);
      while (Bokeh.documents.length === before) await new Promise((done) => setTimeout(done, 20));
      const drawn = Bokeh.documents[Bokeh.documents.length - 1];
      codes = plots.codes;
      drawn_plots = drawn.roots();
      new ResizeObserver(fit).observe(find(".lt-plots"));
      sources = { live: drawn.get_model_by_name("test_live"), other: drawn.get_model_by_name("test_other") };
      panel.dataset.drawn = "yes";
    })();
    return drawing;
  }

  // Legends: what has no value yet takes no room, and rows end where the plot does. Bokeh's own never wrap.

  const LEGEND = { font: "12px system-ui, sans-serif", glyph: 36, row: 20, height: 260 }; // in pixels
  const pen = document.createElement("canvas").getContext("2d");
  const legendsOf = (plot) => plot.above.filter((model) => model.items);

  function fit() {
    for (const plot of drawn_plots) for (const legend of legendsOf(plot)) fitOne(plot, legend);
  }

  function fitOne(plot, legend) {
    if (!plot.inner_width) return; // not laid out yet
    const names = legend.items.filter((item) => item.visible).map((item) => item.label.value);
    pen.font = LEGEND.font;
    const widths = names.map((name) => pen.measureText(name).width + LEGEND.glyph);
    let count = Math.max(1, names.length);
    while (count > 1 && widthOf(widths, count) > plot.inner_width) count -= 1;
    const height = LEGEND.height + LEGEND.row * (Math.ceil(names.length / count) - 1);
    if (legend.ncols !== count) legend.ncols = count;
    if (plot.height !== height) plot.height = height;
  }

  function widthOf(widths, count) {
    const columns = Array(count).fill(0);
    widths.forEach((width, i) => { columns[i % count] = Math.max(columns[i % count], width); });
    return columns.reduce((all, width) => all + width, 0);
  }

  function showUsedCodes(columns) {
    const isUsed = (name) => (columns[name] || []).some((value) => value > 0);
    const used = new Set(codes.filter(isUsed));
    for (const legend of drawn_plots.flatMap(legendsOf)) {
      for (const item of legend.items) {
        if (codes.includes(item.label.value)) item.visible = used.has(item.label.value);
      }
    }
    fit();
  }

  function script(address) {
    return new Promise((done, failed) => {
      const made = element("script");
      made.src = address;
      made.onload = done;
      made.onerror = failed;
      document.head.append(made);
    });
  }

  const NAN = (value) => (value === null ? NaN : value);
  const sum = (lists) => lists[0].map((_, i) => lists.reduce((all, list) => all + list[i], 0));

  function take(which, news) {
    const state = shown[which];
    if (!news) {
      if (state.number) {
        shown[which] = blank();
        if (sources) sources[which].data = columnsOf(shown[which]);
      }
      return;
    }
    if (news.number !== state.number || news.whole) state.columns = {};
    let grown = news.number !== state.number || news.whole;
    for (const [name, values] of Object.entries(news.points)) {
      state.columns[name] = (state.columns[name] || []).concat(values.map(NAN));
      grown = grown || values.length > 0;
    }
    state.number = news.number;
    state.step_s = news.step_s;
    const times = state.columns.at_s;
    state.at_s = times.length ? times[times.length - 1] : -1;
    if (sources && grown) sources[which].data = columnsOf(state);
    if (sources && grown && which === "live") showUsedCodes(state.columns);
  }

  function columnsOf(state) {
    const empty = Object.fromEntries(sources.live.columns().map((name) => [name, []]));
    const columns = { ...empty, ...state.columns };
    const count = columns.at_s.length;
    if (!count) return empty;
    columns.step_s = Array(count).fill(state.step_s * 0.96);
    columns.used_count = sum([columns.working_count, columns.idle_count, columns.zombies_count]);
    columns.errors_count = sum(codes.map((code) => columns[code]));
    columns.refused_count = columns.refused_count.map((value) => (value > 0 ? value : NaN));
    return columns;
  }

  // Text

  function tell(news, words) {
    const trouble = find(".lt-trouble");
    trouble.textContent = (news && news.trouble) || words;
    trouble.hidden = !trouble.textContent;
    find(".lt-arm").textContent = news ? news.arm + (news.running ? "" : " (ended)") : "";
    find(".lt-errors").textContent = news
      ? Object.entries(news.error_counts)
        .map(([error, count]) => `${count.toLocaleString("en")} × ${error}`).join("   ")
      : "";
    const now = { ...(news ? news.now : {}) };
    const known = now.working_count !== undefined && now.working_count !== null;
    now.used_count = known ? now.working_count + now.idle_count + now.zombies_count : undefined;
    const columns = shown.live.columns;
    now.errors_count = codes.reduce((all, code) => all + (columns[code] ? columns[code].at(-1) || 0 : 0), 0);
    find(".lt-now").replaceChildren(
      ...NUMBERS.map(([name, label, digits]) => {
        const cell = element("div");
        cell.dataset.name = name;
        let text = figure(now[name], digits);
        if (name === "used_count" && now.limit_count) text += ` of ${now.limit_count}`;
        if (now[name] > 0 && BAD.has(name)) cell.className = "lt-bad";
        cell.append(element("dt", label), element("dd", text));
        return cell;
      }),
    );
    const workers = news && news.workers.length > 1 ? news.workers : [];
    const table = find(".lt-workers");
    table.hidden = !workers.length;
    const head = element("tr");
    head.append(...WORKER.map(([, label]) => element("th", label)));
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(
      ...workers.map((one) => {
        const row = element("tr");
        const value = (name) => figure(one[name], name === "lag_ms" ? 1 : 0);
        row.append(...WORKER.map(([name]) => element("td", value(name))));
        return row;
      }),
    );
  }

  function choice(kind, test) {
    const cell = element("td");
    const box = element("input");
    box.type = "radio";
    box.name = `lt-${kind}`;
    box.setAttribute("aria-label", `${kind} test ${test.number}`);
    box.checked = kind === "show" ? test.number === (chosen || shown.live.number) : test.number === other;
    box.addEventListener("click", () => {
      if (kind === "show") chosen = test.number;
      else other = other === test.number ? 0 : test.number;
      listed = "";
      ask();
    });
    cell.append(box);
    return cell;
  }
  let other = 0;

  function list(tests, state) {
    const busy = state === "running" || state === "spawning" || state === "stopping";
    const key = JSON.stringify([tests, busy, chosen, other, shown.live.number]);
    if (key === listed) return;
    listed = key;
    find(".lt-tests tbody").replaceChildren(
      ...tests.map((test) => {
        const row = element("tr");
        const share = test.errors_percent === null ? "–" : `${test.errors_percent.toFixed(1)}%`;
        const codes = Object.keys(test.error_counts).map((code) => code.split(" ")[0]).join(", ");
        const links = element("td");
        for (const [name, kind] of [["report", "report"], ["CSV", "rows.csv"], ["Parquet", "rows.parquet"]]) {
          if (busy) break;
          const link = element("a", name);
          link.href = `./loadtest/tests/${test.number}/${kind}`;
          if (kind === "report") { link.target = "_blank"; link.rel = "noopener"; }
          links.append(link, " ");
        }
        if (busy) links.textContent = "after the test";
        row.append(
          choice("show", test), choice("dashed", test), element("td", test.arm), element("td", test.load),
          element("td", test.arrivals_count.toLocaleString("en")), element("td", `${share} ${codes}`),
          element("td", test.peak_count), element("td", test.name), links,
        );
        return row;
      }),
    );
    const link = find(".lt-compare");
    const base = shown.live.number;
    link.hidden = busy || !other || !base || other === base;
    link.firstElementChild.href = `./loadtest/compare/${other}/${base}`;
  }

  // Once a second

  let asking = false;
  async function ask() {
    if (asking) return;
    asking = true;
    try {
      await draw();
      const query = new URLSearchParams({
        live: chosen || -1, live_at: shown.live.at_s, live_step: shown.live.step_s, live_had: shown.live.number,
        other, other_at: shown.other.at_s, other_step: shown.other.step_s, other_had: shown.other.number,
      });
      const answer = await (await fetch(`./loadtest/live?${query}`)).json();
      take("live", answer.live);
      take("other", answer.other);
      tell(answer.live, answer.trouble);
      list(answer.tests, answer.state);
      panel.dataset.state = answer.state;
    } catch (error) {
      const trouble = find(".lt-trouble");
      trouble.textContent = `the page's server does not answer: ${error.message}`;
      trouble.hidden = false;
    } finally {
      asking = false;
    }
  }

  window.loadtestPanel = { panel, visible: () => !panel.hidden };
  setInterval(() => { if (place() && !document.hidden) ask(); }, EVERY_MS);
  new MutationObserver(place).observe(document.getElementById("root"), { childList: true, subtree: true });
})();
