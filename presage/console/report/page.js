"use strict";
// Draws the figures in the page's own colours, and again when these change (dark, light, print).
const figures = JSON.parse(document.getElementById("figures").textContent);

function paint(value, ink) {
  if (Array.isArray(value)) return value.map((item) => paint(item, ink));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item, ink)]));
  if (typeof value !== "string" || !/^\$[a-z]/.test(value)) return value;
  const [name, opacity] = value.slice(1).split("/");
  const hex = ink(name);
  if (opacity === undefined) return hex;
  const full = hex.length === 4 ? hex.replace(/[0-9a-f]/gi, "$&$&") : hex;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(full.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue("--" + name).trim();
  for (const holder of document.querySelectorAll(".chart")) {
    const { data, layout } = paint(figures[holder.id], ink);
    const narrow = holder.clientWidth < 480;
    const font = { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 13, color: ink("ink") };
    const lines = { gridcolor: ink("line"), linecolor: ink("line"), zerolinecolor: ink("line"), fixedrange: true };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis/.test(key)) layout[key] = { ...lines, ...layout[key], title: { font: { ...font, color: ink("muted") }, standoff: 8, ...layout[key].title } };
    }
    Plotly.react(holder, data, {
      font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest",
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font },
      hoverlabel: { bgcolor: ink("panel"), bordercolor: ink("line"), font },
      height: Number(holder.dataset.height),
      ...layout,
      margin: { l: 56, r: 16, t: 40, b: 48, ...(layout.margin || {}) },
      annotations: (layout.annotations || []).map((one) => ({ ...one, font: { ...font, size: font.size - 1, color: ink("muted") } })),
    }, { displayModeBar: false, responsive: true });
  }
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  draw();
});
addEventListener("afterprint", draw);
