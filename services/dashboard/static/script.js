"use strict";
// The pages work without this file. It refreshes a page when something changes, moves through time
// with the slider, asks before what cannot be undone, and adds keys.

const LEAST_PAUSE = 1000; // milliseconds between two refreshes
const body = document.body;
let counter = body.dataset.counter;
let source = null;
let timer = null;
let pause = LEAST_PAUSE;

// Replaces the parts of this page that are marked data-live by those of another version of it.
function replaceParts(html, all) {
  const other = new DOMParser().parseFromString(html, "text/html");
  counter = other.body.dataset.counter || counter;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = other.getElementById(part.getAttribute("id")); // part.id may be a field named id
    if (!next || next.innerHTML === part.innerHTML) continue;
    if (!all && part.contains(document.activeElement) && isEdited(document.activeElement)) continue;
    const focus = part.contains(document.activeElement) ? pathOf(document.activeElement) : null;
    const checked = new Set([...part.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value));
    const open = new Set([...part.querySelectorAll("details[open]")].map((each) => each.id));
    const scrolled = [...part.querySelectorAll(".table, .scroll")].map((each) => each.scrollLeft);
    part.replaceChildren(...document.importNode(next, true).childNodes);
    for (const box of part.querySelectorAll("input[type=checkbox]")) if (checked.has(box.value)) box.checked = true;
    for (const each of part.querySelectorAll("details")) if (each.id && open.has(each.id)) each.open = true;
    part.querySelectorAll(".table, .scroll").forEach((each, i) => { each.scrollLeft = scrolled[i] || 0; });
    if (focus) part.querySelector(focus)?.focus({ preventScroll: true });
  }
  document.title = other.title;
  askAgain();
  return other;
}

// A part that is not complete says after how many milliseconds to ask for it again.
function askAgain() {
  const part = document.querySelector("[data-again]");
  if (part && !timer) timer = setTimeout(refresh, Number(part.dataset.again));
}
askAgain();

const isEdited = (element) => element.matches("input:not([type=checkbox]), textarea, select");

function pathOf(element) {
  if (element.id) return "#" + CSS.escape(element.id);
  if (element.matches("a[href]")) return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
  if (element.name && element.value) return `[name="${CSS.escape(element.name)}"][value="${CSS.escape(element.value)}"]`;
  return null;
}

async function refresh() {
  timer = null;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
    if (answer.redirected) return location.reload(); // the session has ended
    if (answer.ok) replaceParts(await answer.text(), false);
    report(answer.ok ? "" : "not up to date");
  } catch {
    report("not connected");
  }
  pause = Math.max(LEAST_PAUSE, 5 * (performance.now() - began)); // slow pages are asked for less often
}

function onChange(event) {
  if (event.data === "unavailable") return report("the store does not answer");
  if (!event.data || event.data === counter) return report("");
  counter = event.data;
  if (!timer) timer = setTimeout(refresh, pause);
}

function report(text) {
  const live = document.getElementById("live");
  if (live) { live.textContent = text; live.hidden = !text; }
}

// A page in the background is told nothing, so that it keeps no connection and nobody awake.
function listen() {
  const address = body.dataset.changes;
  if (document.hidden || !address) {
    source?.close();
    source = null;
  } else if (!source) {
    source = new EventSource(address);
    source.onmessage = onChange;
    source.onerror = () => report("not connected");
    source.onopen = () => report("");
  }
}
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => { source?.close(); source = null; });
addEventListener("pageshow", listen);

// The slider
const isoOf = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19) + "Z";
let travel = null;
let wanted = null;

function addressAt(slider) {
  const address = new URL(location.href);
  address.searchParams.delete("done");
  address.searchParams.delete("cursor");
  if (Number(slider.value) >= Number(slider.dataset.now)) address.searchParams.delete("at");
  else address.searchParams.set("at", isoOf(Number(slider.value)));
  return address;
}

async function travelTo(address) {
  wanted = address;
  if (travel) return;
  while (wanted) {
    const to = wanted;
    wanted = null;
    travel = fetch(to, { headers: { "X-Refresh": "1" } });
    try {
      const answer = await travel;
      if (!answer.ok || answer.redirected) { location.assign(to); return; }
      const html = await answer.text();
      history.replaceState(null, "", to);
      const slider = document.getElementById("slider");
      const held = slider && document.activeElement === slider ? slider.value : null;
      const other = replaceParts(html, true);
      body.className = other.body.className;
      if (other.body.dataset.changes) body.dataset.changes = other.body.dataset.changes;
      else delete body.dataset.changes;
      if (held !== null) document.getElementById("slider").value = held;
      listen();
    } catch {
      report("not connected");
    }
  }
  travel = null;
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "slider") return;
  const slider = event.target;
  const isNow = Number(slider.value) >= Number(slider.dataset.now);
  slider.setAttribute("aria-valuetext", isNow ? "now" : isoOf(Number(slider.value)));
  document.getElementById("at").value = isNow ? "" : isoOf(Number(slider.value));
  travelTo(addressAt(slider));
});

// Forms that change something
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-check-all]")) return;
  for (const box of event.target.closest("form, table").querySelectorAll("tbody input[type=checkbox]")) box.checked = event.target.checked;
});

// Keys
const keysAreOff = () => localStorage.getItem("fleet-q-keys") === "off";

function showKeys() {
  const template = document.getElementById("keys");
  template?.showModal();
}

function row(step) {
  const links = [...document.querySelectorAll("main tbody tr")].map((each) => each.querySelector("a")).filter(Boolean);
  if (!links.length) return;
  const here = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  links[Math.min(links.length - 1, Math.max(0, here + step))].focus();
}

function stepInTime(seconds) {
  const slider = document.getElementById("slider");
  if (!slider) return;
  slider.value = Number(slider.value) + seconds;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isEdited(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key !== "?" && keysAreOff()) return;
  const pages = [...document.querySelectorAll("#navigation a")];
  const act = {
    "?": showKeys,
    "/": () => document.querySelector("[data-search]")?.focus(),
    j: () => row(1),
    k: () => row(-1),
    ",": () => stepInTime(-60),
    ".": () => stepInTime(60),
    "<": () => stepInTime(-3600),
    ">": () => stepInTime(3600),
    n: () => document.getElementById("back-to-now")?.click(),
  }[event.key] || (/^[1-9]$/.test(event.key) && pages[event.key - 1] ? () => pages[event.key - 1].click() : null);
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("change", (event) => {
  if (event.target.id === "keys-on") localStorage.setItem("fleet-q-keys", event.target.checked ? "on" : "off");
});
const keysOn = document.getElementById("keys-on");
if (keysOn) keysOn.checked = !keysAreOff();
