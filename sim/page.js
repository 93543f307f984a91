"use strict";
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "svg" },
  };
  const drawn = [];
  for (const figure of document.querySelectorAll("figure[data-plot]")) {
    const views = plots[figure.dataset.plot];
    const plot = figure.querySelector(".plot");
    const draw = () => {
      const chosen = [...figure.querySelectorAll("input:checked")].map((input) => input.value);
      const view = structuredClone(views[chosen.join("|")]);
      return Plotly.react(plot, view.data, view.layout, config);
    };
    figure.addEventListener("change", draw);
    drawn.push(draw());
  }
  const width = (pixels) => {
    for (const plot of document.querySelectorAll(".plot")) {
      Plotly.relayout(plot, pixels ? { width: pixels } : { width: null, autosize: true });
    }
  };
  addEventListener("beforeprint", () => width(680));
  addEventListener("afterprint", () => width(null));
  Promise.all(drawn).then(() => {
    document.documentElement.dataset.plots = "drawn";
  });
})();
