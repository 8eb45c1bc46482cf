"use strict";
// What others wrote is shown as text: by textContent and the like, never as markup.
(() => {
  const all = (wanted, within = document) => [...within.querySelectorAll(wanted)];
  const make = (name, fields = {}, ...inside) => {
    const node = Object.assign(document.createElement(name), fields);
    node.append(...inside);
    return node;
  };
  const button = (text, onclick, fields = {}) => make("button", { type: "button", onclick, ...fields }, text);
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");

  // Downloads

  const save = (name, type, content) => {
    const href = URL.createObjectURL(new Blob([content], { type }));
    make("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  };
  // A spreadsheet would take a text for a formula that begins like one.
  const quoted = (value) => {
    const text = String(value);
    const inert = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
  };
  const saveCsv = (name, rows) =>
    save(`${slug(name)}.csv`, "text/csv", rows.map((row) => `${row.map(quoted).join(",")}\n`).join(""));

  // Tables: sort, filter, download

  const UNITS = {
    "µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, k: 1e3, M: 1e6, G: 1e9, T: 1e12,
    B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40,
  };
  const NUMBER = /^[~x]?\s*(-?[\d,]*\.?\d+(?:e[-+]?\d+)?)\s*(%|[µA-Za-z]+)?/;
  const number = (text) => {
    const found = NUMBER.exec(text);
    return found ? Number(found[1].replaceAll(",", "")) * (UNITS[found[2]] ?? 1) : NaN;
  };
  const compared = (a, b, up, numbers) => {
    const [x, y] = [a, b].map((text) => (numbers || /^[\d,.]+$/.test(text) ? number(text) : NaN));
    const lacks = numbers ? Number.isNaN(x) - Number.isNaN(y) : 0; // what is missing comes last
    if (lacks) return lacks;
    return up * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y);
  };

  const furnish = (box) => {
    const table = box.querySelector("table");
    const heads = all("thead th", table);
    const names = heads.map((head) => head.textContent);
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const title = box.querySelector("h3").textContent;
    const text = (row, place) => row.cells[place].textContent;

    for (const row of rows) names.forEach((name, place) => (row.cells[place].dataset.label = name));

    const sort = (place) => {
      const was = heads[place].ariaSort;
      const now = { none: "ascending", ascending: "descending", descending: "none" }[was];
      const numbers = heads[place].classList.contains("number");
      const up = now === "ascending" ? 1 : -1;
      heads.forEach((head) => (head.ariaSort = "none"));
      heads[place].ariaSort = now;
      body.append(...(now === "none" ? rows : rows.toSorted((a, b) => compared(text(a, place), text(b, place), up, numbers))));
    };
    heads.forEach((head, place) => {
      head.ariaSort = "none";
      if (names[place]) head.replaceChildren(button(names[place], () => sort(place)));
    });

    const told = make("output");
    const tell = () => {
      const shown = rows.filter((row) => !row.hidden).length;
      told.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    };
    const filter = make("input", { type: "search", placeholder: "Filter rows", ariaLabel: `Filter the rows of ${title}` });
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      tell();
    });
    const shown = () => [...body.rows].filter((row) => !row.hidden);
    const download = button("CSV", () => saveCsv(title, [names, ...shown().map((row) => names.map((_, place) => text(row, place)))]),
      { ariaLabel: `Download ${title} as CSV` });
    box.querySelector(".bar").append(make("div", { className: "tools" }, told, filter, download));
    tell();
  };

  // Figures

  const decorate = (figure, data) => {
    const image = figure.querySelector("img");
    const name = image.dataset.name;
    const svg = () => save(`${name}.svg`, "image/svg+xml", decodeURIComponent(image.src.slice(image.src.indexOf(",") + 1)));
    const csv = () => saveCsv(name, [["panel", "series", "x", "y"],
      ...data.flatMap(([panel, series, x, y]) => x.map((at, place) => [panel, series, at, y[place]]))]);
    figure.querySelector(".bar").append(make("div", { className: "tools" },
      button("SVG", svg, { ariaLabel: `Download the figure ${name} as SVG` }),
      button("CSV", csv, { ariaLabel: `Download what the figure ${name} shows as CSV` })));
  };

  // Runs behind cells

  const draw = (name, fields, ...inside) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(fields)) node.setAttribute(key, value);
    node.append(...inside);
    return node;
  };
  const chart = (title, [xs, ys]) => {
    const log = Math.min(...ys) > 0 && Math.max(...ys) > 10 * Math.min(...ys);
    const heights = log ? ys.map(Math.log) : ys;
    const place = (values, value, from, to) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return high > low ? from + ((value - low) / (high - low)) * (to - from) : (from + to) / 2;
    };
    const points = xs.map((x, n) => [place(xs, x, 46, 310), place(heights, heights[n], 112, 12)]);
    const label = (text, x, y, anchor) => draw("text", { x, y, "text-anchor": anchor }, text);
    return make("div", {}, make("div", { className: "note" }, log ? `${title}, on a log axis` : title),
      draw("svg", { viewBox: "0 0 320 132", role: "img", "aria-label": `${title}, from ${ys[0]} to ${ys.at(-1)}` },
        draw("polyline", { points: points.map((at) => at.join()).join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.6 }),
        ...(xs.length > 12 ? [] : points.map(([cx, cy]) => draw("circle", { cx, cy, r: 2.5, fill: "currentColor" }))),
        label(String(Math.max(...ys)), 42, 15, "end"), label(String(Math.min(...ys)), 42, 115, "end"),
        label(`step ${xs[0]}`, 46, 127, "start"), label(`step ${xs.at(-1)}`, 310, 127, "end")));
  };
  const strip = ([count, marks]) => make("div", {},
    make("div", { className: "note" }, `Errors on ${count} test examples in their order, ` +
      `${Math.ceil(count / marks.length)} a cell; the fuller a cell, the more they err`),
    draw("svg", { viewBox: `0 0 ${5 * marks.length} 20`, role: "img", preserveAspectRatio: "none", class: "strip",
      "aria-label": `Errors of stretches of examples, from 0 to 9: ${marks}` },
      ...[...marks].map((mark, n) => draw("rect", { x: 5 * n, y: 20 - (20 * mark) / 9, width: 4, height: (20 * mark) / 9, fill: "currentColor" }))));
  const described = ({ names, texts }, run) => {
    const facts = run.details.flatMap((at, place) =>
      texts[at] ? [make("dt", {}, names[place]), make("dd", {}, texts[at])] : []);
    const charts = [["Training loss", run.loss], ["Validation score", run.validation]].filter(([, found]) => found[0].length > 1);
    return make("section", {}, make("dl", {}, ...facts),
      make("div", { className: "charts" }, ...charts.map(([title, found]) => chart(title, found)),
        ...(run.errors[0] ? [strip(run.errors)] : [])),
      ...(run.log ? [make("pre", {}, run.log)] : []));
  };
  const dialog = document.querySelector("dialog");
  const openRuns = (data, ids, heading) => {
    const found = data.runs.filter((run) => ids.has(run.id));
    dialog.ariaLabel = heading;
    dialog.replaceChildren(make("div", { className: "bar" }, make("h3", {}, heading), button("Close", () => dialog.close())),
      ...found.map((run) => described(data, run)));
    dialog.showModal();
    dialog.scrollTop = 0;
  };
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  const link = (cell, data) => {
    const ids = new Set(cell.dataset.runs.split(" "));
    const row = all("th", cell.parentNode).map((head) => head.textContent);
    const heading = [...new Set([...row, cell.dataset.label])].join(" · ");
    const runs = `${ids.size} run${ids.size > 1 ? "s" : ""} behind it`;
    cell.replaceChildren(button(cell.textContent, () => openRuns(data, ids, heading), { className: "cell", title: runs }));
  };

  // What does not fit goes down instead of across

  const fit = (room) => {
    const boxes = all(".wide");
    for (const box of boxes) box.classList.remove("stacked");
    const tight = boxes.filter((box) => box.querySelector("table").scrollWidth > (room || box.clientWidth));
    for (const box of tight) box.classList.add("stacked");
    for (const cue of all(".cue")) {
      const { scrollWidth, clientWidth } = cue.previousElementSibling;
      cue.style.display = scrollWidth > clientWidth ? "block" : "none";
    }
  };

  // A page that is served follows what is added

  const follow = (version) => {
    const poll = setInterval(async () => {
      const busy = dialog.open || all("input").some((input) => input.value);
      try {
        const now = await (await fetch("/version", { cache: "no-store" })).text();
        if (now !== version && !busy) location.reload();
      } catch {
        clearInterval(poll);
      }
    }, 1000);
  };

  const runs = read("runs-data");
  const figures = read("figures-data");
  all(".table").forEach(furnish);
  all("[data-runs]").forEach((cell) => link(cell, runs));
  all("figure").forEach((figure) => decorate(figure, figures[figure.querySelector("img").dataset.name]));
  const main = document.querySelector("main");
  let width = 0;
  new ResizeObserver(() => {
    if (main.clientWidth !== width) {
      width = main.clientWidth;
      fit();
    }
  }).observe(main);
  addEventListener("beforeprint", () => fit(660));
  addEventListener("afterprint", () => fit());
  if (document.body.dataset.live) follow(document.body.dataset.live);
})();
