"use strict";
// Labels beside markers, where they cover nothing; and what a marker says when it is pointed at or touched.
const Labels = (function () {
  const { add, lines, rich, widthOf } = Marks;

  function meets(a, b) {
    return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
  }

  // Boxes of markers with their error bars, and of the steps of Pareto fronts.
  function covered(figure, x, y) {
    const taken = [];
    for (const trace of figure.data) {
      if (trace.type !== "scatter") continue;
      const at = (i) => [x.at(trace.x[i]), y.at(trace.y[i])];
      const known = trace.x.map((value, i) => i).filter((i) => trace.x[i] !== null && trace.y[i] !== null);
      if (trace.mode.includes("markers")) {
        for (const i of known) {
          const [px, py] = at(i);
          if (!Number.isFinite(px)) continue;
          taken.push({ x0: px - 7, x1: px + 7, y0: py - 7, y1: py + 7 });
          const bar = trace.error_y;
          if (bar && bar.array[i] !== null) taken.push({ x0: px - 3, x1: px + 3, y0: y.at(trace.y[i] + bar.array[i]), y1: y.at(trace.y[i] - bar.arrayminus[i]) });
        }
      }
      if (trace.mode === "lines" && trace.line.shape === "hv") {  // first across, then up
        for (let i = 1; i < trace.x.length; i++) {
          const [[x0, y0], [x1, y1]] = [at(i - 1), at(i)];
          taken.push({ x0, x1, y0: y0 - 1, y1: y0 + 1 }, { x0: x1 - 1, x1: x1 + 1, y0: y1, y1: y0 });
        }
      }
    }
    return taken;
  }

  // Each label takes the first place around its marker that covers no marker, error bar or other label; a label
  // without such a place is left out, and the marker still tells its name when pointed at.
  function place(svg, figure, box, x, y) {
    const size = box.size - 0.5, height = size + 4;
    const taken = covered(figure, x, y);
    const order = figure.labels.slice().sort((a, b) => b.weight - a.weight || b.y - a.y);
    for (const label of order) {
      const [px, py] = [x.at(label.x), y.at(label.y)];
      const text = lines(label.text)[0], width = widthOf(text, size) + 4;
      const tries = [];
      for (const [far, ups] of [[0, [0]], [0, [-12, 12]], [8, [-18, 18]], [20, [-28, 28]], [34, [-40, 40]]]) {
        if (tries.length && !label.weight) break;  // references lie close together: beside the marker, or not at all
        for (const up of ups) tries.push([10 + far, up], [-10 - far - width, up]);
      }
      for (const [dx, dy] of tries) {
        const own = { x0: px + dx, x1: px + dx + width, y0: py + dy - height / 2, y1: py + dy + height / 2 };
        const isInside = own.x0 > box.left && own.x1 < box.width && own.y0 > box.top && own.y1 < box.height - box.bottom;
        if (!isInside || taken.some((other) => meets(own, other))) continue;
        taken.push(own);
        const near = dx > 0 ? dx : dx + width;
        if (Math.abs(dy) > 14 || Math.abs(near) > 14) {
          const share = 7 / Math.hypot(near, dy);
          add(svg, "path", { class: "leader", d: `M${px + near * share},${py + dy * share}L${px + near},${py + dy}` });
        }
        add(svg, "text", { x: px + near, y: py + dy + size * 0.35, "font-size": size, "text-anchor": dx > 0 ? "start" : "end",
          class: label.weight > 1 ? "label lead" : "label" }, text);
        break;
      }
    }
  }

  let tip = null;
  function hide() {
    if (tip) tip.hidden = true;
  }

  function point(plot, svg, points, box) {
    if (!points.length) return;
    const nearest = (px, py) => {
      const inside = points.find((one) => one.x0 !== undefined && px >= one.x0 && px <= one.x1 && py >= one.y0 && py <= one.y1);
      if (inside) return inside;
      const far = (one) => (one.x0 === undefined ? Math.hypot(one.x - px, one.y - py) : Infinity);
      const best = points.reduce((a, b) => (far(b) < far(a) ? b : a));
      return far(best) < 26 ? best : null;
    };
    const show = (event) => {
      const frame = svg.getBoundingClientRect();
      const found = nearest(event.clientX - frame.left, event.clientY - frame.top);
      if (!found) return hide();
      if (!tip) {
        tip = document.createElement("div");
        tip.className = "tip";
        document.body.append(tip);
      }
      tip.replaceChildren();
      rich(tip, found.text);
      tip.hidden = false;
      const left = Math.min(frame.left + found.x + 12, document.documentElement.clientWidth - tip.offsetWidth - 6);
      const above = frame.top + found.y - tip.offsetHeight - 12;
      tip.style.left = `${Math.max(6, left) + scrollX}px`;
      tip.style.top = `${(above > 6 ? above : frame.top + found.y + 14) + scrollY}px`;
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  }

  addEventListener("scroll", hide, { passive: true });
  return { place, point };
})();
