// Chart of the reject rate.
import { $, ask, clockTime, count, percent } from "./elements.js";
import { TEXTS } from "./texts.js";

const CHART_MS = 30000;
const CHART_MINUTES = 480, CHART_BARS = 96;
const LEFT = 44, BOTTOM = 18;
let bars = [];

function shape(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function draw() {
  const svg = $("#chart svg"), width = svg.clientWidth, height = svg.clientHeight;
  if (!width || !height) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const rates = bars.map((bar) => (bar.parts ? bar.rejects / bar.parts : 0));
  const most = Math.max(0, ...rates);
  const top = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].find((step) => step >= most) || 1;
  const x = (place) => LEFT + (place * (width - LEFT)) / bars.length;
  const y = (rate) => (height - BOTTOM - 8) * (1 - rate / top) + 8;
  const shapes = [];
  for (const rate of height < 100 ? [0, top] : [0, top / 2, top]) {
    shapes.push(shape("line", { x1: LEFT, x2: width, y1: y(rate), y2: y(rate) }));
    shapes.push(shape("text", { x: LEFT - 6, y: y(rate) + 4, "text-anchor": "end" }, `${(100 * rate).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} %`));
  }
  const hours = width < 500 ? 2 : 1;
  bars.forEach((bar, place) => {
    const time = clockTime(bar.time).slice(0, 5);
    if (time.endsWith(":00") && parseInt(time) % hours === 0 && x(place) > LEFT + 14 && x(place) < width - 20) {
      shapes.push(shape("text", { x: x(place), y: height - 3, "text-anchor": "middle" }, time));
    }
    if (!bar.parts) return;
    const box = shape("rect", {
      x: x(place) + 0.5, width: Math.max(1, x(1) - x(0) - 1), y: Math.min(y(rates[place]), y(0) - 1),
      height: Math.max(1, y(0) - y(rates[place])),
    });
    box.append(shape("title", {}, TEXTS.bar(time, bar.rejects, bar.parts)));
    shapes.push(box);
  });
  svg.replaceChildren(...shapes);
  const parts = bars.reduce((sum, bar) => sum + bar.parts, 0), rejects = bars.reduce((sum, bar) => sum + bar.rejects, 0);
  $("#chart h2 span").textContent = parts ? TEXTS.chartSum(percent((100 * rejects) / parts), count(parts)) : "";
}

async function fetchBars() {
  try {
    bars = await ask(`api/history?minutes=${CHART_MINUTES}&bars=${CHART_BARS}`);
    draw();
  } catch (_) { /* the banner shows the lost contact */ }
}

export function startChart() {
  new ResizeObserver(draw).observe($("#chart svg"));
  setInterval(fetchBars, CHART_MS);
  fetchBars();
}
