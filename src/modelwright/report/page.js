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
    percent: () => (value) => `${Number((value * 100).toFixed(1))}%`,
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

  // Words beside points: each goes where it covers the least points and lines, and no other words; where there is no such
  // place it is left out, and the point's card tells it.
  const SIDES = [[1, 1], [-1, -1], [1, -1], [-1, 1], [1, 0], [-1, 0], [0, -1], [0, 1]];
  const LINE = 15, GAP = 4;
  const pen = document.createElement("canvas").getContext("2d");

  const settle = (chart, option) => {
    const words = [], points = [], frame = chart.getDom().getBoundingClientRect();
    option.series.forEach((series, seriesIndex) => {
      const places = series.data.filter((point) => point && Array.isArray(point.value)).map((point) => {
        const [x, y] = chart.convertToPixel({ seriesIndex }, point.value);
        if (point.beside) words.push({ point, x, y, reach: series.symbolSize / 2 + GAP });
        return point.beside ? { x, y, weight: 400, room: 9 } : { x, y, weight: 40, room: 3 };
      });
      points.push(...places);
      for (let i = 1; series.type === "line" && i < places.length; i += 1) {
        const from = places[i - 1], to = places[i], steps = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 8);
        for (let k = 1; k < steps; k += 1) {
          const part = k / steps, y = series.step ? from.y : from.y + part * (to.y - from.y);
          points.push({ x: from.x + part * (to.x - from.x), y, weight: 10, room: 1 });
        }
      }
    });
    if (!words.length) return;
    const left = chart.convertToPixel({ xAxisIndex: 0 }, option.xAxis.min);
    const [bottom, top] = [option.yAxis.min, option.yAxis.max].map((end) => chart.convertToPixel({ yAxisIndex: 0 }, end));
    pen.font = `12px ${option.textStyle.fontFamily}`;
    const taken = [];
    for (const { point, x, y, reach } of words.reverse()) {
      const width = pen.measureText(point.text).width;
      const choices = [1, 2, 3].flatMap((far) => SIDES.map(([across, down]) => {
        const x0 = x + across * reach - (across < 0 ? width : across > 0 ? 0 : width / 2);
        const y0 = y + down * far * (across ? 9 : reach + LINE / 2) - LINE / 2, x1 = x0 + width, y1 = y0 + LINE;
        const outside = Math.max(left - x0, 0) + Math.max(x1 - frame.width + 2, 0) + Math.max(top - y0, 0)
          + Math.max(y1 - bottom, 0);
        const covered = points.filter((p) => (p.x !== x || p.y !== y) && p.x > x0 - p.room && p.x < x1 + p.room
          && p.y > y0 - p.room && p.y < y1 + p.room).reduce((sum, p) => sum + p.weight, 0);
        const overlap = taken.reduce((sum, box) => sum + Math.max(0, Math.min(x1, box.x1) - Math.max(x0, box.x0) + 4)
          * Math.max(0, Math.min(y1, box.y1) - Math.max(y0, box.y0)), 0);
        return { x0, y0, x1, y1, fits: outside < 2 && !overlap, cost: 50 * outside + covered + 5 * overlap + 5 * far };
      }));
      const best = choices.reduce((one, other) => (other.cost < one.cost ? other : one));
      if (best.fits) taken.push(best);
      point.label = { ...point.label, show: best.fits, position: "inside", align: "left", verticalAlign: "middle", distance: 0,
        offset: [best.x0 - x, best.y0 + LINE / 2 - y] };
    }
    chart.setOption(option);
  };

  const figures = [...document.querySelectorAll("figure")].map((figure) => ({
    place: figure.querySelector(".plot"),
    option: JSON.parse(figure.querySelector("script").textContent),
    drawn: null,
    chart: null,
  })).filter((figure) => figure.place);

  const draw = () => {
    const colours = getComputedStyle(document.documentElement);
    for (const figure of figures) {
      if (figure.chart) figure.chart.dispose();
      figure.chart = echarts.init(figure.place, null, { renderer: "svg" });
      figure.drawn = resolved(figure.option, colours);
      figure.chart.setOption(figure.drawn);
      settle(figure.chart, figure.drawn);
    }
  };

  const fit = () => figures.forEach((figure) => {
    figure.chart.resize();
    settle(figure.chart, figure.drawn);
  });

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", fit);
  addEventListener("beforeprint", fit);
  addEventListener("afterprint", fit);
})();
