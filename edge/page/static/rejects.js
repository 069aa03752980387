// List of the latest rejects. An element stays while its part does, so that the focus and the scroll position stay.
import { $, clockTime, make, reasonOf } from "./elements.js";
import { TEXTS } from "./texts.js";

const items = new Map(); // part's row in the records -> its element

function itemOf(part, select) {
  const item = make("li"), button = make("button", "", { type: "button", "data-verdict": part.verdict });
  const { short, full } = reasonOf(part);
  const name = part.verdict === "NG" || part.verdict === "UNSURE" ? short || part.verdict : part.verdict;
  button.title = full;
  button.append(make("span", TEXTS.withoutPicture, { class: "thumb" }), make("b", name), make("small", `${part.part_id} · ${clockTime(part.time).slice(0, 5)}`));
  button.addEventListener("click", () => select(part.number));
  item.append(button);
  return item;
}

function addPicture(item, part) {
  const [address] = Object.values(part.pictures), thumb = item.querySelector(".thumb");
  if (!address || thumb.querySelector("img")) return;
  const image = make("img", "", { alt: "" });
  image.addEventListener("error", () => thumb.replaceChildren(TEXTS.withoutPicture));
  image.src = address;
  thumb.replaceChildren(image);
}

export function showRejects(rejects, pinned, select) {
  const list = $("#rejects ol"), numbers = new Set(rejects.map((part) => part.number));
  for (const part of [...rejects].reverse()) { // the newest first in the list
    if (!items.has(part.number)) {
      items.set(part.number, itemOf(part, select));
      list.prepend(items.get(part.number));
    }
    addPicture(items.get(part.number), part);
    items.get(part.number).firstChild.setAttribute("aria-pressed", String(pinned === part.number));
  }
  for (const [number, item] of items) {
    if (numbers.has(number)) continue;
    // after the new ones are in, so that a lost focus finds one that stays
    if (item.contains(document.activeElement)) (item.previousElementSibling || item.nextElementSibling)?.firstChild.focus();
    item.remove();
    items.delete(number);
  }
  list.dataset.none = rejects.length ? "" : TEXTS.noRejects;
}

export function startRejects() {
  $("#rejects ol").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = [...$("#rejects ol").querySelectorAll("button")], place = buttons.indexOf(document.activeElement);
    const next = step ? buttons[place + step] : { Home: buttons[0], End: buttons.at(-1) }[event.key];
    if (place < 0 || !next) return;
    event.preventDefault();
    next.focus();
  });
}
