"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const symbols = { supported: "✓", refuted: "✗", vacuous: "∅", inconclusive: "?", reported: "○", "not applicable": "–" };
  const read = ([claim, column, texts, curves, pictures]) => ({
    claim: data.claims[claim], column, model: data.columns[column], curves, pictures,
    ...Object.fromEntries(data.fields.map((field, at) => [field, data.strings[texts[at]]])),
  });
  const byPlace = new Map(data.results.map((row) => [data.strings[row[2][data.fields.indexOf("place")]], row]));

  // Elements from data: text is only ever text.
  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  const verdict = (word) => make("span", { class: "verdict", "data-word": word }, `${symbols[word] || "·"} ${word}`);
  const link = (place, text) => make("a", { href: `#${place}` }, make("bdi", {}, text));
  function table(heads, rows) {
    const cell = (content, at) => make("td", { "data-label": heads[at] }, ...(Array.isArray(content) ? content : [content]));
    const body = rows.map(({ id, cells, why, column }) => {
      const row = make("tr", { id, "data-column": column }, ...cells.map((content, at) => at
        ? cell(content, at) : make("th", { scope: "row" }, content)));
      return why ? [row, make("tr", { class: "why", "data-column": column }, make("td"),
        make("td", { colspan: cells.length - 1, "data-label": "reason" }, why))] : [row];
    });
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    return make("div", { class: "wide" }, make("table", { class: "results" }, make("thead", {}, head), make("tbody", {}, ...body.flat())));
  }
  const effect = (one) => [make("span", { class: "nowrap" }, `${one.effect} ${one.interval}`), make("small", {}, make("bdi", {}, one.words))];
  const expected = (one) => one.expected ? [verdict(one.verdict), make("span", { class: "changed" }, `expected ${one.expected}`)] : [verdict(one.verdict)];
  const why = (one) => {
    const told = make("bdi", {}, [one.label && `${one.label}: ${one.reason}`, one.points, one.evidence].filter(Boolean).join("; "));
    return one.command ? make("span", {}, told, " ", make("code", { class: "command" }, one.command)) : told;
  };

  // A claim, when it is opened: its results, its curves, its pictures.
  function fillClaim(details) {
    const box = details.querySelector(":scope > .made"), number = Number(details.dataset.claim);
    if (box.childElementCount) return;
    const found = data.results.filter((row) => row[0] === number).map(read);
    const asked = found.filter((one) => one.verdict !== "not applicable");
    if (asked.length) {
      box.append(table(["model", "verdict", "effect", ...data.headings], asked.map((one) => ({
        id: one.place, column: one.column, why: why(one),
        cells: [link(one.model.place, one.model.label), expected(one), effect(one), ...data.headings.map((head) => make("bdi", {}, one[head]))],
      }))));
    }
    box.append(...window.claimCurves(asked, data.claims[number].published));
    for (const one of asked.filter(({ pictures }) => pictures.length)) {
      box.append(make("h5", {}, make("bdi", {}, one.model.label)), make("div", { class: "panels" }, ...one.pictures.map(([title, caption, source]) =>
        make("figure", { class: "panel shot" }, make("figcaption", {}, title), make("img", { src: source, alt: caption || title }), make("p", { class: "axis" }, caption)))));
    }
    const refused = found.filter((one) => one.verdict === "not applicable");
    if (refused.length) {
      box.append(make("details", { class: "refused" }, make("summary", {}, `Not applicable to ${refused.length}`),
        make("ul", {}, ...refused.map((one) => make("li", { id: one.place, "data-column": one.column }, link(one.model.place, one.model.label), `: ${one.reason}`)))));
    }
  }
  // A model, when it is opened: its results, those that miss their bound first.
  function fillModel(details) {
    const box = details.querySelector(":scope > .made"), order = Object.keys(symbols).sort().reverse();
    if (box.childElementCount) return;
    const asked = data.results.filter((row) => row[1] === Number(details.dataset.model)).map(read)
      .filter((one) => one.verdict !== "not applicable")
      .sort((one, other) => (other.verdict === "refuted") - (one.verdict === "refuted") || order.indexOf(one.verdict) - order.indexOf(other.verdict));
    box.append(table(["claim", "verdict", "effect", ...data.headings], asked.map((one) => ({
      id: `${one.place}-of-model`, column: one.column,
      cells: [link(one.place, one.claim.id), expected(one), effect(one), ...data.headings.map((head) => make("bdi", {}, one[head]))],
    }))));
  }
  const fill = (details) => details.dataset.claim !== undefined ? fillClaim(details) : fillModel(details);
  const sections = all("details[data-claim], details[data-model]");

  // A cell in words.
  const told = document.getElementById("cell");
  function tell(anchor) {
    const row = byPlace.get(anchor.getAttribute("href").slice(1));
    if (!row) return;
    const one = read(row);
    const facts = [["bound", one.bound], ["paper", one.published], ["images", one.images]].filter(([, text]) => text && text !== "-");
    told.replaceChildren(expected(one)[0], " ", make("b", {}, make("bdi", {}, one.claim.id)), " on ", make("bdi", {}, one.model.label), ...expected(one).slice(1),
      one.verdict === "not applicable" ? make("p", {}, one.reason)
        : make("p", {}, `${one.words}: ${one.effect} ${one.interval}; ${facts.map(([name, text]) => `${name} ${text}`).join("; ")}`),
      ...(one.command ? [make("code", { class: "command" }, one.command)] : []));
    all(".matrix td.told").forEach((cell) => cell.classList.remove("told"));
    anchor.parentElement.classList.add("told");
  }
  const matrix = document.querySelector(".matrix");
  const anchorOf = (event) => event.target.closest?.("td[data-column]")?.querySelector("a");
  for (const kind of ["pointerover", "focusin"]) matrix.addEventListener(kind, (event) => { const anchor = anchorOf(event); if (anchor) tell(anchor); });
  matrix.addEventListener("click", (event) => {  // the first tap tells, the second leads on
    const anchor = anchorOf(event);
    if (anchor && matchMedia("(hover: none)").matches && !anchor.dataset.tapped) {
      all("[data-tapped]", matrix).forEach((other) => delete other.dataset.tapped);
      anchor.dataset.tapped = "yes";
      event.preventDefault();
      tell(anchor);
    }
  });
  const cells = () => all("tr.claim:not([hidden])", matrix).map((row) => all("td:not([hidden]) a", row)).filter((row) => row.length);
  all("td a", matrix).forEach((anchor, at) => { anchor.tabIndex = at ? -1 : 0; });
  matrix.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const anchor = anchorOf(event);
    if (!step || !anchor) return;
    event.preventDefault();
    const rows = cells(), row = rows.findIndex((one) => one.includes(anchor));
    const column = Number(anchor.parentElement.dataset.column);
    const next = rows[Math.max(0, Math.min(rows.length - 1, row + step[0]))];
    const at = rows[row].indexOf(anchor) + step[1];
    const to = step[0] ? next.find((one) => Number(one.parentElement.dataset.column) === column) || next[0] : next[Math.max(0, Math.min(next.length - 1, at))];
    anchor.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });

  // Filter and order, kept in the address.
  const form = document.getElementById("filter"), shown = document.getElementById("shown");
  const heads = all(".matrix thead th[data-column]"), placed = all("[data-column]");
  const groups = all(".matrix tbody");
  const rows = all(".matrix tr.claim").map((row, at) => ({
    row, at, cells: all("td", row), group: row.parentElement, ledger: Number(row.dataset.ledger),
    words: row.querySelector("th").textContent.toLowerCase() + " " + row.querySelector("a").title.toLowerCase(),
    refuted: all("td[data-verdict=refuted]", row).length, section: document.getElementById(row.dataset.claim),
  }));
  const orders = { "": (a, b) => a.at - b.at, ledger: (a, b) => a.ledger - b.ledger, refuted: (a, b) => b.refuted - a.refuted || a.at - b.at };
  function apply() {
    const state = Object.fromEntries(new FormData(form)), { source, family, verdict: word, text, order } = state;
    const away = new Set(heads.filter((head) => family && head.dataset.family !== family).map((head) => head.dataset.column));
    for (const element of placed) element.hidden = away.has(element.dataset.column);
    let count = 0;
    for (const { row, cells: own, words, group, section } of rows) {
      const fits = (cell) => !cell.hidden && cell.dataset.verdict === word;
      const visible = (!source || group.dataset.source === source) && (!word || own.some(fits))
        && text.toLowerCase().split(/\s+/).every((part) => words.includes(part));
      row.hidden = section.hidden = !visible;
      count += visible;
      for (const cell of own) cell.classList.toggle("faded", Boolean(word) && cell.dataset.verdict !== word);
    }
    for (const { row, group } of [...rows].sort(orders[order] || orders[""])) group.append(row);
    for (const group of groups) group.hidden = !group.querySelector("tr.claim:not([hidden])");
    shown.textContent = `${count} of ${rows.length} claims, ${heads.length - away.size} of ${heads.length} models`;
    remember();
  }
  const pair = document.getElementById("pair"), pairs = window.claimPairs({ data, read, make, table, verdict, link });
  const forms = [form, pair].filter(Boolean);
  const showPair = () => { if (pair) pairs(pair, document.getElementById("paired")); };
  function remember() {
    const kept = new URLSearchParams(forms.flatMap((one) => [...new FormData(one)]).filter(([, value]) => value));
    const open = sections.filter((one) => one.open).map((one) => one.parentElement.id);
    if (open.length) kept.set("open", open.join(" "));
    try { history.replaceState(null, "", `${kept.size ? `?${kept}` : location.pathname}${location.hash}`); } catch { /* an address that may not be changed */ }
  }
  function recall() {
    for (const kind of ["claim", "model"]) {  // what a page is about alone is open
      const [only, other] = all(`details[data-${kind}]`);
      if (only && !other) { fill(only); only.open = true; }
    }
    const kept = new URLSearchParams(location.search);
    for (const field of forms.flatMap((one) => [...one.elements])) if (field.name && kept.has(field.name)) field.value = kept.get(field.name);
    for (const place of (kept.get("open") || "").split(" ").filter(Boolean)) {
      const details = document.getElementById(place)?.querySelector("details");
      if (details) { fill(details); details.open = true; }
    }
  }
  // A link leads into what is folded.
  function follow() {
    const place = decodeURIComponent(location.hash.slice(1)), row = byPlace.get(place);
    const holder = document.getElementById(row ? data.claims[row[0]].place : place);
    const details = holder?.matches("article") ? holder.querySelector("details") : null;
    if (!details) return;
    fill(details);
    details.open = true;
    const target = document.getElementById(place) || holder;
    const inner = target.closest("details.refused");
    if (inner) inner.open = true;
    all(".target").forEach((other) => other.classList.remove("target"));
    target.classList.add("target");
    target.scrollIntoView();
  }
  for (const details of sections) details.addEventListener("toggle", () => { if (details.open) fill(details); remember(); });
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {  // also where the address does not change
    const anchor = event.target.closest?.("a[href^='#']");
    if (anchor && !event.defaultPrevented && anchor.getAttribute("href") === location.hash) follow();
  });

  // What stands here, to take along.
  function tables() {
    const heads = ["claim", "model", ...data.fields.filter((field) => field !== "place")];
    const rows = data.results.map(read).map((one) => heads.map((head) => head === "claim" ? one.claim.id : head === "model" ? one.model.label : one[head]));
    return { heads, rows };
  }
  const quoted = (text) => `"${(/^\s*[=+\-@＝＋－＠\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const offer = (id, kind, write) => document.getElementById(id).addEventListener("click", (event) => {
    event.currentTarget.href = URL.createObjectURL(new Blob([write(tables())], { type: kind }));
  });
  offer("as-csv", "text/csv", ({ heads, rows: found }) => [heads, ...found].map((row) => row.map(quoted).join(",")).join("\r\n"));
  offer("as-json", "application/json", ({ heads, rows: found }) => JSON.stringify(found.map((row) => Object.fromEntries(row.map((text, at) => [heads[at], text]))), null, 1));
  document.getElementById("downloads").hidden = form.hidden = told.hidden = false;
  told.textContent = "Point at a cell of the matrix, tap it, or move there with the arrow keys.";
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  if (pair) {
    pair.hidden = false;
    pair.addEventListener("input", () => { showPair(); remember(); });
    pair.addEventListener("submit", (event) => event.preventDefault());
  }
  recall();
  apply();
  showPair();
  follow();
})();
