// Drawing of outlines over a frame: polygons by mouse, touch or keys, a brush, and the network's own by a click on its blob.
import { brushOutline } from "./brush.js";
import { TEXTS } from "./texts.js";

const CLOSE_PX = 14; // distance on the screen at which a click on the first corner closes the outline
const DRAG_PX = 8; // a longer movement of the pressed pointer draws freehand, with a corner after each such distance
const STEPS = 60; // arrow presses across the longer side; one pixel with Shift
const SVG = "http://www.w3.org/2000/svg";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const joined = (polygon) => polygon.map((corner) => corner.join(",")).join(" ");

// Even-odd rule: whether a point lies in a polygon.
function contains(polygon, [x, y]) {
  let inside = false;
  polygon.forEach(([ax, ay], place) => {
    const [bx, by] = polygon[(place || polygon.length) - 1];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}

export class OutlineEditor {
  // svg: where to draw; status: element that says the state; changed: called after each change of `outlines`.
  constructor(svg, status, changed) {
    Object.assign(this, { svg, status, changed });
    this.className = () => ""; // class of an outline that is closed now
    this.brushPx = 0; // diameter of the brush on the screen; 0 draws outlines
    this.show(null, []);
    svg.addEventListener("keydown", (event) => this.key(event));
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    svg.addEventListener("pointerup", (event) => this.release(event));
    svg.addEventListener("pointercancel", () => { this.pressed = null; });
    svg.addEventListener("focus", () => this.draw());
    svg.addEventListener("blur", () => this.draw());
  }

  // Show a view of a part, with outlines that were drawn in it already: [{class_name, polygon}].
  show(view, outlines, marked = []) {
    Object.assign(this, { view, outlines, marked, corners: [], pressed: null });
    this.cursor = view ? [view.width >> 1, view.height >> 1] : [0, 0];
    if (view) this.svg.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
    this.draw();
  }

  place(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return this.within([Math.round(x), Math.round(y)]);
  }

  within([x, y]) {
    return [Math.min(this.view.width - 1, Math.max(0, x)), Math.min(this.view.height - 1, Math.max(0, y))];
  }

  pixel() { // of the frame, in pixels of the screen
    return this.svg.getScreenCTM().a;
  }

  press(event) {
    if (!this.view || event.button) return;
    this.svg.focus();
    this.svg.setPointerCapture(event.pointerId);
    this.pressed = { x: event.clientX, y: event.clientY, dragged: false, stroke: this.brushPx ? [this.place(event)] : null };
    this.draw();
  }

  move(event) {
    const from = this.pressed;
    if (from && from.stroke) {
      from.stroke.push(this.place(event));
      return this.draw();
    }
    if (!from || Math.hypot(event.clientX - from.x, event.clientY - from.y) < DRAG_PX) return undefined;
    if (!from.dragged) this.corners.push(this.place({ clientX: from.x, clientY: from.y }));
    Object.assign(from, { x: event.clientX, y: event.clientY, dragged: true });
    this.corners.push(this.place(event));
    return this.draw();
  }

  release(event) {
    const from = this.pressed;
    this.pressed = null;
    if (!from || !this.view) return;
    if (from.stroke) this.paint(from.stroke);
    else if (from.dragged) this.close();
    else this.set(this.place(event), CLOSE_PX / this.pixel());
  }

  key(event) {
    if (!this.view || event.altKey) return;
    const arrow = ARROWS[event.key], step = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(this.view.width, this.view.height) / STEPS));
    if (arrow) {
      this.cursor = this.within(this.cursor.map((value, axis) => value + step * arrow[axis]));
      this.draw();
    } else if (event.key === "Enter" || event.key === " ") this.set(this.cursor, step * 0.75);
    else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) this.undo();
    else return;
    event.preventDefault();
  }

  // A corner, the end of the outline, or a blob of the network: whatever the place means.
  set(place, near) {
    this.cursor = place;
    const [first] = this.corners;
    if (this.corners.length >= 3 && Math.hypot(place[0] - first[0], place[1] - first[1]) <= near) return this.close();
    const blob = this.corners.length ? null : [...this.view.proposals, ...this.view.candidate].find(({ polygon }) => contains(polygon, place));
    if (blob) this.take(blob);
    else this.corners.push(place);
    return this.draw();
  }

  take({ class_name, polygon }) {
    const taken = this.outlines.findIndex((one) => one.polygon === polygon);
    if (taken >= 0) this.outlines.splice(taken, 1);
    else this.outlines.push({ class_name, polygon });
    this.changed();
  }

  paint(stroke) {
    this.outlines.push({ class_name: this.className(), polygon: brushOutline(stroke, this.brushPx / 2 / this.pixel(), this.view) });
    this.changed();
    this.draw();
  }

  close() {
    const different = new Set(this.corners.map(String)).size;
    if (different < 3) this.corners = [];
    else {
      this.outlines.push({ class_name: this.className(), polygon: this.corners });
      this.corners = [];
      this.changed();
    }
    this.draw();
  }

  undo() {
    if (this.corners.length) this.corners.pop();
    else if (this.outlines.pop()) this.changed();
    this.draw();
  }

  draw() {
    const shapes = [];
    const add = (polygon, kind) => shapes.push(shape("polygon", { points: joined(polygon), class: kind }));
    if (this.view) {
      const { view } = this, size = 9 / (this.pixel() || 1), [x, y] = this.cursor;
      if (view.frame) shapes.push(shape("image", { href: view.frame, width: view.width, height: view.height }));
      for (const polygon of this.marked) add(polygon, "marked");
      for (const { polygon } of view.proposals) add(polygon, "proposed");
      for (const { polygon } of view.candidate) add(polygon, "candidate");
      for (const { polygon } of this.outlines) add(polygon, "drawn");
      if (this.pressed && this.pressed.stroke) {
        shapes.push(shape("polyline", { points: joined([...this.pressed.stroke, this.pressed.stroke.at(-1)]), class: "brush", "stroke-width": this.brushPx / this.pixel() }));
      }
      if (this.corners.length) {
        shapes.push(shape("polyline", { points: joined(this.corners), class: "drawn open" }));
        shapes.push(...this.corners.map(([cx, cy]) => shape("circle", { cx, cy, r: size / 2 })));
      }
      if (document.activeElement === this.svg) {
        shapes.push(shape("path", { class: "halo", d: `M${x - size} ${y}H${x + size}M${x} ${y - size}V${y + size}` }));
        shapes.push(shape("path", { class: "cursor", d: `M${x - size} ${y}H${x + size}M${x} ${y - size}V${y + size}` }));
      }
    }
    this.svg.replaceChildren(...shapes);
    this.status.textContent = this.view ? TEXTS.outlineState(this.outlines.length, this.corners.length, ...this.cursor) : "";
  }
}
