"use strict";
(() => {
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const form = document.getElementById("filter");
  const heads = all(".matrix thead th[data-column]");
  const rows = all(".matrix tr.claim").map((row) => ({
    row,
    cells: all("td", row),
    words: row.querySelector("th").textContent.toLowerCase(),
    source: row.parentElement.dataset.source,
    section: document.getElementById(row.dataset.claim),
  }));
  const placed = all("[data-column]");
  const groups = all(".matrix tbody");
  const shown = document.getElementById("shown");

  function apply() {
    const { source, family, verdict, text } = Object.fromEntries(new FormData(form));
    const away = new Set(heads.filter((head) => family && head.dataset.family !== family).map((head) => head.dataset.column));
    for (const element of placed) element.hidden = away.has(element.dataset.column);
    let count = 0;
    for (const { row, cells, words, source: own, section } of rows) {
      const fits = (cell) => !cell.hidden && cell.dataset.verdict === verdict;
      const visible = (!source || own === source)
        && (!verdict || cells.some(fits))
        && text.toLowerCase().split(/\s+/).every((word) => words.includes(word));
      row.hidden = !visible;
      section.hidden = !visible;
      count += visible;
      for (const cell of cells) cell.classList.toggle("faded", Boolean(verdict) && cell.dataset.verdict !== verdict);
    }
    for (const group of groups) group.hidden = !group.querySelector("tr.claim:not([hidden])");
    shown.textContent = `${count} of ${rows.length} claims, ${heads.length - away.size} of ${heads.length} models`;
  }

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
})();
