// The live page: asks the service once a second, and draws what it tells. All texts are set as text, never as HTML.
"use strict";

const token = decodeURIComponent(location.hash.slice(1));
if (token) history.replaceState(null, "", location.pathname);
const EVERY = 1000;
const KEPT = { minutes: 900, day: 86400 };
const chosen = { name: "", span: "minutes", points: [] };
const charts = {};
const one = (selector) => document.querySelector(selector);

async function ask(path, method = "GET") {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { method, headers, cache: "no-store" });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error || `The service answered with ${answer.status}.`);
  return said;
}

function trouble(text) {
  const place = one("#trouble");
  place.hidden = !text;
  if (place.textContent !== text) place.textContent = text;
}

function row(cells) {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const place = document.createElement("td");
    if (cell instanceof Node) place.append(cell);
    else if (cell && cell.number !== undefined) { place.className = "number"; place.textContent = cell.number; }
    else if (cell && cell.text !== undefined) { place.className = "text"; place.textContent = cell.text; }
    else place.textContent = cell ?? "";
    made.append(place);
  }
  return made;
}

function button(label, act, className = "") {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.className = className;
  made.addEventListener("click", act);
  return made;
}

const number = (value) => ({ number: Number(value).toLocaleString("en", { maximumFractionDigits: 1 }) });
const took = (s) => (s === null ? "" : s < 1 ? `${Math.round(s * 1000)} ms` : s < 120 ? `${s.toFixed(1)} s` : `${Math.round(s / 60)} min`);
const clock = (at) => new Date(at * 1000).toLocaleTimeString();

function showEndpoints(status) {
  const body = one("#endpoints tbody");
  const held = document.activeElement?.dataset?.endpoint;
  body.replaceChildren(...status.endpoints.map((it) => {
    const ready = it.instances.filter((each) => each.status === "ready").length;
    const wanted = it.variants.reduce((sum, each) => sum + each.wanted, 0);
    const failed = (it.ended.failed || 0) + (it.ended.dead || 0) + (it.ended.expired || 0);
    const name = button(it.name, () => choose(it.name), "name");
    name.dataset.endpoint = it.name;
    const made = row([
      name, it.reason ? { text: `${it.status}: ${it.reason}` } : it.status,
      { number: ready === wanted ? ready : `${ready} of ${wanted}` },
      number(it.queued), number(it.running), { number: it.queued + it.running ? `${Math.round(it.oldest_s)} s` : "" },
      number(it.ended.completed || 0), number(failed), number(it.per_s),
      { number: took(it.median_s) }, { number: took(it.p95_s) },
    ]);
    made.setAttribute("aria-selected", it.name === chosen.name);
    return made;
  }));
  if (held) body.querySelector(`[data-endpoint="${CSS.escape(held)}"]`)?.focus();
  one("#none").hidden = status.endpoints.length > 0;
  const parts = [`Modelwright ${status.version}`, clock(status.at)];
  if (status.time_factor !== 1) parts.push(`scaling's time goes by ${status.time_factor} times faster`);
  if (status.draining) parts.push("draining");
  one("#about").textContent = parts.join(" · ");
  const names = status.endpoints.map((it) => it.name);
  if (!names.includes(chosen.name)) choose(names[0] || "");
}

function choose(name) {
  chosen.name = name;
  chosen.points = [];
  one("#over-time").hidden = !name;
  one("#chosen").textContent = name;
  if (name) look().catch(() => {});
}

async function showHistory() {
  if (!chosen.name) return;
  const { name, span } = chosen;
  const since = chosen.points.length && span === "minutes" ? chosen.points.at(-1)[0] : 0;
  const found = await ask(`/-/api/history/${encodeURIComponent(name)}?since=${since}&span=${span}`);
  if (name !== chosen.name || span !== chosen.span) return;
  chosen.points = (since ? chosen.points.concat(found) : found).slice(-KEPT[span]);
  draw();
}

function draw() {
  if (!window.echarts) return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const at = (index) => chosen.points.map((point) => [point[0] * 1000, point[index]]);
  const step = chosen.span === "day" ? 15 : 1;
  const line = (name, data, hue, more = {}) => ({
    name, data, type: "line", showSymbol: false, animation: false, step: "end",
    lineStyle: { width: 2, color: colour(hue) }, itemStyle: { color: colour(hue) }, ...more,
  });
  const rate = chosen.points.map((point) => [point[0] * 1000, point[7] / step]);
  chart("backlog", [
    line("waiting", at(1), "--first", { stack: "backlog", areaStyle: { opacity: 0.3 } }),
    line("running", at(2), "--second", { stack: "backlog", areaStyle: { opacity: 0.3 } }),
  ], 1);
  chart("instances", [
    line("ready", at(3), "--fourth", { areaStyle: { opacity: 0.3 } }),
    line("starting", at(4), "--second"),
    line("draining", at(5), "--third"),
    line("wanted", at(6), "--text", { lineStyle: { width: 1.5, type: "dashed", color: colour("--text") } }),
  ], 1);
  chart("throughput", [line("ended a second", rate, "--first", { areaStyle: { opacity: 0.3 } })], 0);
}

function chart(id, series, least) {
  const place = document.getElementById(id);
  charts[id] ??= echarts.init(place, null, { renderer: "canvas" });
  const muted = getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
  const faint = getComputedStyle(document.documentElement).getPropertyValue("--faint").trim();
  charts[id].setOption({
    animation: false, series,
    grid: { left: 48, right: 12, top: 30, bottom: 24 },
    legend: { top: 0, right: 0, textStyle: { color: muted }, itemHeight: 8 },
    tooltip: { trigger: "axis" },
    xAxis: { type: "time", axisLabel: { color: muted, hideOverlap: true }, axisLine: { lineStyle: { color: muted } } },
    yAxis: { type: "value", minInterval: least, min: 0, axisLabel: { color: muted }, splitLine: { lineStyle: { color: faint } } },
  });
  const last = series.map((each) => `${each.name} ${each.data.at(-1)?.[1] ?? 0}`).join(", ");
  place.setAttribute("aria-label", `${place.previousElementSibling.textContent}. Now: ${last}.`);
}

async function showRequests() {
  const form = new FormData(one("#find"));
  const given = new URLSearchParams({ state: form.get("state"), id: form.get("id") });
  const found = await ask(`/-/api/requests?${given}`);
  const act = (path, method) => async () => {
    try { await ask(path, method); await showRequests(); } catch (failure) { trouble(failure.message); }
  };
  one("#requests tbody").replaceChildren(...found.requests.slice(0, 25).map((it) => {
    const { endpoint, inference_id: id } = it.invocation;
    const where = `${encodeURIComponent(endpoint)}/${encodeURIComponent(id)}`;
    let way = "";
    if (it.state === "queued" || it.state === "running") way = button("Cancel", act(`/-/api/requests/${where}`, "DELETE"));
    if (it.state === "dead") way = button("Run again", act(`/-/api/redrive/${where}`, "POST"));
    return row([id, endpoint, it.state, number(it.attempts), clock(it.accepted_at), { text: it.reason }, way]);
  }));
  one("#no-requests").hidden = found.requests.length > 0;
}

async function showMessages(status) {
  one("#undelivered").hidden = !status.undelivered;
  if (!status.undelivered) return;
  const found = await ask("/-/api/messages?state=undelivered");
  one("#messages tbody").replaceChildren(...found.slice(0, 25).map((it) => row([
    { text: it.receiver }, number(it.attempts), { text: it.reason },
    button("Deliver again", async () => {
      try { await ask(`/-/api/messages/${it.number}`, "POST"); } catch (failure) { trouble(failure.message); }
    }),
  ])));
}

let beats = 0;
async function look() {
  const status = await ask("/-/api/status");
  showEndpoints(status);
  await showHistory();
  if (beats++ % 3 === 0 && !one("#requests").contains(document.activeElement)) await showRequests();
  await showMessages(status);
}

async function beat() {
  try {
    if (!document.hidden) await look();
    trouble("");
  } catch (failure) {
    trouble(failure instanceof TypeError ? "The service does not answer; this page goes on asking." : failure.message);
  }
  setTimeout(beat, EVERY);
}

addEventListener("resize", () => Object.values(charts).forEach((each) => each.resize()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
for (const choice of document.querySelectorAll("[name=span]")) {
  choice.addEventListener("change", () => { chosen.span = choice.value; chosen.points = []; look().catch(() => {}); });
}
one("#find").addEventListener("submit", (event) => {
  event.preventDefault();
  showRequests().catch((failure) => trouble(failure.message));
});
beat();
