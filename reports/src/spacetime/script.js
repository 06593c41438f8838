"use strict";
(() => {
  const svg = document.getElementById("diagram");
  const main = document.querySelector("main");
  const tip = document.getElementById("tip");
  const zoom = document.getElementById("zoom");
  const withLabels = document.getElementById("labels");
  const height = Number(svg.getAttribute("height"));
  const number = (element, name) => Number(element.getAttribute(name));
  let factor = 1;

  // Every height as it was drawn; a zoom sets them anew. Shapes and texts keep their size.
  const scaled = [];
  for (const line of svg.querySelectorAll("g:not(.mark) > line")) {
    if (line.closest("defs")) continue;
    const y1 = number(line, "y1"), y2 = number(line, "y2");
    scaled.push(() => { line.setAttribute("y1", y1 * factor); line.setAttribute("y2", y2 * factor); });
  }
  for (const rect of svg.querySelectorAll(".spans rect, .breaks rect")) {
    const y = number(rect, "y"), tall = number(rect, "height");
    scaled.push(() => { rect.setAttribute("y", y * factor); rect.setAttribute("height", tall * factor); });
  }
  for (const text of svg.querySelectorAll(".ticks text, .breaks text, .version")) {
    const y = number(text, "y");
    scaled.push(() => text.setAttribute("y", y * factor));
  }
  for (const moved of svg.querySelectorAll(".mark, .cross")) {
    const [x, y] = moved.getAttribute("transform").match(/[-\d.]+/g).map(Number);
    scaled.push(() => moved.setAttribute("transform", `translate(${x} ${y * factor})`));
  }

  // Titles become the tip: the browser's own come late and would come twice.
  const items = [...svg.querySelectorAll(".item")].map((element) => {
    const title = element.querySelector("title");
    const item = { element, text: title ? title.textContent : "" };
    if (title) title.remove();
    if (element.classList.contains("message")) {
      item.line = element.querySelector("line");
      item.label = element.querySelector(".label");
      item.lane = Number(element.dataset.lane);
    } else if (element.classList.contains("mark")) {
      item.label = element.querySelector(".label");
    } else {
      item.rect = element.querySelector("rect");
    }
    return item;
  });

  const hidden = (element) => [...svg.classList].some((name) =>
    name.startsWith("no-") && element.classList.contains(name.slice(3)));
  const ends = (line) => ["x1", "y1", "x2", "y2"].map((name) => number(line, name));
  const origin = (mark) => mark.getAttribute("transform").match(/[-\d.]+/g).map(Number);

  // Labels go where there is room, the important ones first; the others appear under the pointer.
  const CELL = 40;
  function placeLabels() {
    const cells = new Map();
    const room = (left, top, width, tall) => {
      const keys = [];
      for (let row = Math.floor(top / CELL); row <= Math.floor((top + tall) / CELL); row++) {
        for (const other of cells.get(row) || []) {
          if (left < other.right && other.left < left + width && top < other.bottom && other.top < top + tall) return false;
        }
        keys.push(row);
      }
      const box = { left, top, right: left + width, bottom: top + tall };
      for (const key of keys) cells.has(key) ? cells.get(key).push(box) : cells.set(key, [box]);
      return true;
    };
    const set = (text, fits) => { text.classList.toggle("placed", fits); text.classList.toggle("crowded", !fits); };
    // Break texts come before the ticks' own: where both do not fit, how long it was tells more.
    for (const text of [...svg.querySelectorAll(".breaks text"), ...svg.querySelectorAll(".ticks text")]) {
      set(text, room(0, number(text, "y") - 6, number(text, "x"), 12));
    }
    const marks = items.filter((item) => item.label && !item.line && !hidden(item.element));
    marks.sort((a, b) => b.element.classList.contains("k-violation") - a.element.classList.contains("k-violation"));
    for (const { element, label } of marks) {
      const [x, y] = origin(element);
      const wide = label.textContent.length * 6.2;
      const left = label.classList.contains("left") ? x - 12 - wide : x + 12;
      const top = y + number(label, "dy") - 10;
      const fits = room(left, top, wide, 14);
      set(label, element.classList.contains("k-violation") || (withLabels.checked && fits));
    }
    for (const text of svg.querySelectorAll(".version")) {
      const wide = text.textContent.length * 6;
      set(text, withLabels.checked && room(number(text, "x"), number(text, "y") + 4, wide, 12));
    }
    for (const { element, line, label, lane } of items) {
      if (!line || !label.textContent) continue;
      const [x1, y1, x2, y2] = ends(line);
      const along = x1 === x2 ? 0.5 : Math.min(0.5, lane / 2 / Math.abs(x2 - x1));
      const x = x1 + (x2 - x1) * along, y = y1 + (y2 - y1) * along - 4;
      label.setAttribute("x", x);
      label.setAttribute("y", y);
      const wide = label.textContent.length * 6;
      set(label, withLabels.checked && !hidden(element) && wide < lane * 0.92 && room(x - wide / 2, y - 10, wide, 12));
    }
  }

  function redraw() {
    svg.setAttribute("height", height * factor);
    for (const scale of scaled) scale();
    placeLabels();
  }
  zoom.addEventListener("input", () => {
    const middle = (main.scrollTop + main.clientHeight / 2) / factor;
    factor = 2 ** Number(zoom.value);
    document.getElementById("factor").textContent = `${Math.round(factor * 100)} %`;
    redraw();
    main.scrollTo({ top: middle * factor - main.clientHeight / 2, behavior: "instant" });
  });
  for (const box of document.querySelectorAll("[data-hides]")) {
    const apply = () => svg.classList.toggle(`no-${box.dataset.hides}`, !box.checked);
    box.addEventListener("change", () => { apply(); placeLabels(); });
    apply();
  }
  withLabels.addEventListener("change", placeLabels);

  // What is nearest to the pointer, within a few pixels: marks before messages before spans.
  const REACH = 9;
  function distance(item, x, y) {
    if (item.rect) {
      const left = number(item.rect, "x"), top = number(item.rect, "y");
      const inside = x >= left && x <= left + number(item.rect, "width") && y >= top && y <= top + number(item.rect, "height");
      return inside ? REACH - 1e-3 : Infinity;
    }
    if (!item.line) {
      const [mx, my] = origin(item.element);
      return Math.hypot(x - mx, y - my) - 5;
    }
    const [x1, y1, x2, y2] = ends(item.line);
    const dx = x2 - x1, dy = y2 - y1, long = dx * dx + dy * dy;
    const at = long ? Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / long)) : 0;
    return Math.hypot(x - x1 - at * dx, y - y1 - at * dy);
  }
  let near = null;
  function point(item, event) {
    if (near && near !== item) near.element.classList.remove("near");
    near = item;
    svg.classList.toggle("pointing", Boolean(item && item.line));
    tip.hidden = !item;
    if (!item) return;
    item.element.classList.add("near");
    tip.textContent = item.text;
    const { width, height: tall } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 16, innerWidth - width - 8))}px`;
    tip.style.top = `${Math.max(4, event.clientY + 18 + tall > innerHeight ? event.clientY - tall - 12 : event.clientY + 18)}px`;
  }
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    const x = event.clientX - frame.left, y = event.clientY - frame.top;
    let best = null, least = REACH;
    for (const item of items) {
      if (hidden(item.element)) continue;
      const away = distance(item, x, y);
      if (away < least) { least = away; best = item; }
    }
    point(best, event);
  });
  svg.addEventListener("pointerleave", () => point(null));

  function show(name, behavior) {
    const mark = name && document.getElementById(name);
    if (!mark || !mark.classList.contains("mark")) return false;
    main.scrollTo({ top: origin(mark)[1] - main.clientHeight * 0.45, behavior });
    return true;
  }
  for (const link of document.querySelectorAll(".violations a")) {
    link.addEventListener("click", (event) => {
      if (!show(link.hash.slice(1), "smooth")) return;
      event.preventDefault();
      history.replaceState(null, "", link.hash);
    });
  }
  redraw();
  show(location.hash.slice(1), "instant");
})();
