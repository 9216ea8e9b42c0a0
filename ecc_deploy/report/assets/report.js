"use strict";
(function () {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = Array.from(document.querySelectorAll(".plot"));
  root.classList.add("js");

  function palette() {
    const style = getComputedStyle(root);
    const names = ["paper", "raised", "ink", "muted", "grid", "strong"];
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
  }

  // Figures name the page's own colours; everything else in them stays as it is.
  function themed(value, colours) {
    if (Array.isArray(value)) return value.map((item) => themed(item, colours));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) =>
      [key, key === "color" && Object.hasOwn(colours, item) ? colours[item] : themed(item, colours)]));
  }

  function layoutOf(figure, colours, width) {
    const given = themed(figure.layout, colours);
    const isNarrow = width < 520, isPrinting = root.classList.contains("print");
    const axis = {
      gridcolor: colours.grid, linecolor: colours.strong, zerolinecolor: colours.strong, tickcolor: colours.strong,
      ticks: "outside", ticklen: 4, title: { standoff: 10, font: { size: 12, color: colours.muted } },
    };
    const merge = (extra) => ({ ...axis, ...extra, title: { ...axis.title, ...((extra || {}).title || {}) } });
    return {
      ...given,
      xaxis: merge(given.xaxis), yaxis: merge(given.yaxis), width,
      height: isPrinting ? Math.min(given.height || 245, 600) : given.height || (isNarrow ? 330 : 390),
      font: { family: getComputedStyle(document.body).fontFamily, size: isNarrow ? 11 : 12, color: colours.ink },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 52, r: 12, t: isPrinting && figure.kind !== "scatter" ? 48 : 10, b: 46 },
      showlegend: figure.kind !== "scatter",
      legend: { orientation: "h", traceorder: "normal", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom", font: { size: 12 }, itemwidth: 30 },
      hoverlabel: { bgcolor: colours.raised, bordercolor: colours.strong, align: "left", font: { color: colours.ink, size: 12 } },
      hovermode: "closest", dragmode: matchMedia("(hover: hover)").matches ? "zoom" : false,
    };
  }

  function meets(a, b) {
    return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
  }

  // Each label takes the first place around its marker that covers no marker, error bar or other label; a label
  // without such a place is left out, and the marker still tells its name when pointed at.
  function placeLabels(plot, figure, colours) {
    const full = plot._fullLayout, xa = full.xaxis, ya = full.yaxis;
    const size = full.font.size - 0.5, height = size + 4;
    const ruler = document.createElement("canvas").getContext("2d");
    ruler.font = size + "px " + full.font.family;
    const at = (x, y) => [xa.d2p(x), ya.d2p(y)];
    const taken = [];
    for (const trace of figure.data) {
      if (trace.mode !== "markers") continue;
      trace.x.forEach((value, i) => {
        const [x, y] = at(value, trace.y[i]);
        taken.push({ x0: x - 7, x1: x + 7, y0: y - 7, y1: y + 7 });
        const top = ya.d2p(trace.y[i] + trace.error_y.array[i]), end = ya.d2p(trace.y[i] - trace.error_y.arrayminus[i]);
        taken.push({ x0: x - 3, x1: x + 3, y0: top, y1: end });
      });
    }
    for (const trace of figure.data) {
      if (trace.mode !== "lines") continue;  // the Pareto front: steps, first across, then up
      for (let i = 1; i < trace.x.length; i++) {
        const [x0, y0] = at(trace.x[i - 1], trace.y[i - 1]), [x1, y1] = at(trace.x[i], trace.y[i]);
        taken.push({ x0, x1, y0: y0 - 1, y1: y0 + 1 }, { x0: x1 - 1, x1: x1 + 1, y0: y1, y1: y0 });
      }
    }
    const annotations = [];
    const order = figure.labels.slice().sort((a, b) => b.weight - a.weight || b.y - a.y);
    for (const label of order) {
      const [x, y] = at(label.x, label.y);
      const text = label.text.replace(/&amp;|&lt;|&gt;/g, "_");
      const width = ruler.measureText(text).width + 4;
      const tries = [];
      for (const [far, ups] of [[0, [0]], [0, [-12, 12]], [8, [-18, 18]], [20, [-28, 28]], [34, [-40, 40]]]) {
        if (tries.length && !label.weight) break;  // references lie close together: beside the marker, or not at all
        for (const up of ups) tries.push([10 + far, up], [-10 - far - width, up]);
      }
      for (const [dx, dy] of tries) {
        const box = { x0: x + dx, x1: x + dx + width, y0: y + dy - height / 2, y1: y + dy + height / 2 };
        const isInside = box.x0 > 0 && box.x1 < xa._length && box.y0 > 0 && box.y1 < ya._length;
        if (!isInside || taken.some((other) => meets(box, other))) continue;
        taken.push(box);
        const isFar = Math.abs(dy) > 14 || Math.abs(dx > 0 ? dx : dx + width) > 14;
        annotations.push({
          x: xa.type === "log" ? Math.log10(label.x) : label.x, y: label.y, text: label.text, showarrow: true,
          ax: dx > 0 ? dx : dx + width, ay: dy, xanchor: dx > 0 ? "left" : "right", yanchor: "middle",
          arrowhead: 0, arrowwidth: isFar ? 0.8 : 0.01, arrowcolor: isFar ? colours.strong : "rgba(0,0,0,0)",
          standoff: 7, borderpad: 1, font: { size, color: label.weight > 1 ? colours.ink : colours.muted }, captureevents: false,
        });
        break;
      }
    }
    return annotations;
  }

  function draw(plot, width) {
    const figure = figures[plot.dataset.figure];
    const colours = palette();
    const layout = layoutOf(figure, colours, width || plot.clientWidth);
    const config = { displaylogo: false, displayModeBar: false, scrollZoom: false, showTips: false };
    Plotly.react(plot, themed(figure.data, colours), layout, config);
    plot.style.minHeight = "0";
    if (!figure.labels.length) return;
    Plotly.relayout(plot, { annotations: placeLabels(plot, figure, colours) });
  }

  function drawAll(width) {
    for (const plot of plots) draw(plot, width && (plot.closest(".pair") ? width / 2 - 20 : width));
  }

  let waiting = 0;
  function later() {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => drawAll());
  }

  function sort(table, heading) {
    const headings = Array.from(heading.parentNode.children);
    const place = headings.indexOf(heading);
    const isAscending = heading.getAttribute("aria-sort") !== "ascending";
    const key = (row) => (row.children[place].dataset.value === "" ? NaN : Number(row.children[place].dataset.value));
    const order = Array.from(table.tBodies[0].rows).sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);  // not measured: last
      return isAscending ? x - y : y - x;
    });
    headings.forEach((other) => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
    table.tBodies[0].append(...order);
  }

  for (const table of document.querySelectorAll(".sortable")) {
    table.tHead.addEventListener("click", (event) => {
      const heading = event.target.closest("th[aria-sort]");
      if (heading) sort(table, heading);
    });
  }

  drawAll();
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; later(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
  addEventListener("beforeprint", () => { root.classList.add("print"); drawAll(1010); });
  addEventListener("afterprint", () => { root.classList.remove("print"); drawAll(); });
})();
