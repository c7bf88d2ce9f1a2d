// What a page does beyond its forms, which work without this: keys, holding the item while the page is open, giving it
// back when the page is left.
"use strict";

const { seat, turn, beat } = document.body.dataset;
const live = document.getElementById("live");
let going = false; // to another page of this server
let typed = "";

function tell(text) {
  if (live.textContent === text) return;
  live.textContent = text;
  live.hidden = !text;
}

// --- the item is held while the page is open ---------------------------------------------------------------------------

const holding = () => new URLSearchParams({ seat, turn });

async function hold() {
  try {
    const answer = await fetch("/hold", { method: "POST", body: holding() });
    const text = await answer.text();
    const until = document.querySelector("[name=until]");
    if (answer.ok && until) until.value = text;
    tell(answer.ok ? "" : text);
    if (answer.status === 409) {
      clearInterval(timer);
      for (const button of document.querySelectorAll("form[action^='/seats'] button")) button.disabled = true;
    }
  } catch {
    tell("The server does not answer. A verdict that you give now is not kept.");
  }
}

const timer = seat ? setInterval(hold, 1000 * Number(beat)) : undefined;
if (seat) {
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && hold());
  addEventListener("pagehide", () => going || navigator.sendBeacon("/leave", holding()));
}
addEventListener("pageshow", (event) => event.persisted && location.reload());

for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (going) event.preventDefault(); // once is enough
    going = true;
    setTimeout(() => (going = false), 5000); // the server did not answer, and the page is still there
  });
}

// --- keys --------------------------------------------------------------------------------------------------------------

const keys = document.getElementById("keys");
if (keys) {
  keys.checked = localStorage.getItem("keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("keys", keys.checked ? "on" : "off"));
}
const numbered = [...document.querySelectorAll("[data-key]")];

function number(digit) {
  typed = digit === "Enter" ? typed : typed + digit;
  const found = numbered.find((one) => one.dataset.key === typed);
  const longer = digit !== "Enter" && numbered.some((one) => one.dataset.key.startsWith(typed) && one !== found);
  if (found && !longer) found.click();
  if (!longer) typed = "";
  const note = document.getElementById("typed");
  if (note) note.textContent = typed && `${typed}: ${found ? `${found.dataset.name}, Enter takes it` : "…"}`;
}

document.addEventListener("keydown", (event) => {
  const field = event.target.matches("input:not([type=checkbox]), textarea");
  if (!keys?.checked || field || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const button = [...document.querySelectorAll("[aria-keyshortcuts]")].find(
    (one) => one.getAttribute("aria-keyshortcuts") === event.key,
  );
  if (/^\d$/.test(event.key) && numbered.length) number(event.key);
  else if (event.key === "Enter" && typed) number("Enter");
  else if (event.key === "Escape") typed = "";
  else if (button && event.key !== "Enter") button.matches("input") ? button.focus() : button.click();
  else return;
  event.preventDefault();
});

// --- many classes, and the token ---------------------------------------------------------------------------------------

for (const one of numbered) one.dataset.name = one.querySelector("bdi").textContent;

const filter = document.getElementById("filter");
filter?.closest("p").removeAttribute("hidden"); // without this script, Enter in it would give the first class
filter?.addEventListener("input", () => {
  for (const one of numbered) one.hidden = !one.dataset.name.toLowerCase().includes(filter.value.trim().toLowerCase());
});
filter?.addEventListener("keydown", (event) => {
  const left = numbered.filter((one) => !one.hidden);
  if (event.key === "Enter") event.preventDefault(); // never the first button of the form
  if (event.key === "Enter" && left.length === 1) left[0].click();
  if (event.key === "Escape") filter.blur();
});

const enter = document.getElementById("enter");
if (enter?.elements.token && location.hash) {
  enter.elements.token.value = decodeURIComponent(location.hash.slice(1)); // a fragment is sent to no server
  history.replaceState(null, "", location.pathname);
  if (!enter.elements.name) enter.requestSubmit();
}
