// Making of elements, and formats of times and numbers.
import { TEXTS } from "./texts.js";

export const $ = (selector) => document.querySelector(selector);

export function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Redraws only changed elements, so that pictures do not flicker and the focus stays.
const drawn = new Map();
export function renew(selector, key, children) {
  if (drawn.get(selector) === key) return;
  drawn.set(selector, key);
  $(selector).replaceChildren(...children());
}

export const clockTime = (iso) => new Date(iso).toLocaleTimeString([], { hour12: false });
export const dayTime = (iso) => new Date(iso).toLocaleString(document.documentElement.lang, { hour12: false, dateStyle: "medium", timeStyle: "medium" });
export const decimal = (value, digits) =>
  value.toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
export const percent = (value, digits = 1) => (value === null ? "–" : decimal(value, digits) + " %");
export const count = (value) => value.toLocaleString("en").replaceAll(",", "\u2009");

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000)), minutes = Math.floor(seconds / 60);
  if (seconds < 120) return TEXTS.seconds(seconds);
  return minutes < 120 ? TEXTS.minutes(minutes) : TEXTS.hours(Math.floor(minutes / 60), minutes % 60);
}

// What is wrong with a part, in short (the class) and in full.
export function reasonOf(part) {
  const [worst, ...others] = part.defects;
  if (part.fault || !worst) return { short: part.fault, more: "", full: part.fault };
  const more = TEXTS.andMore(decimal(worst.score, 2), others.length);
  return { short: worst.class_name, more, full: `${worst.class_name} ${more}` };
}

export function picturesOf(part, absent) {
  const pictures = Object.entries(part ? part.pictures : {});
  if (!pictures.length) return [make("p", absent, { class: "none" })];
  return pictures.map(([camera, address]) => {
    const figure = make("figure"), image = make("img", "", { alt: TEXTS.seenBy(TEXTS.part(part.part_id), camera) });
    image.addEventListener("error", () => figure.replaceChildren(make("p", TEXTS.noPicture, { class: "none" })));
    image.src = address;
    figure.append(image);
    if (pictures.length > 1) figure.append(make("figcaption", camera));
    return figure;
  });
}

export const post = (address, body) =>
  ask(address, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": document.documentElement.dataset.csrf }, body: JSON.stringify(body) });

export async function ask(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const words = await answer.text();
  let problem = words;
  try {
    const { detail } = JSON.parse(words);
    problem = typeof detail === "string" ? detail : detail.map((one) => `${one.loc.at(-1)}: ${one.msg}`).join("; ");
  } catch (_) { /* plain text */ }
  throw Object.assign(new Error(problem), { status: answer.status });
}
