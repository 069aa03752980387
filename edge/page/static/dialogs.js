// Dialogs: search of parts, requests of an operator, alarms and details.
import { $, ask, dayTime, make, picturesOf, post, reasonOf } from "./elements.js";
import { markWords, openReview } from "./review.js";
import { TEXTS } from "./texts.js";

const VERDICTS = ["", "OK", "NG", "UNSURE", "TIMEOUT", "FAULT"];
const FOUND = 50;

// Search

let found = []; // the parts of the list

function searchAddress(form, before) {
  const query = new URLSearchParams({ limit: FOUND });
  for (const name of ["part_id", "verdict"]) if (form[name].value) query.set(name, form[name].value);
  for (const name of ["since", "until"]) if (form[name].value) query.set(name, new Date(form[name].value).toISOString());
  if (before) query.set("before", before);
  return `api/parts?${query}`;
}

async function search(before) {
  const form = $("#find form"), list = $("#find ol"), answer = $("#find .answer"), more = $("#find .more");
  if (!before) list.replaceChildren();
  $("#find .shown").replaceChildren();
  answer.textContent = TEXTS.searching;
  try {
    const parts = await ask(searchAddress(form, before));
    if (!before) found = [];
    found.push(...parts);
    list.append(...parts.map(foundItem));
    answer.textContent = list.children.length ? TEXTS.found(list.children.length) : TEXTS.nothingFound;
    more.hidden = parts.length < FOUND;
    more.onclick = () => search(Math.min(...parts.map((part) => part.number)));
    if (!before) list.querySelector("button")?.click();
  } catch (error) {
    answer.textContent = TEXTS.refused(error.status ? error.message : TEXTS.unreachable);
  }
}

function foundItem(part) {
  const item = make("li"), button = make("button", "", { type: "button", "data-verdict": part.verdict, "aria-pressed": "false" });
  button.append(make("b", part.verdict), make("span", TEXTS.part(part.part_id)), make("small", dayTime(part.time)));
  button.addEventListener("click", () => {
    for (const other of $("#find ol").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    const words = make("p", [part.verdict, reasonOf(part).full].filter(Boolean).join(": "));
    const pictures = make("div", "", { class: "pictures" });
    pictures.append(...picturesOf(part, TEXTS.noPicture));
    const mark = make("button", TEXTS.mark, { type: "button", class: "inspector" });
    mark.addEventListener("click", () => openReview(found, part.number));
    $("#find .shown").replaceChildren(words, ...(part.mark ? [make("p", TEXTS.markedBy(markWords(part.mark), part.mark.who, dayTime(part.mark.time)), { class: "given" })] : []), pictures, mark);
  });
  item.append(button);
  return item;
}

// Requests of an operator

let request = "";

function openRequest(name) {
  const form = $("#request form"), { effect, reasons } = TEXTS.requests[name];
  request = name;
  $("#request-title").textContent = form.querySelector(".send").textContent = TEXTS[name === "challenge" ? "startChallenge" : name];
  form.querySelector(".effect").textContent = effect;
  form.querySelector(".answer").textContent = "";
  form.who.value = sessionStorage.getItem("who") || "";
  form.reason.value = "";
  form.reason.required = reasons.length > 0;
  form.querySelector(".reason").hidden = !reasons.length;
  form.querySelector(".reasons").replaceChildren(...reasons.map((reason) => {
    const button = make("button", reason, { type: "button" });
    button.addEventListener("click", () => { form.reason.value = reason; });
    return button;
  }));
  $("#request").showModal();
  (form.who.value ? form.querySelector(".reasons button, .send") : form.who).focus();
}

async function send(form) {
  const answer = form.querySelector(".answer"), button = form.querySelector(".send"), who = form.who.value.trim();
  const body = { who, ...(form.reason.required ? { reason: form.reason.value.trim() } : {}) };
  sessionStorage.setItem("who", who);
  answer.textContent = TEXTS.sending;
  button.disabled = true;
  try {
    const { done } = await post(`api/${request}`, body);
    $("#spoken").textContent = done;
    $("#request").close();
  } catch (error) {
    answer.textContent = TEXTS.refused(error.status ? error.message : TEXTS.unreachable);
  } finally {
    button.disabled = false;
  }
}

export function startDialogs() {
  const { user } = document.documentElement.dataset;
  if (user) sessionStorage.setItem("who", user);
  $("[data-log-out]").addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      await post("log-out", {});
    } finally {
      location.assign(".");
    }
  });
  $("#find select").append(...VERDICTS.map((name) => make("option", name || TEXTS.every, { value: name })));
  $("#find form").addEventListener("submit", (event) => { event.preventDefault(); search(0); });
  $("#request form").addEventListener("submit", (event) => { event.preventDefault(); send(event.target); });
  for (const opener of document.querySelectorAll("[data-open]")) {
    opener.addEventListener("click", (event) => {
      event.preventDefault();
      const name = opener.dataset.open;
      if (name in TEXTS.requests) openRequest(name);
      else if (name === "review") openReview(null);
      else document.getElementById(name).showModal();
    });
  }
  for (const closer of document.querySelectorAll("[data-close]")) {
    closer.addEventListener("click", () => closer.closest("dialog").close());
  }
}
