"use strict";
// Curves of one claim: those of all models over one another, with the published ones, drawn when the claim is opened.
window.claimCurves = (() => {
  const WIDE = 560, HIGH = 250, LEFT = 44, BOTTOM = 26, SHOWN = 3;
  const element = (tag, attributes = {}, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const html = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const nice = (value) => String(Number(value.toPrecision(3)));
  const marker = (style, x, y) => [
    () => element("circle", { cx: x, cy: y, r: 3 }),
    () => element("rect", { x: x - 3, y: y - 3, width: 6, height: 6 }),
    () => element("path", { d: `M${x} ${y - 4}L${x + 4} ${y + 3}H${x - 4}Z` }),
  ][style % 3]();

  function panel(name, series, published) {
    const known = [...series.flatMap(({ lines }) => lines), ...published].map(([, layers]) => layers);
    const spans = known.map((layers) => `${Math.min(...layers)} ${Math.max(...layers)}`);
    const relative = new Set(spans).size > 1;  // models of several depths
    const at = (layers) => {
      const low = relative ? Math.min(...layers) : 0, span = relative ? Math.max(...layers) - low || 1 : 1;
      return layers.map((layer) => (layer - low) / span);
    };
    const xs = known.flatMap(at), xLow = Math.min(...xs), xHigh = Math.max(...xs);
    const values = [...series.flatMap(({ lines, marks }) => [...lines.flatMap(([, , ...parts]) => parts.flat()), ...marks.map((mark) => mark[3])]),
      ...published.flatMap(([, , heights]) => heights)].filter((value) => value !== null);
    const share = Math.min(...values) >= 0 && Math.max(...values) <= 1.05;
    const yLow = share ? 0 : Math.min(...values), yHigh = share ? Math.max(1, ...values) : Math.max(...values);
    const x = (value) => LEFT + 8 + (value - xLow) / (xHigh - xLow || 1) * (WIDE - LEFT - 20);
    const y = (value) => HIGH - BOTTOM - 4 - (value - yLow) / (yHigh - yLow || 1) * (HIGH - BOTTOM - 14);
    const path = (layers, heights) => heights.map((value, place) => [at(layers)[place], value]).filter(([, value]) => value !== null)
      .map(([across, value], place) => `${place ? "L" : "M"}${x(across).toFixed(1)} ${y(value).toFixed(1)}`).join("");

    const pick = html("select", {}, html("option", { value: "" }, "all models"), ...series.map(({ label }, number) => html("option", { value: number }, label)));
    const more = html("input", { type: "checkbox" });
    const svg = element("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", class: "curves" });
    const legend = html("ul", { class: "legend" });

    function draw() {
      const chosen = pick.value === "" ? null : series[Number(pick.value)];
      const printed = more.checked ? published : published.slice(0, SHOWN);
      svg.replaceChildren(element("title", {}, `${name}: ${series.map(({ label, lines }) => `${label} ${ends(lines[0])}`).join("; ")}`));
      for (const value of [yLow, (yLow + yHigh) / 2, yHigh]) {
        svg.append(element("line", { x1: LEFT, x2: WIDE - 4, y1: y(value), y2: y(value), class: "grid" }));
        svg.append(element("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, nice(value)));
      }
      const ticks = relative ? [0, 0.25, 0.5, 0.75, 1] : [...new Set(xs)].sort((one, other) => one - other);
      const every = Math.ceil(ticks.length / 13);
      ticks.filter((_, place) => place % every === 0).forEach((value) => svg.append(element("text", { x: x(value), y: HIGH - 12, "text-anchor": "middle" }, nice(value))));
      svg.append(element("text", { x: (WIDE + LEFT) / 2, y: HIGH - 1, "text-anchor": "middle" }, relative ? "relative depth: first block to last" : "block"));
      printed.forEach(([label, layers, heights], style) => {
        const group = element("g", { class: `published dash-${style % 3}` });
        group.append(element("title", {}, `published: ${label}`), element("path", { d: path(layers, heights) }));
        heights.forEach((value, place) => value !== null && group.append(marker(style, x(at(layers)[place]), y(value))));
        svg.append(group);
      });
      for (const one of series) {
        const group = element("g", { class: `ours ${chosen && one !== chosen ? "away" : ""}`, "data-word": one.verdict });
        group.append(element("title", {}, `${one.label}: ${one.verdict}`));
        one.lines.forEach(([, layers, heights, low, high], place) => {
          if (one === chosen && low.length && place === 0) {
            const back = path([...layers].reverse(), [...high].reverse()).replace("M", "L");
            group.append(element("path", { class: "band", d: `${path(layers, low)}${back}Z` }));
          }
          if (place === 0 || one === chosen) group.append(element("path", { d: path(layers, heights), class: place ? "beside" : "" }));
        });
        if (one === chosen) {
          const across = at(one.lines[0][1]);
          for (const [layer, part, direction, bound] of one.marks) {
            const place = one.lines[0][1].indexOf(layer);
            if (place >= 0) svg.append(element("path", { class: `bound ${part}`, d: `M${x(across[place]) - 8} ${y(bound)}h16m-8 0v${direction === ">=" ? -7 : 7}` }));
          }
        }
        svg.append(group);
      }
      legend.replaceChildren(...printed.map(([label], style) => {
        const swatch = element("svg", { viewBox: "0 0 30 10", class: `swatch published dash-${style % 3}`, "aria-hidden": "true" });
        swatch.append(element("path", { d: "M0 5H30" }), marker(style, 15, 5));
        return html("li", {}, swatch, ` published: ${label}`);
      }), html("li", {}, "each model in the colour of its verdict" + (chosen ? "; its band is anytime-valid, block by block; ticks are bounds, pointing to where they hold" : "; choose one for its band and bounds")),
      ...(chosen && chosen.lines.length > 1 ? [html("li", {}, `thin: ${chosen.lines.slice(1).map(([label]) => label).join(", ")}`)] : []),
      ...(chosen && chosen.rests ? [html("li", {}, chosen.rests)] : []));
    }
    function ends([, layers, heights]) {
      const first = heights.find((value) => value !== null), last = heights.findLast((value) => value !== null);
      return first === undefined ? "no values" : `${nice(first)} at block ${layers[0]} to ${nice(last)} at block ${layers.at(-1)}`;
    }
    pick.addEventListener("input", draw);
    more.addEventListener("input", draw);
    draw();
    const tools = html("p", { class: "tools" });
    if (series.length) tools.append(html("label", {}, "Show ", pick), " ");
    if (published.length > SHOWN) tools.append(html("label", {}, more, ` all ${published.length} published curves`));
    return html("figure", { class: "panel wide-panel" }, html("figcaption", {}, html("bdi", {}, name)), tools, svg, legend);
  }

  return (asked, published) => {
    const names = [...new Set([...asked.flatMap(({ curves }) => curves.map((one) => one.name)), ...Object.keys(published)])];
    const panels = names.map((name) => {
      const series = asked.flatMap((one) => one.curves.filter((curve) => curve.name === name)
        .map((curve) => ({ label: one.model.label, verdict: one.verdict, lines: curve.lines, marks: curve.marks, rests: curve.rests })));
      const made = panel(name, series, published[name] || []);
      if (!series.length) made.prepend(html("p", { class: "small" }, "Published, with no measured curve beside it"));
      return made;
    });
    return panels.length ? [html("div", { class: "panels" }, ...panels)] : [];
  };
})();
