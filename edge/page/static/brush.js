// Outline of a stroke that was painted with a round brush.

const CELLS = 1000; // of the longer side of a large frame, which is coarser than a screen; smaller ones have one for each pixel
const SIMPLER = 0.75; // largest distance of the stroke's edge from the simplified outline, in cells
// The eight neighbours of a pixel, clockwise on the screen.
const AROUND = [[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]];

// Distance of a point from the line between two others.
function distance([x, y], [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
  const at = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
  return Math.hypot(x - ax - at * dx, y - ay - at * dy);
}

// Grid of the painted cells, one byte each.
function painted(points, radius, { width, height }) {
  const cells = new Uint8Array(width * height);
  points.forEach((end, place) => {
    const start = points[Math.max(0, place - 1)];
    const low = [0, 1].map((axis) => Math.max(0, Math.ceil(Math.min(start[axis], end[axis]) - radius)));
    const high = [width, height].map((size, axis) => Math.min(size - 1, Math.floor(Math.max(start[axis], end[axis]) + radius)));
    for (let y = low[1]; y <= high[1]; y++) {
      for (let x = low[0]; x <= high[0]; x++) if (distance([x, y], start, end) <= radius) cells[y * width + x] = 1;
    }
  });
  return cells;
}

// Outer border of a connected area by Moore's neighbour tracing, from its first cell in reading order.
function border(cells, { width, height }) {
  const first = cells.indexOf(1), start = [first % width, Math.floor(first / width)], found = [start];
  const has = (x, y) => x >= 0 && x < width && y >= 0 && y < height && cells[y * width + x];
  let [x, y] = start, heading = 0;
  while (found.length < cells.length) {
    const turn = AROUND.map((_, add) => (heading + 6 + add) % 8).find((way) => has(x + AROUND[way][0], y + AROUND[way][1]));
    if (turn === undefined) break; // a single cell
    [x, y, heading] = [x + AROUND[turn][0], y + AROUND[turn][1], turn];
    if (x === start[0] && y === start[1]) break;
    found.push([x, y]);
  }
  return found;
}

// Ramer, Douglas and Peucker: the corners that a line needs.
function simpler(line) {
  if (line.length < 3) return line;
  const far = line.map((point) => distance(point, line[0], line.at(-1))), place = far.indexOf(Math.max(...far));
  if (far[place] <= SIMPLER) return [line[0], line.at(-1)];
  return [...simpler(line.slice(0, place + 1)).slice(0, -1), ...simpler(line.slice(place))];
}

// Polygon around a stroke: points x, y and radius in pixels of the frame, which is {width, height}.
export function brushOutline(points, radius, { width, height }) {
  const cell = Math.max(1, Math.ceil(Math.max(width, height) / CELLS)); // pixels of the frame
  const grid = { width: Math.ceil(width / cell), height: Math.ceil(height / cell) };
  const scaled = points.map(([x, y]) => [Math.floor(x / cell), Math.floor(y / cell)]);
  const edge = border(painted(scaled, Math.max(1, radius / cell), grid), grid);
  const half = edge.length >> 1; // the two halves are simplified apart, for the ends of a closed line are one
  const corners = [...simpler(edge.slice(0, half + 1)).slice(0, -1), ...simpler([...edge.slice(half), edge[0]]).slice(0, -1)];
  return corners.map(([x, y]) => [Math.min(width - 1, x * cell + (cell >> 1)), Math.min(height - 1, y * cell + (cell >> 1))]);
}
