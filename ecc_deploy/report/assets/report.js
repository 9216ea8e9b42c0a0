"use strict";
(function () {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = Array.from(document.querySelectorAll(".plot"));
  root.classList.add("js");

  // A plot is drawn as wide as its place, when that is known: one in a part that is not shown has no place yet.
  function draw(plot, width) {
    const figure = figures[plot.dataset.figure];
    if (!figure || width < 60 || plot.dataset.drawn === String(width)) return;
    plot.dataset.drawn = String(width);
    Chart.draw(plot, figure, width);
  }

  const watch = new ResizeObserver((seen) => {
    for (const { target } of seen) draw(target, Math.floor(target.clientWidth));
  });
  plots.forEach((plot) => watch.observe(plot));

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

  addEventListener("beforeprint", () => {
    root.classList.add("print");
    for (const plot of plots) draw(plot, plot.closest(".pair") ? 480 : 1010);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("print");
    for (const plot of plots) draw(plot, Math.floor(plot.clientWidth));
  });
})();
