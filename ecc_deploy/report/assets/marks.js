"use strict";
// Pieces that every chart is made of: elements, text, scales, symbols. No state.
const Marks = (function () {
  const SVG = "http://www.w3.org/2000/svg";
  const PAGE_COLOURS = ["paper", "raised", "ink", "muted", "grid", "strong"];
  const DASHES = { solid: "", dash: "7 4", dot: "1.5 4", dashdot: "8 3 1.5 3", longdash: "12 4", longdashdot: "13 3 1.5 3" };
  const polygon = (points) => "M" + points.map((p) => p.map((v) => +v.toFixed(3)).join(",")).join("L") + "Z";
  const ring = (count, turn) => polygon(Array.from({ length: count }, (_, i) => {
    const angle = turn + 2 * Math.PI * i / count, far = count === 3 ? 1.3 : 1.05;  // of about equal area
    return [far * Math.sin(angle), -far * Math.cos(angle)];
  }));
  const star = polygon(Array.from({ length: 10 }, (_, i) => {
    const far = i % 2 ? 0.5 : 1.25, angle = Math.PI * i / 5;
    return [far * Math.sin(angle), -far * Math.cos(angle)];
  }));
  // Outlines around the origin, of about one in radius.
  const SYMBOLS = {
    circle: "M-1,0A1,1 0 1 0 1,0A1,1 0 1 0 -1,0Z", square: "M-.92,-.92H.92V.92H-.92Z", diamond: "M0,-1.3L1.05,0L0,1.3L-1.05,0Z",
    star, "triangle-up": ring(3, 0), "triangle-down": ring(3, Math.PI), "triangle-right": ring(3, Math.PI / 2),
    "triangle-left": ring(3, -Math.PI / 2), pentagon: ring(5, 0), hexagon: ring(6, 0),
    cross: "M-.4,-1H.4V-.4H1V.4H.4V1H-.4V.4H-1V-.4H-.4Z", x: "M-.9,-.9L.9,.9M.9,-.9L-.9,.9", "line-ns": "M0,-1V1",
  };
  const STROKED = ["x", "line-ns"];  // have no inside

  function colour(name) {
    return PAGE_COLOURS.includes(name) ? `var(--${name})` : name;
  }

  function add(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes || {})) if (value !== undefined && value !== "") made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  // The texts of figures know <b>, <br> and escaped <, >, &; all else is text.
  function plain(text) {
    return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  }

  function lines(text) {
    return text.split("<br>").map((line) => plain(line.replace(/<\/?b>/g, "")));
  }

  function rich(parent, text) {
    let into = parent;
    for (const part of text.split(/(<b>|<\/b>|<br>)/)) {
      if (part === "<b>") { into = document.createElement("b"); parent.append(into); }
      else if (part === "</b>") into = parent;
      else if (part === "<br>") parent.append(document.createElement("br"));
      else if (part) into.append(plain(part));
    }
  }

  const ruler = document.createElement("canvas").getContext("2d");
  function widthOf(text, size, weight) {
    ruler.font = `${weight || 400} ${size}px ${getComputedStyle(document.body).fontFamily}`;
    return ruler.measureText(text).width;
  }

  function wrap(text, size, room) {
    const made = [""];
    for (const word of text.split(" ")) {
      const longer = made.at(-1) ? `${made.at(-1)} ${word}` : word;
      if (made.at(-1) && widthOf(longer, size) > room) made.push(word);
      else made[made.length - 1] = longer;
    }
    return made;
  }

  function symbol(parent, name, x, y, size, fill, extra) {
    const [base] = name.split(/-(?:open|dot)/);
    const isOpen = name.includes("-open"), isStroked = STROKED.includes(base);
    const radius = size / 2;
    const line = (extra || {}).line || {};
    const group = add(parent, "g", { class: "marker", transform: `translate(${x.toFixed(2)},${y.toFixed(2)})`, opacity: (extra || {}).opacity });
    const width = isOpen || isStroked ? line.width || 1.6 : line.width || 0;
    add(group, "path", {
      d: SYMBOLS[base] || SYMBOLS.circle, transform: `scale(${radius})`,
      fill: isStroked ? "none" : isOpen ? "var(--paper)" : colour(fill),
      stroke: isOpen || isStroked ? colour(fill) : colour(line.color || "none"), "stroke-width": width / radius, "stroke-linejoin": "round",
    });
    if (name.includes("-dot")) add(group, "circle", { r: 1.6, fill: isOpen ? colour(fill) : "var(--paper)" });
    return group;
  }

  function niceStep(span, wanted) {
    const rough = span / Math.max(wanted, 1), power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 2.5, 5, 10].find((step) => step * power >= rough * 0.999) * power;
  }

  function number(value, digits) {
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
  }

  // An axis of a layout on the pixels from `start` to `end`; `range` is in log10 on a logarithmic one.
  function scale(axis, start, end) {
    const isLog = axis.type === "log";
    const [low, high] = axis.range;
    const inner = (value) => (isLog ? Math.log10(value) : value);
    const at = (value) => start + (inner(value) - low) / (high - low) * (end - start);
    let ticks;
    if (axis.tickvals) ticks = axis.tickvals.map((value, i) => ({ value, text: axis.ticktext[i] }));
    else {
      const step = niceStep(Math.abs(high - low), Math.abs(end - start) / 74);
      const digits = [0, 1, 2, 3, 4, 5, 6].find((count) => Math.abs(step * 10 ** count - Math.round(step * 10 ** count)) < 1e-6) ?? 6;
      ticks = [];
      for (let value = Math.ceil(Math.min(low, high) / step - 1e-9) * step; value <= Math.max(low, high) + step * 1e-6; value += step) {
        ticks.push({ value, text: number(Math.abs(value) < step / 1e6 ? 0 : value, digits) });
      }
    }
    const [from, to] = [Math.min(start, end) - 0.5, Math.max(start, end) + 0.5];
    return { at, ticks: ticks.filter((tick) => at(tick.value) >= from && at(tick.value) <= to), length: Math.abs(end - start) };
  }

  return { add, colour, lines, plain, rich, widthOf, wrap, symbol, scale, DASHES };
})();
