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
    plot.style.minHeight = "0";
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

  // Of the views, those of the chosen device and link are shown. The address keeps the choice, so that it can be sent.
  const controls = document.getElementById("controls");
  if (controls) {
    const views = Array.from(document.querySelectorAll(".view"));
    const inputs = (name) => Array.from(controls.querySelectorAll(`input[name=${name}]`));
    const only = { device: inputs("device").length ? null : "0", link: inputs("link").length ? null : "all" };
    const chosen = (name) => only[name] ?? inputs(name).find((input) => input.checked).value;
    const fits = (value, wanted) => value === "" || value === wanted;

    const show = () => {
      const device = chosen("device");
      for (const input of inputs("link")) input.disabled = !input.dataset.devices.split(" ").includes(device);
      const current = inputs("link").find((input) => input.checked);
      if (current && current.disabled) inputs("link").find((input) => !input.disabled).checked = true;
      const link = chosen("link");
      for (const view of views) view.hidden = !(fits(view.dataset.device, device) && fits(view.dataset.link, link));
      const names = ["device", "link"].map((name) => inputs(name).find((input) => input.checked)).filter(Boolean);
      document.getElementById("shown").textContent = `Shown: ${names.map((input) => input.parentNode.textContent.trim()).join(", ")}`;
      return `#device=${device}&link=${link}`;
    };

    const take = () => {
      const wanted = new URLSearchParams(location.hash.slice(1));
      for (const name of ["device", "link"]) {
        const input = inputs(name).find((one) => one.value === wanted.get(name));
        if (input) input.checked = true;
      }
      show();
    };

    controls.addEventListener("change", () => history.replaceState(null, "", show()));
    controls.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", () => { take(); scrollTo(0, 0); });
    take();
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
