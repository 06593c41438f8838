"use strict";
(() => {
  // Numbers as the page itself shows them: three digits that matter, and the unit that suits them.
  const digits = (value) => {
    const size = Math.abs(value);
    const decimals = Number.isInteger(value) || size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.1 ? 2 : 4;
    const text = value.toFixed(decimals);
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  };
  const scaled = (value, names, space) => {
    let at = 0;
    while (Math.abs(value) >= 999.5 && at + 1 < names.length) { value /= 1000; at += 1; }
    return digits(value) + (names[at] ? space + names[at] : "");
  };
  const us = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0 µs";
    if (size < 1) return digits(value * 1e3) + " ns";
    if (size < 999.5) return digits(value) + " µs";
    if (size < 999.5e3) return digits(value / 1e3) + " ms";
    return digits(value / 1e6) + " s";
  };
  const count = (value) =>
    Number.isInteger(value) && Math.abs(value) < 10000 ? value.toLocaleString("en-US") : scaled(value, ["", "k", "M", "G", "T"], "");
  const bytes = (value) => scaled(value, ["B", "kB", "MB", "GB", "TB"], " ");
  const show = {
    "percent": (value) => (Math.floor(value * 100 + 1e-6) / 100) + " %",
    "count": count,
    "per-second": (value) => count(value) + "/s",
    "us": us,
    "s": (value) => value.toFixed(2) + " s",
    "bytes": bytes,
    "bytes-per-second": (value) => bytes(value) + "/s",
  };

  // Readings under the pointer.
  const tip = document.getElementById("tip");
  const charts = new Map();
  const know = (list) => {
    charts.clear();
    for (const chart of list) charts.set(chart.id, chart);
  };
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const nearest = (xs, wanted, holds) => {
    let low = 0, high = xs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (xs[middle] <= wanted) low = middle; else high = middle - 1;
    }
    // Steps hold until the next point; elsewhere the nearer of two points is meant.
    if (!holds && low + 1 < xs.length && xs[low + 1] - wanted < wanted - xs[low]) low += 1;
    return low;
  };
  // What has been made ready is not made ready again.
  const ready = new WeakSet();
  const fresh = (things) => [...things].filter((thing) => !ready.has(thing) && ready.add(thing));
  const readings = (plot) => {
    const { id } = plot.closest("figure");
    let cursor = null;
    const leave = () => {
      tip.hidden = true;
      if (cursor) { cursor.remove(); cursor = null; }
    };
    plot.addEventListener("pointermove", (event) => {
      const chart = charts.get(id);
      if (!chart || chart.lines.length === 0) return leave();
      const overTime = chart.x === "s";
      const box = plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const x = chart.log
        ? chart.low * Math.pow(chart.high / chart.low, share)
        : chart.low + share * (chart.high - chart.low);
      const rows = element("table");
      for (const line of chart.lines) {
        const xs = line.xs || chart.xs;
        if (xs.length === 0) continue;
        const value = line.ys[nearest(xs, x, overTime)];
        const row = rows.insertRow();
        const name = row.insertCell();
        const named = element("span", undefined, line.class);
        named.append(element("span", undefined, "swatch"), line.name);
        name.append(named);
        row.insertCell().textContent = value === null || value === undefined ? "–" : show[chart.unit](value);
      }
      tip.replaceChildren();
      if (overTime) tip.append(element("b", show.s(x)));
      tip.append(rows);
      tip.hidden = false;
      const width = tip.offsetWidth, height = tip.offsetHeight;
      tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 6)) + "px";
      tip.style.top = (event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18) + "px";
      if (!cursor) { cursor = element("div", undefined, "cursor"); plot.append(cursor); }
      cursor.style.left = share * 100 + "%";
    });
    plot.addEventListener("pointerleave", leave);
    plot.addEventListener("pointercancel", leave);
  };

  // Tables sorted by a click on a heading.
  const sorting = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, at) => {
      if (!head.textContent) return;
      const button = element("button", head.textContent);
      button.type = "button";
      button.title = "Sort by " + head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const body = table.tBodies[0];
        const rows = [...body.rows];
        const numeric = rows.some((row) => row.cells[at].dataset.sort !== undefined);
        const rising = head.getAttribute("aria-sort") === (numeric ? "descending" : null);
        const key = (row) => {
          const cell = row.cells[at];
          return numeric ? Number(cell.dataset.sort ?? Number.NEGATIVE_INFINITY) : cell.textContent;
        };
        const compare = (a, b) => numeric ? key(a) - key(b) : key(a).localeCompare(key(b), "en", { numeric: true });
        rows.sort((a, b) => rising ? compare(a, b) : compare(b, a));
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        body.append(...rows);
      });
    });
  };

  // Commands that can be copied.
  const copy = async (text) => {
    if (navigator.clipboard) {
      try { await navigator.clipboard.writeText(text); return true; } catch { /* next way */ }
    }
    const area = element("textarea", text);
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  };
  const copying = (command) => {
    const button = element("button", "copy");
    button.type = "button";
    button.setAttribute("aria-label", "Copy the command");
    button.addEventListener("click", async () => {
      button.textContent = (await copy(command.querySelector("code").textContent)) ? "copied" : "select it";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    command.append(button);
  };

  // A link to a case opens it, and so does printing.
  const open = () => {
    const wanted = document.getElementById(location.hash.slice(1));
    if (wanted && wanted.tagName === "DETAILS") wanted.open = true;
  };
  addEventListener("hashchange", open);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
  });
  // The page as it came, and as it is renewed while a run goes on.
  const start = (list) => {
    know(list);
    fresh(document.querySelectorAll("figure.chart .plot")).forEach(readings);
    fresh(document.querySelectorAll(".table table")).forEach(sorting);
    fresh(document.querySelectorAll(".command")).forEach(copying);
  };
  document.addEventListener("renewed", (event) => start(event.detail));
  start(JSON.parse(document.getElementById("data").textContent));
  open();
})();
