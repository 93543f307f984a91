"use strict";
(() => {
  const points = JSON.parse(document.getElementById("points-data").textContent);
  const marks = new Map();
  for (const mark of document.querySelectorAll("[data-i]")) {
    const k = Number(mark.dataset.i);
    if (!marks.has(k)) marks.set(k, []);
    marks.get(k).push(mark);
  }

  // what a figure shows
  for (const figure of document.querySelectorAll("figure[data-figure]")) {
    figure.addEventListener("change", () => {
      const chosen = [...figure.querySelectorAll("input:checked")].map((input) => input.value);
      for (const view of figure.querySelectorAll("[data-view]")) {
        view.hidden = view.dataset.view !== chosen.join("|");
      }
    });
  }

  // what a point is, and where else it stands
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let lit = null;
  let held = false;
  const light = (k) => {
    if (lit === k) return;
    for (const mark of marks.get(lit) ?? []) mark.classList.remove("on");
    for (const mark of marks.get(k) ?? []) mark.classList.add("on");
    lit = k;
    tip.hidden = k === null;
    if (k === null) return;
    const grid = document.createElement("div");
    points.rows[k].forEach((cell, column) => {
      if (cell === "" || cell === "-") return;
      for (const text of [points.names[column], cell]) {
        const span = document.createElement("span");
        span.textContent = text;
        grid.append(span);
      }
    });
    tip.replaceChildren(grid);
  };
  const put = (event) => {
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 16
      : event.clientX + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 12, innerHeight - box.height - 8))}px`;
  };
  const pointAt = (event) => {
    const mark = event.target.closest?.("[data-i]");
    return mark ? Number(mark.dataset.i) : null;
  };
  document.addEventListener("pointermove", (event) => {
    if (held) return;
    light(pointAt(event));
    if (lit !== null) put(event);
  });
  document.addEventListener("click", (event) => {
    const k = pointAt(event);
    held = k !== null;
    light(k);
    if (held) put(event);
  });

  // parts of axes that are kept
  const kept = new Map();
  const heights = new Map();
  const threads = document.querySelectorAll(".thread");
  for (const thread of threads) {
    heights.set(thread, thread.getAttribute("points").split(" ").map((p) => Number(p.split(",")[1])));
  }
  const sift = () => {
    for (const thread of threads) {
      const ys = heights.get(thread);
      const inside = [...kept].every(([axis, [low, high]]) => ys[axis] >= low && ys[axis] <= high);
      for (const mark of marks.get(Number(thread.dataset.i))) mark.classList.toggle("off", !inside);
    }
  };
  for (const hit of document.querySelectorAll(".hit")) {
    const axis = Number(hit.dataset.axis);
    const brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    brush.setAttribute("class", "brush");
    brush.setAttribute("x", hit.getAttribute("x"));
    brush.setAttribute("width", hit.getAttribute("width"));
    let start = null;
    const height = (event) =>
      new DOMPoint(event.clientX, event.clientY).matrixTransform(hit.getScreenCTM().inverse()).y;
    const keep = (low, high) => {
      if (high - low < 4) {
        kept.delete(axis);
        brush.remove();
      } else {
        kept.set(axis, [low, high]);
        brush.setAttribute("y", low);
        brush.setAttribute("height", high - low);
        hit.before(brush);
      }
      sift();
    };
    hit.addEventListener("pointerdown", (event) => {
      hit.setPointerCapture(event.pointerId);
      start = height(event);
    });
    hit.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const end = height(event);
      keep(Math.min(start, end), Math.max(start, end));
    });
    hit.addEventListener("pointerup", (event) => {
      const end = height(event);
      keep(Math.min(start, end), Math.max(start, end));
      start = null;
    });
  }
  document.documentElement.dataset.plots = "drawn";
})();
