// Draws every figure of a page: reads its option, puts the style sheet's colours and the functions below in place, and
// hands it to ECharts. Draws again when the reader's colour scheme or the width changes.
"use strict";
(() => {
  const PREFIXES = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"],
    [1e-6, "µ"], [1e-9, "n"]];

  const short = (value, unit) => {
    if (value === 0) return unit ? `0 ${unit}` : "0";
    const [factor, prefix] = PREFIXES.find(([f]) => Math.abs(value) >= f * 0.9995) || PREFIXES[PREFIXES.length - 1];
    return `${Number((value / factor).toPrecision(3))} ${prefix}${unit}`.trim();
  };

  const escaped = (text) => String(text).replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);

  // A drawn thing carries its tooltip as rows of words, the first row being its heading.
  const card = (point) => {
    const rows = (point.data && point.data.card) || [];
    const lines = rows.slice(1).map(([name, value]) =>
      `<tr><td>${escaped(name)}</td><td class="n">${escaped(value)}</td></tr>`);
    return rows.length ? `<strong>${escaped(rows[0])}</strong><table>${lines.join("")}</table>` : "";
  };

  const FUNCTIONS = {
    plain: () => (value) => (value < 1e4 ? String(Number(value.toPrecision(3))) : short(value, "")),
    short: (unit) => (value) => short(value, unit),
    percent: () => (value) => `${Math.round(value * 100)}%`,
    card: () => card,
    label: () => (point) => (point.data && point.data.text) || "",
  };

  const resolved = (value, colours) => {
    if (typeof value === "string") {
      return value.replace(/var\((--[a-z0-9-]+)\)/g, (_, name) => colours.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map((entry) => resolved(entry, colours));
    if (value === null || typeof value !== "object") return value;
    if ("$text" in value) return FUNCTIONS[value.$text](value.unit || "");
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, resolved(entry, colours)]));
  };

  const figures = [...document.querySelectorAll("figure")].map((figure) => ({
    place: figure.querySelector(".plot"),
    option: JSON.parse(figure.querySelector("script").textContent),
    chart: null,
  })).filter((figure) => figure.place);

  const draw = () => {
    const colours = getComputedStyle(document.documentElement);
    for (const figure of figures) {
      if (figure.chart) figure.chart.dispose();
      figure.chart = echarts.init(figure.place, null, { renderer: "svg" });
      figure.chart.setOption(resolved(figure.option, colours));
    }
  };

  const fit = () => figures.forEach((figure) => figure.chart.resize());

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", fit);
  addEventListener("beforeprint", fit);
  addEventListener("afterprint", fit);
})();
