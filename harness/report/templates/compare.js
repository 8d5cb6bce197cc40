"use strict";
// Two models side by side: the claims that they decide differently first, then what only one of them could be asked.
window.claimPairs = ({ data, read, make, table, verdict, link }) => {
  const DECIDED = ["supported", "refuted", "vacuous"];
  const kind = ([one, other]) => {
    if (one && other && DECIDED.includes(one.verdict) && DECIDED.includes(other.verdict)) return one.verdict === other.verdict ? "alike" : "flip";
    const asked = [one, other].filter((each) => each && each.verdict !== "not applicable").length;
    return ["neither", "one alone", "undecided"][asked];
  };
  const cell = (one) => one ? [verdict(one.verdict), ...(one.verdict === "not applicable" ? [make("small", {}, one.reason)]
    : [make("span", { class: "nowrap" }, ` ${one.effect} ${one.interval}`)])] : "not run";
  return (form, box) => {
    const chosen = [form.elements.first, form.elements.second].map((select) => select.value);
    if (chosen.includes("") || chosen[0] === chosen[1]) return box.replaceChildren();
    const pairs = data.claims.map((claim, number) => chosen.map((column) => {
      const row = data.results.find((each) => each[0] === number && each[1] === Number(column));
      return row && read(row);
    })).map((pair) => ({ pair, kind: kind(pair), one: pair[0] || pair[1] })).filter(({ one }) => one);
    const order = ["flip", "undecided", "one alone", "alike"];
    const shown = pairs.filter((each) => order.includes(each.kind)).sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
    const count = (word) => pairs.filter((each) => each.kind === word).length;
    const labels = chosen.map((column) => data.columns[column].label);
    box.replaceChildren(
      make("p", {}, `Verdicts that flip: ${count("flip")}; alike: ${count("alike")}; not decided on both: ${count("undecided")}; asked of one alone: ${count("one alone")}; of neither: ${count("neither")}.`),
      table(["claim", ...labels.map((label, at) => label === labels[1 - at] ? `${label} (${at + 1})` : label), "what is compared"], shown.map(({ pair, kind: word, one }) => ({
        id: `pair-${one.claim.place}`, cells: [make("span", {}, link(pair.find((each) => each?.verdict !== "not applicable").place, one.claim.id), word === "flip" ? " flips" : ""), cell(pair[0]), cell(pair[1]),
          make("bdi", {}, pair.find((each) => each?.words)?.words || "")],
      }))));
    return undefined;
  };
};
