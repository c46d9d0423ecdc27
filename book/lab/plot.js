// Axes on a canvas: sharp at every size, in the colours of the page's theme.

const FONT = "system-ui, sans-serif";

export class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  /** Start a picture. `x` and `y` are {from, to, ticks, name, label, log, lines}; `top` leaves room above the axes. */
  begin({ x, y, top = 10, left = 40, equal = false }) {
    const { canvas, context } = this, { clientWidth: width, clientHeight: height } = canvas;
    const ratio = devicePixelRatio || 1, style = getComputedStyle(canvas);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.style = style;
    this.text_ = style.getPropertyValue("--lab-text");
    this.muted = style.getPropertyValue("--lab-muted");
    this.grid = style.getPropertyValue("--lab-grid");
    Object.assign(this, { x, y, box: { left, top, right: width - 16, bottom: height - (x.label ? 38 : 22) } });
    if (equal) this.makeSquare();
    this.axes();
  }

  makeSquare() {
    const { box } = this, side = Math.min(box.right - box.left, box.bottom - box.top);
    const [middle, centre] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    this.box = { left: middle - side / 2, right: middle + side / 2, top: centre - side / 2, bottom: centre + side / 2 };
  }

  color(name) {
    return this.style.getPropertyValue(name);
  }

  px(value) {
    const { left, right } = this.box;
    return left + (right - left) * share(this.x, value);
  }

  py(value) {
    const { top, bottom } = this.box;
    return bottom - (bottom - top) * share(this.y, value);
  }

  axes() {
    const { box, x, y } = this, { left, right, top, bottom } = box;
    for (const tick of y.ticks) {
      this.line([[left, this.py(tick)], [right, this.py(tick)]], { color: this.grid, pixels: true });
      this.write(y.name?.(tick) ?? tick, left - 6, this.py(tick), { align: "right", color: this.muted });
    }
    if (x.lines) for (const tick of x.ticks) this.line([[this.px(tick), top], [this.px(tick), bottom]], { color: this.grid, pixels: true });
    else this.line([[left, bottom], [right, bottom]], { color: this.muted, pixels: true });
    for (const tick of x.ticks) this.write(x.name?.(tick) ?? tick, this.px(tick), bottom + 11, { align: "center", color: this.muted });
    if (x.label) this.write(x.label, (left + right) / 2, bottom + 28, { align: "center", color: this.muted });
  }

  /** Whether the axes reach a value. */
  reaches(axis, value) {
    return value >= this[axis].from && value <= this[axis].to;
  }

  /** A line through points, in the axes' units, or in pixels. */
  line(points, { color = this.text_, width = 1, dash = [], pixels = false } = {}) {
    const { context } = this;
    context.beginPath();
    context.setLineDash(dash);
    for (const [a, b] of points) context.lineTo(pixels ? a : this.px(a), pixels ? b : this.py(b));
    Object.assign(context, { strokeStyle: color, lineWidth: width, lineJoin: "round" });
    context.stroke();
    context.setLineDash([]);
  }

  write(text, a, b, { align = "left", color = this.text_, size = 12, bold = false } = {}) {
    const { context } = this;
    Object.assign(context, { fillStyle: color, textAlign: align, textBaseline: "middle", font: `${bold ? 600 : 400} ${size}px ${FONT}` });
    context.fillText(text, a, b);
  }

  /** A filled shape, `radius` pixels large, at a place in pixels. */
  marker(shape, a, b, radius, color) {
    const { context } = this;
    context.beginPath();
    if (shape === "circle") context.arc(a, b, radius, 0, 2 * Math.PI);
    else for (const [u, v] of SHAPES[shape]) context.lineTo(a + radius * u, b - radius * v);
    context.closePath();
    context.fillStyle = color;
    context.fill();
  }

  ring(a, b, radius, color = this.text_) {
    const { context } = this;
    context.beginPath();
    context.arc(a, b, radius, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: color, lineWidth: 1.5 });
    context.stroke();
  }
}

function share({ from, to, log }, value) {
  const of = log ? (v) => Math.log10(Math.max(v, 1e-300)) : (v) => v;
  return (Math.min(Math.max(of(value), of(from)), of(to)) - of(from)) / (of(to) - of(from));
}

const polygon = (corners, turn, inner = 0) =>
  Array.from({ length: inner ? 2 * corners : corners }, (_, k) => {
    const angle = turn + (2 * Math.PI * k) / (inner ? 2 * corners : corners), r = inner && k % 2 ? inner : 1.15;
    return [r * Math.cos(angle), r * Math.sin(angle)];
  });
const UP = Math.PI / 2;
const CROSS = [[-0.35, 1], [0.35, 1], [0.35, 0.35], [1, 0.35], [1, -0.35], [0.35, -0.35], [0.35, -1], [-0.35, -1], [-0.35, -0.35], [-1, -0.35], [-1, 0.35], [-0.35, 0.35]];
const SHAPES = {
  square: polygon(4, Math.PI / 4),
  diamond: polygon(4, 0),
  up: polygon(3, UP),
  down: polygon(3, -UP),
  plus: CROSS,
  cross: CROSS.map(([u, v]) => [(u - v) * Math.SQRT1_2, (u + v) * Math.SQRT1_2]),
  pentagon: polygon(5, UP),
  star: polygon(5, UP, 0.5),
};

/** Shapes of degree 0, 1, ..., as in the book's figures. */
export const DEGREE_SHAPES = ["circle", "square", "diamond", "up", "down", "plus", "cross", "pentagon", "star"];
