// Review of parts by an inspector: a list of parts, one of them with its picture, and the mark that is given.
import { $, ask, count, dayTime, decimal, make, percent, post, reasonOf } from "./elements.js";
import { OutlineEditor } from "./outline.js";
import { TEXTS } from "./texts.js";

const MOST = 50;

let parts = [], current = null, view = null, editor = null; // listed parts; the shown one, with all of its review; its view
let queued = false; // whether the list is the queue
let drawn = new Map(); // camera -> outlines of the current part

const form = () => $("#review form");
const truth = () => form().truth.value;
const chosen = () => parts.filter(({ box }) => box.checked);

export const markWords = (mark) => TEXTS.markedAs(TEXTS.truths[mark.truth], mark.classes.join(", "));

function itemOf(part) {
  const item = make("li"), button = make("button", "", { type: "button", "data-verdict": part.verdict, "aria-pressed": "false" });
  const box = make("input", "", { type: "checkbox", "aria-label": TEXTS.choosePart(part.part_id) });
  button.append(make("b", part.verdict), make("span", TEXTS.part(part.part_id)), make("small", TEXTS.reasons[part.reason] || part.reason || dayTime(part.time)), make("em", part.mark ? markWords(part.mark) : ""));
  box.addEventListener("change", showChosen);
  item.append(box, button);
  const entry = { part, item, button, box };
  button.addEventListener("click", () => show(entry));
  return entry;
}

// Opens the dialog with parts from a list, or with the queue.
export async function openReview(found, number) {
  const dialog = $("#review");
  if (!dialog.open) dialog.showModal();
  $("#review-title").textContent = found ? TEXTS.mark : TEXTS.queue;
  answer(TEXTS.searching);
  $("#review ol").replaceChildren();
  clear();
  queued = !found;
  showSample();
  try {
    parts = (found || (await ask(`api/queue?most=${MOST}`))).map(itemOf);
  } catch (error) {
    answer(TEXTS.refused(error.status ? error.message : TEXTS.unreachable));
    return;
  }
  $("#review ol").replaceChildren(...parts.map(({ item }) => item));
  answer(parts.length ? "" : TEXTS.queueEmpty);
  const first = parts.find(({ part }) => part.number === number) || parts[0];
  if (first) {
    await show(first);
    first.button.focus();
  }
}

// What the random sample says of the parts that were passed.
async function showSample() {
  const words = $("#review .sample");
  words.textContent = "";
  if (!queued) return;
  try {
    const { marked, defective, share, low, high } = await ask("api/sample");
    words.textContent = marked ? TEXTS.sample(count(marked), count(defective), percent(100 * share), percent(100 * low), percent(100 * high)) : TEXTS.noSample;
  } catch (_) { /* the list says it */ }
}

function clear() {
  parts = [];
  current = view = null;
  drawn = new Map();
  $("#review .facts").textContent = "";
  $("#review .opinions").replaceChildren();
  $("#review .marks").replaceChildren();
  $("#review .cameras").replaceChildren();
  editor.show(null, []);
  form().hidden = true;
}

async function show(entry) {
  for (const { button } of parts) button.setAttribute("aria-pressed", String(button === entry.button));
  answer("");
  try {
    current = await ask(`api/parts/${entry.part.number}`);
  } catch (error) {
    answer(TEXTS.refused(error.status ? error.message : TEXTS.unreachable));
    return;
  }
  drawn = new Map(current.views.map(({ camera }) => [camera, []]));
  $("#review .facts").textContent = [`${TEXTS.part(current.part_id)}, ${dayTime(current.time)}:`, current.verdict, reasonOf(current).full].filter(Boolean).join(" ");
  showOpinions(current);
  $("#review .marks").replaceChildren(...current.marks.map(markItem));
  const cameras = current.views.map((one) => {
    const button = make("button", one.camera, { type: "button" });
    button.addEventListener("click", () => showView(one));
    return button;
  });
  $("#review .cameras").replaceChildren(...(cameras.length > 1 ? cameras : []));
  const [worst] = current.defects;
  showView(current.views.find(({ camera }) => worst && camera === worst.camera) || current.views[0] || null);
  form().reset();
  form().who.value = sessionStorage.getItem("who") || "";
  form().wrong.disabled = !worst;
  form().hidden = false;
  const known = new Set([...Object.keys(thresholds), ...current.defects.map(({ class_name }) => class_name)]);
  $("#classes").replaceChildren(...[...known].map((name) => make("option", "", { value: name })));
  showTruth();
}

// What the bundle in force and a candidate on trial say of a part, each with the colour of its outlines.
function showOpinions({ candidate, verdict, defects: [worst] }) {
  const item = (name, key, said, className, score) => {
    const words = [said, className, className && score !== null ? decimal(score, 2) : ""].filter(Boolean).join(" ");
    return make("li", `${name}: ${words}`, { class: key });
  };
  $("#review .opinions").replaceChildren(...(candidate ? [
    item(TEXTS.bundleInForce, "proposed", verdict, worst && worst.class_name, worst && worst.score),
    item(TEXTS.trialCandidate, "candidate", candidate.verdict, candidate.class_name, candidate.score),
  ] : []));
}

const blobsOf = (one) => [...one.proposals, ...one.candidate];

function markItem(mark) {
  const item = make("li");
  item.append(make("b", TEXTS.markedBy(markWords(mark), mark.who, dayTime(mark.time))), make("span", mark.note));
  return item;
}

function showView(one) {
  view = one;
  for (const button of $("#review .cameras").children) button.setAttribute("aria-pressed", String(one && button.textContent === one.camera));
  const last = current.marks.at(-1), outlines = last && one ? last.outlines.filter(({ camera }) => camera === one.camera) : [];
  editor.show(one && one.frame ? one : null, one ? drawn.get(one.camera) : [], outlines.flatMap(({ polygons }) => polygons));
  $("#review .board").classList.toggle("empty", !one || !one.frame);
  $("#review .no-frame").hidden = Boolean(one && one.frame);
  $("#review .tools").hidden = !one || !one.frame;
  $("#review .take").replaceChildren(...(one ? blobsOf(one) : []).map((blob, place) => {
    const words = place < one.proposals.length ? TEXTS.takeOutline : TEXTS.takeCandidates;
    const button = make("button", words(blob.class_name, place + 1), { type: "button", "aria-pressed": "false" });
    button.addEventListener("click", () => { editor.take(blob); editor.draw(); });
    return button;
  }));
}

// An outline means a defect: the form follows what is drawn.
function outlinesChanged() {
  const outlines = [...drawn.values()].flat();
  $("#review .take").childNodes.forEach((button, place) => button.setAttribute("aria-pressed", String(outlines.some(({ polygon }) => polygon === blobsOf(view)[place].polygon))));
  if (!outlines.length || ["defective", "wrong"].includes(truth())) return;
  form().truth.value = "defective";
  showTruth();
}

function showTruth() {
  const defective = ["defective", "wrong"].includes(truth());
  form().querySelector(".class").hidden = !defective;
  form().class_name.required = defective && ![...drawn.values()].flat().some(({ class_name }) => class_name);
  if (truth() === "defective" && !form().class_name.value && current.defects.length) form().class_name.value = current.defects[0].class_name;
  if (truth() === "wrong" && current.defects.some(({ class_name }) => class_name === form().class_name.value)) form().class_name.value = "";
  showChosen();
}

function showChosen() {
  const { length } = chosen();
  form().querySelector(".send").textContent = length ? TEXTS.markParts(length) : TEXTS.markPart;
}

// The defects of the current part as the mark has them: outlines by camera and class, and the class of the form.
function defectsOf(className) {
  const found = new Map();
  const of = (camera, name) => found.get(`${camera}\n${name}`) || found.set(`${camera}\n${name}`, { camera, class_name: name, polygons: [] }).get(`${camera}\n${name}`);
  for (const [camera, outlines] of drawn) {
    // another class than the network's was asked for: its outlines are taken with the right one
    for (const { class_name, polygon } of outlines) of(camera, truth() === "wrong" ? className : class_name || className).polygons.push(polygon);
  }
  if (className && ![...found.values()].some(({ class_name }) => class_name === className)) of(view.camera, className);
  return [...found.values()];
}

const cameraOf = (part) => (part.defects[0] ? part.defects[0].camera : Object.keys(part.pictures)[0] || view.camera);

function marksOf() {
  const kind = truth(), defective = ["defective", "wrong"].includes(kind), className = form().class_name.value.trim();
  const shared = { truth: kind === "wrong" ? "defective" : kind, note: form().note.value.trim() };
  const others = chosen(), sampled = (number) => Boolean(parts.find(({ part }) => part.number === number).part.sampled);
  if (!others.length) return [{ part: current.number, ...shared, sampled: sampled(current.number), defects: defective ? defectsOf(className) : [] }];
  return others.map(({ part }) => ({
    part: part.number, ...shared, sampled: sampled(part.number), defects: defective ? [{ camera: cameraOf(part), class_name: className }] : [],
  }));
}

async function send() {
  if (editor.corners.length) editor.close();
  const marks = marksOf(), who = form().who.value.trim(), button = form().querySelector(".send");
  if (chosen().length && [...drawn.values()].flat().length) {
    answer(TEXTS.refused(TEXTS.outlinesOfOne));
    return;
  }
  sessionStorage.setItem("who", who);
  answer(TEXTS.sending);
  button.disabled = true;
  try {
    const { time } = await post("api/marks", { who, marks });
    for (const mark of marks) {
      const entry = parts.find(({ part }) => part.number === mark.part);
      entry.part.mark = { ...mark, who, time, classes: mark.defects.map(({ class_name }) => class_name) };
      entry.button.querySelector("em").textContent = markWords(entry.part.mark);
      entry.box.checked = false;
    }
    showSample();
    await showNext();
    answer(TEXTS.marked(marks.length));
  } catch (error) {
    answer(TEXTS.refused(error.status ? error.message : TEXTS.unreachable));
  } finally {
    button.disabled = false;
  }
}

// The next part without a mark, or the same one with its mark.
async function showNext() {
  const at = parts.findIndex(({ part }) => part.number === current.number);
  const next = [...parts.slice(at + 1), ...parts.slice(0, at)].find(({ part }) => !part.mark) || parts[at];
  await show(next);
  next.button.focus();
  next.button.scrollIntoView({ block: "nearest" });
}

function answer(text) {
  $("#review .answer").textContent = text;
  if (text) $("#review .answer").scrollIntoView({ block: "nearest" });
}

let thresholds = {};

export function knowClasses(station) {
  thresholds = station.thresholds;
}

export function startReview() {
  const dialog = $("#review");
  editor = new OutlineEditor($("#review .board"), $("#review .state"), outlinesChanged);
  editor.className = () => form().class_name.value.trim();
  for (const [name, action] of [["close-outline", "close"], ["undo", "undo"]]) {
    dialog.querySelector(`.${name}`).addEventListener("click", () => editor[action]());
  }
  const brush = dialog.querySelector(".brush"), width = dialog.querySelector(".width");
  const takeBrush = () => {
    const on = brush.getAttribute("aria-pressed") === "true";
    width.hidden = !on;
    editor.brushPx = on ? Number(width.querySelector("input").value) : 0;
  };
  brush.addEventListener("click", () => {
    brush.setAttribute("aria-pressed", String(brush.getAttribute("aria-pressed") !== "true"));
    takeBrush();
  });
  width.addEventListener("input", takeBrush);
  form().addEventListener("submit", (event) => { event.preventDefault(); send(); });
  form().addEventListener("change", (event) => { if (event.target.name === "truth") showTruth(); });
  form().class_name.addEventListener("input", () => { // of the outlines that were drawn before their class was named
    for (const one of [...drawn.values()].flat()) if (!blobsOf(view).some(({ polygon }) => polygon === one.polygon)) one.class_name = editor.className();
  });
  $("#review ol").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], place = parts.findIndex(({ button }) => button === document.activeElement);
    const next = step ? parts[place + step] : { Home: parts[0], End: parts.at(-1) }[event.key];
    if (place < 0 || !next) return;
    event.preventDefault();
    next.button.focus();
  });
}
