// Operator's page: shows the state of /api/events, at most four updates per second. No libraries.
import { startChart } from "./chart.js";
import { startDialogs } from "./dialogs.js";
import { $, ask, clockTime, count, dayTime, decimal, duration, make, percent, picturesOf, reasonOf, renew } from "./elements.js";
import { showRejects, startRejects } from "./rejects.js";
import { knowClasses, openReview, startReview } from "./review.js";
import { TEXTS, fillTexts } from "./texts.js";
import { showTrial } from "./trial.js";

const SILENT_MS = 3000; // without an update for this time the page reports lost contact
const ASK_MS = 2000; // polling interval if the server has no free event stream
const PIN_MS = 60000; // a selected reject returns to the live picture after this time
const SHORT = 9, MEDIUM = 26; // characters of a reason in the largest and in the middle letters
const SIGNS = {
  OK: "M4 13l5 5L20 6",
  NG: "M5 5l14 14M19 5L5 19",
  UNSURE: "M8 8.5a4 4 0 1 1 5.6 3.7c-1 .5-1.6 1.2-1.6 2.3M12 19v.01",
  TIMEOUT: "M12 3a9 9 0 1 0 .001 0M12 7.5V12l3.2 2.2",
  FAULT: "M12 3l10 18H2zM12 9.5v5M12 18v.01",
};
const ENDED = ["stopped", "failed"]; // conditions that stay when the contact is lost

let loadedAt = Date.now(), heardAt = 0, askTimer = 0, pinned = null, pinnedAt = 0, latest = null, tokenChanged = false, endedAt = 0;
let stationTime = "", skewMs = 0; // of the latest state; of the browser's clock to the station's

const now = () => Date.now() - skewMs;

function setCondition(condition) {
  const word = TEXTS.conditions[condition], title = latest ? latest.title : "edge-inspect";
  document.title = `${word} – ${title}`;
  document.documentElement.dataset.condition = condition;
  if ($("#condition").textContent !== word) $("#condition").textContent = word;
}

function showContact(text, link = "") {
  $("#contact").hidden = !text;
  if ($("#contact").dataset.shown === text) return;
  $("#contact").dataset.shown = text;
  $("#contact").replaceChildren(text, ...(link ? [" ", make("a", link, { href: "." })] : []));
}

// Also runs once a second without an update, so that every duration goes on.
function showTimes() {
  $("#clock").textContent = clockTime(now());
  const silentMs = Date.now() - (heardAt || loadedAt), reported = latest ? latest.condition : "silent";
  const lost = silentMs > SILENT_MS || !heardAt;
  const condition = lost && !ENDED.includes(reported) ? "silent" : reported;
  setCondition(condition);
  if (tokenChanged && document.documentElement.dataset.user) showContact(TEXTS.loggedOut, TEXTS.signIn);
  else if (tokenChanged) showContact(TEXTS.tokenChanged, TEXTS.enterToken);
  else if (condition === "stopped") showContact(TEXTS.stopped(duration(Date.now() - endedAt)));
  else if (condition === "failed") showContact(TEXTS.failed(duration(Date.now() - endedAt)));
  else if (lost) showContact(silentMs > SILENT_MS ? TEXTS.noContact(duration(silentMs)) : TEXTS.connecting);
  else if (condition === "silent") showContact(TEXTS.noUpdate(duration(latest.silent_s * 1000)));
  else showContact(condition === "stopping" ? TEXTS.stopping : "");
  const known = !["silent", ...ENDED].includes(condition);
  if (latest && latest.station) showStation(latest.station, known);
  else $("#devices").replaceChildren();
}

function showState(state) {
  latest = state;
  endedAt = ENDED.includes(state.condition) ? endedAt || Date.now() : 0;
  if (state.station && state.station.time !== stationTime) { // a repeated state is no new time
    stationTime = state.station.time;
    skewMs = Date.now() - Date.parse(stationTime);
  }
  $("#title").textContent = state.title;
  showTimes();
  showPart(state.last);
  showPicture(state);
  showRejects(state.rejects, pinned, pin);
  showCounts("#shift", TEXTS.shiftSince(clockTime(state.shift.since).slice(0, 5)), state.shift);
  showCounts("#hour", TEXTS.hourSince(clockTime(state.hour.since).slice(0, 5)), state.hour);
  $("#latency").textContent = state.latency ? TEXTS.latency(decimal(state.latency.p50_ms, 1), decimal(state.latency.p99_ms, 1)) : "";
}

function showStation(station, known) {
  const since = (iso) => duration(now() - Date.parse(iso));
  $("#shadow").hidden = !station.shadow;
  $("#challenge").hidden = !known || (!station.challenge_due && !station.challenge_missing);
  $("#challenge").textContent = station.challenge_missing
    ? TEXTS.challengeRuns(station.challenge_missing) : TEXTS.challengeDue(clockTime(station.challenge_due || 0).slice(0, 5));
  const { paused } = station;
  $("#paused").hidden = !paused;
  if (paused) {
    const words = station.shadow ? TEXTS.pausedInShadow : TEXTS.pausedBy;
    $("#paused").textContent = words(paused.who, since(paused.since), paused.reason);
  }
  $("[data-open=pause]").hidden = Boolean(paused);
  $("[data-open=resume]").hidden = !paused;
  knowClasses(station);
  showTrial(station.trial, known);
  showDevices(station, known);
  showAlarms(station.alarms.filter((alarm) => !paused || alarm.name !== "paused"), since); // the notice has it
  const facts = {
    bundle: station.bundle_name, bundleId: station.bundle_id, engine: station.engine,
    software: `edge-inspect ${station.software}`, started: dayTime(station.started),
  };
  renew("#details dl", JSON.stringify(facts), () => Object.entries(facts).flatMap(([name, text]) => [make("dt", TEXTS[name]), make("dd", text)]));
}

function showDevices(station, known) {
  const devices = [{ name: TEXTS.plc, lost: !station.link_open, why: TEXTS.notConnected, title: "" }];
  for (const camera of station.cameras) {
    const name = camera.name === "camera" ? TEXTS.camera : `${TEXTS.camera} ${camera.name}`;
    devices.push({ name, lost: !camera.connected, why: TEXTS.lost, title: camera.connected ? "" : camera.last_error });
  }
  if (station.disk_refuses) devices.push({ name: TEXTS.disk, lost: true, why: TEXTS.writeError, title: station.disk_refuses });
  renew("#devices", JSON.stringify([devices, known]), () => devices.map((one) => {
    const item = make("li", known && one.lost ? `${one.name} ${one.why}` : one.name, { title: one.title });
    item.className = !known ? "unknown" : one.lost ? "lost" : "";
    if (!known) item.append(make("span", ` ${TEXTS.unknown}`, { class: "unseen" }));
    return item;
  }));
}

let announced = new Map(); // name of an alarm -> when it began

function showAlarms(alarms, since) {
  $("#alarms").hidden = !alarms.length;
  const begun = alarms.filter((alarm) => announced.get(alarm.name) !== alarm.since);
  const ended = [...announced.keys()].filter((name) => !alarms.some((alarm) => alarm.name === name));
  if (begun.length || ended.length) {
    $("#spoken").textContent = [...begun.map((alarm) => TEXTS.alarmBegins(alarm.name, alarm.text)), ...ended.map(TEXTS.alarmEnds)].join(" ");
    announced = new Map(alarms.map((alarm) => [alarm.name, alarm.since]));
  }
  const names = JSON.stringify(alarms.map((alarm) => [alarm.name, alarm.since]));
  renew("#alarms ul", names, () => alarms.map(() => {
    const item = make("li"), button = make("button", "", { type: "button" });
    button.append(make("b"), make("time"), make("span"));
    button.addEventListener("click", () => $("#alarm-list").showModal());
    item.append(button);
    return item;
  }));
  renew("#alarm-list ul", names, () => alarms.map(() => {
    const item = make("li");
    item.append(make("b"), make("time"), make("span"));
    return item;
  }));
  for (const list of ["#alarms ul", "#alarm-list ul"]) {
    alarms.forEach((alarm, place) => {
      const item = $(list).children[place];
      item.querySelector("b").textContent = alarm.name;
      const lasts = since(alarm.since);
      item.querySelector("time").textContent = list === "#alarms ul" ? TEXTS.alarmSince(lasts) : TEXTS.alarmBegan(dayTime(alarm.since), lasts);
      item.querySelector("span").textContent = alarm.text;
    });
  }
}

function showPart(part) {
  const verdict = part ? part.verdict : "", why = part ? reasonOf(part) : { short: "", more: "", full: "" };
  const told = part && part.told !== part.verdict ? TEXTS.told(part.told) : "";
  const words = [why.short, told].filter(Boolean).join(" ");
  $("#verdict").dataset.verdict = verdict;
  $("#verdict").dataset.length = words.length > MEDIUM ? "long" : words.length > SHORT ? "medium" : "short";
  $("#verdict").style.setProperty("--digits", part ? String(part.part_id).length : 1);
  $("#verdict").style.setProperty("--word", Math.max(1, ...why.short.split(" ").map((word) => word.length)));
  $("#verdict path").setAttribute("d", SIGNS[verdict] || "");
  $("#verdict strong").textContent = verdict || TEXTS.noPart;
  renew("#why", JSON.stringify([why, told]), () => [make("span", why.short), ...(why.more ? [" ", make("small", why.more)] : []), ...(told ? [" ", make("small", told)] : [])]);
  renew("#which", JSON.stringify(part && [part.part_id, part.time]), () => part
    ? [make("small", TEXTS.partWord), " ", make("span", String(part.part_id)), " ", make("small", clockTime(part.time))] : []);
  const scrolls = [1, .85, .7, .6].every((share) => {
    $("#why").style.setProperty("--share", share);
    return $("#why").scrollHeight > $("#why").clientHeight + 2;
  });
  if (scrolls) $("#why").tabIndex = 0;
  else $("#why").removeAttribute("tabindex");
}

function pin(number) {
  pinned = pinned === number ? null : number;
  pinnedAt = Date.now();
  showState(latest);
}

function showPicture(state) {
  const kept = pinned && Date.now() - pinnedAt < PIN_MS ? state.rejects.find((part) => part.number === pinned) : null;
  if (!kept) pinned = null;
  $("#picture .mark").hidden = !kept;
  const part = kept || state.last;
  $("#picture").classList.toggle("pinned", Boolean(kept));
  $("#picture h2").textContent = kept
    ? TEXTS.pinned(TEXTS.part(part.part_id), clockTime(part.time), `${part.verdict} ${reasonOf(part).full}`.trim()) : TEXTS.lastPart;
  renew("#picture > div", JSON.stringify([part && [part.number, part.pictures]]), () => picturesOf(part, part ? TEXTS.noPicture : TEXTS.firstPicture));
}

// The latest rejects as the records have them, with what was said of them.
async function markRejects() {
  const query = new URLSearchParams(latest.rejects.map((part) => ["row", part.number])), number = pinned;
  try {
    openReview(await ask(`api/parts?${query}`), number);
  } catch (error) {
    $("#spoken").textContent = TEXTS.refused(error.status ? error.message : TEXTS.unreachable);
  }
}

function showCounts(row, title, counts) {
  const [name, parts, rejects, good] = $(row).children;
  name.textContent = title;
  parts.textContent = count(counts.parts);
  rejects.textContent = count(counts.parts - counts.passed);
  good.textContent = percent(counts.yield_percent);
}

function hear(state) {
  heardAt = Date.now();
  tokenChanged = false;
  showState(state);
}

async function poll() {
  try {
    hear(await ask("api/state"));
  } catch (error) {
    tokenChanged = error.status === 401;
    showTimes();
  }
}

function listen() {
  const events = new EventSource("api/events");
  events.onmessage = (event) => hear(JSON.parse(event.data));
  events.onerror = () => {
    if (events.readyState !== EventSource.CLOSED || askTimer) return;
    askTimer = setInterval(poll, ASK_MS);
    poll();
  };
}

fillTexts(document);
startDialogs();
startRejects();
startReview();
$("#picture .mark").addEventListener("click", markRejects);
showTimes();
setInterval(showTimes, 1000);
listen();
startChart();
