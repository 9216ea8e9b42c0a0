"use strict";
// Draws figures as SVG. A figure is plain data in a small part of plotly's vocabulary: traces of the types scatter,
// bar (lying, stacked) and box (lying), and a layout of two axes and vertical lines. Colours may be names of the page's own.
const Chart = (function () {
  const { add, colour, lines, rich, widthOf, wrap, symbol, scale, DASHES } = Marks;
  const GAP = 0.65;  // height of a bar, of the distance between two

  function sizes(figure, width) {
    const isNarrow = width < 520;
    const size = isNarrow ? 11 : 12;
    const axis = figure.layout.yaxis;
    const names = axis.automargin ? axis.ticktext.flatMap(lines) : [];
    const longest = Math.max(0, ...names.map((name) => widthOf(name, size)));
    const left = axis.automargin ? Math.min(longest + 10, width * 0.46) : isNarrow ? 38 : 46;
    const title = wrap(figure.layout.xaxis.title.text, size, width - left - 8);
    const top = axis.title ? 24 : 6;
    return { width, size, left, top, title, right: 12,
      bottom: 24 + title.length * (size + 4), height: figure.layout.height || (isNarrow ? 330 : 390) };
  }

  // Of the sums of stacked bars and of all points, where the figure does not say.
  function withRange(axis, figure) {
    if (axis.range) return axis;
    const sums = new Map();
    let most = 0;
    for (const trace of figure.data) {
      if (trace.type === "bar") trace.x.forEach((x, i) => sums.set(trace.y[i], (sums.get(trace.y[i]) || 0) + x));
      else if (trace.type === "scatter") most = Math.max(most, ...trace.x.filter(Number.isFinite));
    }
    return { ...axis, range: [0, Math.max(most, ...sums.values(), 1e-9) * (figure.layout.headroom || 1.05)] };
  }

  function axes(svg, figure, box, x, y) {
    const bottom = box.height - box.bottom, end = box.width - box.right;
    const grid = add(svg, "g", { class: "grid" }), text = add(svg, "g", { class: "ticks", "font-size": box.size });
    let free = -Infinity;
    for (const tick of x.ticks) {
      const at = x.at(tick.value), half = widthOf(tick.text, box.size) / 2;
      add(grid, "line", { x1: at, x2: at, y1: box.top, y2: bottom });
      if (at - half < free) continue;  // no room beside the one before
      free = at + half + 5;
      add(text, "text", { x: at, y: bottom + box.size + 5, "text-anchor": "middle" }, tick.text);
    }
    const hasNames = figure.layout.yaxis.automargin;
    let last = Infinity;
    for (const tick of y.ticks) {
      const at = y.at(tick.value);
      if (!hasNames && last - at < box.size + 2) continue;  // no room above the one before
      last = at;
      if (figure.layout.yaxis.showgrid !== false) add(grid, "line", { x1: box.left, x2: end, y1: at, y2: at });
      const parts = hasNames ? lines(tick.text) : [tick.text];
      parts.forEach((part, i) => add(text, "text", {
        x: box.left - 8, y: at + box.size * (0.36 + 1.15 * (i - (parts.length - 1) / 2)), "text-anchor": "end",
        class: hasNames && i === 0 ? "name" : "",
        textLength: widthOf(part, box.size) > box.left - 8 ? box.left - 10 : undefined, lengthAdjust: "spacingAndGlyphs",
      }, part));
    }
    add(svg, "path", { class: "axis", d: `M${box.left},${box.top}V${bottom}H${end}` });
    box.title.forEach((part, i) => add(text, "text", {
      x: (box.left + end) / 2, y: bottom + 24 + (i + 0.6) * (box.size + 4), "text-anchor": "middle", class: "title",
    }, part));
    const title = figure.layout.yaxis.title;
    if (title) add(text, "text", { x: 0, y: box.size, class: "title" }, title.text);
    for (const shape of figure.layout.shapes || []) {
      add(svg, "line", { x1: x.at(shape.x0), x2: x.at(shape.x1), y1: box.top, y2: bottom, stroke: colour(shape.line.color),
        "stroke-dasharray": DASHES[shape.line.dash] || undefined });
    }
  }

  function path(trace, x, y) {
    let drawn = "", before = null;
    trace.x.forEach((value, i) => {
      const [px, py] = value === null || trace.y[i] === null ? [NaN, NaN] : [x.at(value), y.at(trace.y[i])];
      if (!Number.isFinite(px) || !Number.isFinite(py)) { before = null; return; }  // zero has no place on a logarithmic axis
      const [h, v] = [px.toFixed(2), py.toFixed(2)];
      drawn += before === null ? `M${h},${v}` : (trace.line.shape === "hv" ? `H${h}V${v}` : `L${h},${v}`);
      before = px;
    });
    return drawn;
  }

  function errors(layer, trace, x, y) {
    const stroke = { stroke: colour((trace.error_y || trace.error_x).color), "stroke-width": 1.3, fill: "none" };
    trace.x.forEach((value, i) => {
      const bar = trace.error_y || trace.error_x, along = trace.error_y ? trace.y[i] : value;
      if (value === null || along === null || bar.array[i] === null || bar.arrayminus[i] === null) return;
      const across = trace.error_y ? x.at(value) : y.at(trace.y[i]), axis = trace.error_y ? y : x;
      const [from, to] = [axis.at(along - bar.arrayminus[i]), axis.at(along + bar.array[i])];
      if (!Number.isFinite(from) || !Number.isFinite(to)) return;
      add(layer, "path", { ...stroke, class: "error", d: trace.error_y
        ? `M${across - 3},${from}h6M${across},${from}V${to}M${across - 3},${to}h6`
        : `M${from},${across - 3}v6M${from},${across}H${to}M${to},${across - 3}v6` });
    });
  }

  // Three significant digits; what is said of hundreds of points is said once.
  function filled(template, x, y) {
    const text = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: Math.abs(value) < 1000 ? 3 : 21, maximumFractionDigits: 6 });
    return template.replace("%{x}", () => text(x)).replace("%{y}", () => text(y));
  }

  const item = (list, i) => (Array.isArray(list) ? list[i] : list);

  function scatter(layers, trace, x, y, points) {
    if (trace.mode.includes("lines")) {
      add(layers.clipped, "path", { class: "line", opacity: trace.line.opacity, d: path(trace, x, y), fill: "none", stroke: colour(trace.line.color), "stroke-width": trace.line.width || 2,
        "stroke-dasharray": DASHES[trace.line.dash] || undefined, "stroke-linejoin": "round" });
    }
    if (trace.error_y || trace.error_x) errors(layers.top, trace, x, y);
    trace.x.forEach((value, i) => {
      if (value === null || trace.y[i] === null) return;
      const [px, py] = [x.at(value), y.at(trace.y[i])];
      if (!Number.isFinite(px) || !Number.isFinite(py)) return;
      const size = trace.mode.includes("markers") ? item(trace.marker.size, i) : 0;
      if (size && item(trace.marker.opacity, i) !== 0) symbol(layers.top, item(trace.marker.symbol, i) || "circle", px, py, size, trace.marker.color, { line: trace.marker.line });
      if (trace.text) {
        const text = lines(trace.text[i])[0], isInside = px + 9 + widthOf(text, 11) < layers.width;
        add(layers.top, "text", { x: isInside ? px + 9 : layers.width - 1, y: py + 4, class: "value", "font-size": 11, "text-anchor": isInside ? "start" : "end" }, text);
      }
      const text = trace.hovertext ? trace.hovertext[i] : trace.hovertemplate && filled(trace.hovertemplate, value, trace.y[i]);
      if (text) points.push({ x: px, y: py, text });
    });
  }

  function bars(layers, trace, x, y, points, stacked) {
    trace.x.forEach((value, i) => {
      const place = trace.y[i], from = stacked.get(place) || 0;
      stacked.set(place, from + value);
      const half = Math.abs(y.at(1) - y.at(0)) * (trace.width || GAP) / 2, middle = y.at(place);
      const [left, right] = [x.at(from), x.at(from + value)];
      if (value > 0) {
        add(layers.clipped, "rect", { class: "bar-part", x: left, y: middle - half, width: Math.max(right - left, 0), height: 2 * half, fill: colour(trace.marker.color),
          "fill-opacity": trace.marker.opacity, stroke: "var(--paper)", "stroke-width": 0.8 });
        points.push({ x0: left, x1: right, y0: middle - half, y1: middle + half, x: (left + right) / 2, y: middle, text: trace.hovertext[i] });
      }
    });
  }

  function boxes(layers, trace, x, y) {
    const middle = y.at(trace.y[0]), half = Math.abs(y.at(1) - y.at(0)) * trace.width / 2;
    const [low, q1, median, q3, high] = ["lowerfence", "q1", "median", "q3", "upperfence"].map((name) => x.at(trace[name][0]));
    const line = { stroke: colour(trace.line.color), "stroke-width": trace.line.width };
    add(layers.clipped, "path", { ...line, d: `M${low},${middle}H${q1}M${q3},${middle}H${high}M${low},${middle - half / 2}v${half}M${high},${middle - half / 2}v${half}` });
    add(layers.clipped, "rect", { ...line, class: "box", x: q1, y: middle - half, width: Math.max(q3 - q1, 1), height: 2 * half, fill: trace.fillcolor });
    add(layers.clipped, "path", { ...line, "stroke-width": 2.4, d: `M${median},${middle - half}v${2 * half}` });
  }

  // Which colour, dash and marker means what: HTML above the drawing.
  function legend(figure) {
    const list = document.createElement("ul");
    list.className = "key";
    const seen = new Set();
    for (const trace of figure.data) {
      if (trace.showlegend === false || trace.type === "box" || !trace.name || seen.has(trace.name)) continue;
      seen.add(trace.name);
      const line = document.createElement("li"), isBar = trace.type === "bar";
      const swatch = add(null, "svg", { width: isBar ? 12 : 26, height: 12, "aria-hidden": "true" });
      if (isBar) add(swatch, "rect", { width: 12, height: 12, rx: 2, fill: colour(trace.marker.color), "fill-opacity": trace.marker.opacity });
      else if (trace.mode.includes("lines")) {
        add(swatch, "path", { d: "M0,6H26", stroke: colour(trace.line.color), "stroke-width": trace.line.width || 2, "stroke-dasharray": DASHES[trace.line.dash] || undefined });
      }
      if (!isBar && trace.mode.includes("markers")) {
        const size = Math.min(11, Array.isArray(trace.marker.size) ? Math.max(...trace.marker.size) : trace.marker.size);
        symbol(swatch, item(trace.marker.symbol, 0) || "circle", 13, 6, size, trace.marker.color, { line: trace.marker.line });
      }
      line.append(swatch);
      rich(line, trace.name);
      list.append(line);
    }
    return list;
  }

  function draw(plot, figure, width) {
    const box = sizes(figure, width);
    const x = scale(withRange(figure.layout.xaxis, figure), box.left, box.width - box.right);
    const y = scale(figure.layout.yaxis, box.height - box.bottom, box.top);
    const svg = add(null, "svg", { width, height: box.height, viewBox: `0 0 ${width} ${box.height}`, "aria-hidden": "true" });
    axes(svg, figure, box, x, y);
    // An inner svg cuts off what lies outside of the axes; markers lie above it, whole.
    const inner = [box.left, box.top, box.width - box.left - box.right, box.height - box.top - box.bottom];
    const clipped = add(svg, "svg", { x: inner[0], y: inner[1], width: inner[2], height: inner[3], viewBox: inner.join(" "), overflow: "hidden" });
    const layers = { clipped, top: add(svg, "g", {}), width }, points = [], stacked = new Map();
    for (const trace of figure.data) {
      if (trace.type === "bar") bars(layers, trace, x, y, points, stacked);
      else if (trace.type === "box") boxes(layers, trace, x, y);
      else scatter(layers, trace, x, y, points);
    }
    Labels.place(svg, figure, box, x, y);
    plot.replaceChildren(...(figure.kind === "scatter" || figure.layout.showlegend === false ? [] : [legend(figure)]), svg);
    Labels.point(plot, svg, points, box);
  }

  return { draw };
})();
