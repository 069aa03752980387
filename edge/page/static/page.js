// Operator's page: shows the state of /api/events, at most four updates per second. No libraries.
"use strict";

const SILENT_MS = 3000; // without an update for this time the page reports lost contact
const ASK_MS = 2000; // polling interval if the server has no free event stream
const CHART_MS = 30000;
const PIN_MS = 60000; // a selected reject returns to the live picture after this time
const CHART_MINUTES = 480, CHART_BARS = 96;
const SIGNS = {
  OK: "M4 13l5 5L20 6",
  NG: "M5 5l14 14M19 5L5 19",
  UNSURE: "M8 8.5a4 4 0 1 1 5.6 3.7c-1 .5-1.6 1.2-1.6 2.3M12 19v.01",
  TIMEOUT: "M12 3a9 9 0 1 0 .001 0M12 7.5V12l3.2 2.2",
  FAULT: "M12 3l10 18H2zM12 9.5v5M12 18v.01",
};
const WORDS = {
  running: "Running", alarm: "Alarm", waiting: "Waiting for the PLC", failed: "Failed", silent: "No contact",
};

const $ = (selector) => document.querySelector(selector);
let heardAt = 0, askTimer = 0, pinned = null, pinnedAt = 0, latest = null, buckets = [];

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Redraws only changed elements, so that pictures do not flicker and touch targets stay.
const drawn = new Map();
function renew(selector, key, children) {
  if (drawn.get(selector) === key) return;
  drawn.set(selector, key);
  $(selector).replaceChildren(...children());
}

const clockTime = (iso) => new Date(iso).toLocaleTimeString([], { hour12: false });
const percent = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits) + " %");
const count = (value) => value.toLocaleString("en").replaceAll(",", "\u2009");
const defectWords = (defect) => `${defect.class_name} ${defect.score.toFixed(2)}`;

function reason(part) {
  if (part.fault) return part.fault;
  const [worst, ...others] = part.defects;
  if (!worst) return "";
  return defectWords(worst) + (others.length ? `, and ${others.length} more` : "");
}

function showState(state) {
  latest = state;
  document.title = `${WORDS[state.condition]} – ${state.title}`;
  document.documentElement.dataset.condition = state.condition;
  $("#title").textContent = state.title;
  $("#condition").textContent = WORDS[state.condition];
  const silent = state.condition === "silent";
  $("#contact").hidden = !silent;
  if (silent) $("#contact").textContent = `No update from the station for ${Math.round(state.silent_s)} s. The values below are old.`;
  if (state.station) showStation(state.station);
  showPart(state.last);
  showPicture(state);
  showRejects(state.rejects);
  showCounts("#shift", `Shift, since ${clockTime(state.shift.since).slice(0, 5)}`, state.shift);
  showCounts("#hour", `Hour, since ${clockTime(state.hour.since).slice(0, 5)}`, state.hour);
  $("#latency").textContent = state.latency
    ? `Trigger to result: median ${state.latency.p50_ms.toFixed(1)} ms, 99 % within ${state.latency.p99_ms.toFixed(1)} ms`
    : "";
}

function showStation(station) {
  $("#shadow").hidden = !station.shadow;
  $("#challenge").hidden = !station.challenge_due && !station.challenge_missing;
  $("#challenge").textContent = station.challenge_missing
    ? `Challenge: put the known bad parts on the line now, ${station.challenge_missing} to come.`
    : `Challenge due since ${clockTime(station.challenge_due || 0).slice(0, 5)}: start it, then put the known bad parts on the line.`;
  const line = [{ name: "PLC", lost: !station.link_open, why: "not connected" }];
  for (const camera of station.cameras) {
    line.push({ name: camera.name === "camera" ? "Camera" : `Camera ${camera.name}`, lost: !camera.connected, why: "lost", title: camera.last_error });
  }
  if (station.disk_refuses) line.push({ name: "Disk", lost: true, why: "write error", title: station.disk_refuses });
  renew("#parts-of-line", JSON.stringify(line), () => line.map((one) =>
    make("li", one.lost ? `${one.name} ${one.why}` : one.name, { class: one.lost ? "lost" : "", title: one.title || "" })));
  $("#alarms").hidden = !station.alarms.length;
  renew("#alarms ul", JSON.stringify(station.alarms), () => station.alarms.map((alarm) => {
    const item = make("li");
    item.append(make("time", clockTime(alarm.since)), make("b", alarm.name), ": " + alarm.text);
    return item;
  }));
  const foot = [
    `Bundle ${station.bundle_name}`, station.bundle_id.slice(0, 12), station.engine, `edge-inspect ${station.software}`,
    `started ${new Date(station.started).toLocaleString([], { hour12: false, dateStyle: "medium", timeStyle: "short" })}`,
  ];
  renew("#foot", foot.join(), () => [...foot.map((text) => make("span", text)), ...["api/parts", "health", "metrics", "openapi.json"]
    .map((address) => make("a", address, { href: address }))]);
}

function showPart(part) {
  const verdict = part ? part.verdict : "";
  $("#verdict").dataset.verdict = verdict;
  $("#verdict path").setAttribute("d", SIGNS[verdict] || "");
  $("#verdict strong").textContent = verdict || "No part yet";
  const told = part && part.told !== part.verdict ? `PLC was told ${part.told}. ` : "";
  $("#why").textContent = part ? told + reason(part) : "";
  $("#which").textContent = part ? `Part ${part.part_id}, ${clockTime(part.time)}` : "";
}

function showPicture(state) {
  const kept = pinned && Date.now() - pinnedAt < PIN_MS ? state.rejects.find((part) => part.number === pinned) : null;
  if (!kept) pinned = null;
  const part = kept || state.last;
  $("#picture").classList.toggle("pinned", Boolean(kept));
  $("#picture h2").textContent = !part ? "" : kept
    ? `Rejected part ${part.part_id}, ${clockTime(part.time)}: ${part.verdict} ${reason(part)}. Tap it again for the live picture.`
    : "Last part";
  const pictures = part ? Object.entries(part.pictures) : [];
  renew("#picture div", JSON.stringify([part && part.number, pictures]), () => pictures.length
    ? pictures.map(([camera, address]) => {
      const figure = make("figure");
      figure.append(make("img", "", { src: address, alt: `Part ${part.part_id} seen by camera ${camera}` }));
      if (pictures.length > 1) figure.append(make("figcaption", camera));
      return figure;
    })
    : [make("p", part ? "No picture of this part" : "The first picture comes with the first part", { class: "none" })]);
}

function showRejects(rejects) {
  renew("#rejects ol", JSON.stringify([pinned, rejects.map((part) => [part.number, part.pictures])]), () => rejects.map((part) => {
    const [picture] = Object.values(part.pictures);
    const thumb = make("span", picture ? "" : "no picture", { class: "thumb" });
    if (picture) thumb.append(make("img", "", { src: picture, alt: "" }));
    const worst = part.defects[0];
    const button = make("button", "", { type: "button", "data-verdict": part.verdict, "aria-pressed": pinned === part.number, title: reason(part) });
    button.append(thumb, make("b", part.verdict === "NG" && worst ? worst.class_name : part.verdict), make("small", `${part.part_id} · ${clockTime(part.time)}`));
    button.addEventListener("click", () => {
      pinned = pinned === part.number ? null : part.number;
      pinnedAt = Date.now();
      showState(latest);
    });
    const item = make("li");
    item.append(button);
    return item;
  }));
}

function showCounts(row, title, counts) {
  const [name, parts, rejects, good] = $(row).children;
  name.textContent = title;
  parts.textContent = count(counts.parts);
  rejects.textContent = count(counts.parts - counts.passed);
  good.textContent = percent(counts.yield_percent);
}

function showChart() {
  const svg = $("#chart svg"), left = 40, bottom = 18;
  const width = svg.clientWidth, height = svg.clientHeight;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (!width || !height) return;
  const rates = buckets.map((bucket) => (bucket.parts ? bucket.rejects / bucket.parts : 0));
  const most = Math.max(...rates);
  const top = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].find((step) => step >= most) || 1;
  const x = (place) => left + (place * (width - left)) / buckets.length;
  const y = (rate) => (height - bottom - 6) * (1 - rate / top) + 6;
  const shape = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const shapes = [];
  for (const rate of [0, top / 2, top]) {
    shapes.push(shape("line", { x1: left, x2: width, y1: y(rate), y2: y(rate) }));
    shapes.push(shape("text", { x: left - 6, y: y(rate) + 4, "text-anchor": "end" }, `${+(100 * rate).toFixed(1)} %`));
  }
  buckets.forEach((bucket, place) => {
    const time = clockTime(bucket.time).slice(0, 5);
    if (time.endsWith(":00") && x(place) < width - 30) shapes.push(shape("text", { x: x(place), y: height - 2, "text-anchor": "middle" }, time));
    if (!bucket.parts) return;
    const bar = shape("rect", {
      x: x(place) + 0.5, width: Math.max(1, x(1) - x(0) - 1), y: Math.min(y(rates[place]), y(0) - 1), height: Math.max(1, y(0) - y(rates[place])),
    });
    bar.append(shape("title", {}, `${time}: ${bucket.rejects} of ${bucket.parts} rejected`));
    shapes.push(bar);
  });
  svg.replaceChildren(...shapes);
  const parts = buckets.reduce((sum, bucket) => sum + bucket.parts, 0);
  const rejects = buckets.reduce((sum, bucket) => sum + bucket.rejects, 0);
  $("#chart h2 span").textContent = parts ? `8 hours: ${percent((100 * rejects) / parts)} of ${count(parts)}` : "";
}

async function ask(address) {
  const answer = await fetch(address);
  if (answer.status === 401) $("#contact").textContent = "Open this page once with ?token=..., the token of [page] in line.toml.";
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

function heard(state) {
  heardAt = Date.now();
  showState(state);
}

function listen() {
  const events = new EventSource("api/events");
  events.onmessage = (event) => heard(JSON.parse(event.data));
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED && !askTimer) {
      askTimer = setInterval(() => ask("api/state").then(heard).catch(() => {}), ASK_MS);
    }
  };
}

async function chart() {
  try {
    buckets = await ask(`api/history?minutes=${CHART_MINUTES}&bars=${CHART_BARS}`);
    showChart();
  } catch (_) { /* the banner shows the lost contact */ }
}

setInterval(() => {
  $("#clock").textContent = clockTime(Date.now());
  const silentMs = Date.now() - heardAt;
  if (silentMs < SILENT_MS) return;
  document.documentElement.dataset.condition = "silent";
  $("#condition").textContent = WORDS.silent;
  $("#contact").hidden = false;
  if (heardAt) $("#contact").textContent = `No contact with the station for ${Math.round(silentMs / 1000)} s. The values below are old.`;
}, 1000);
new ResizeObserver(showChart).observe($("#chart svg"));
setInterval(chart, CHART_MS);
listen();
chart();
