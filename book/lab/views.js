// The pictures: each draws a snapshot, or null before there is one, on a plot.

import { KEPT, middleLayer } from "./bottleneck.js";
import { DEGREE_SHAPES } from "./plot.js";
import { PIXELS } from "./settings.js";

const LARGEST = 2.5; // larger singular values stand at the edge

/** The book's signature figure: singular values by layer and degree. */
function spectra(plot, { spectra: layers, kept }) {
  const depth = layers.length, names = layers.map((_, l) => l + 1);
  plot.begin({
    x: { from: 0.5, to: depth + 0.5, ticks: names, label: "layer" },
    y: { from: 0, to: LARGEST, ticks: [0, 0.5, 1, 1.5, 2, 2.5], name: (v) => (v === KEPT ? "½" : v) },
    top: 62, left: 34,
  });
  const { left, right, top } = plot.box;
  plot.line([[0.5, KEPT], [depth + 0.5, KEPT]], { dash: [2, 3], color: plot.text_ });
  for (let edge = 1.5; edge < depth; edge++) plot.line([[edge, 0], [edge, LARGEST]], { color: plot.grid });
  layers.forEach((modes, l) => {
    for (let degree = modes.length - 1; degree >= 0; degree--)
      for (const value of modes[degree]) {
        const a = plot.px(l + 1 + 0.72 * (degree / (modes.length - 1) - 0.5));
        plot.marker(DEGREE_SHAPES[degree], a, plot.py(value), 1.8 + 2.6 * Math.min(value, 1), plot.color(`--lab-degree-${degree}`));
      }
    plot.write(kept[l], plot.px(l + 1), top - 12, { align: "center", bold: l + 1 === middleLayer(depth), size: 13 });
  });
  plot.write("real dimensions kept, by layer", left, top - 30, { color: plot.muted });
  plot.write("degree", left, 12, { color: plot.muted });
  const [start, gap] = [left + 52, Math.min(36, (right - left - 56) / 9)];
  for (const [degree, shape] of DEGREE_SHAPES.entries()) {
    plot.marker(shape, start + degree * gap, 12, 4.4, plot.color(`--lab-degree-${degree}`));
    plot.write(degree, start + degree * gap + 8, 12, { color: plot.muted });
  }
}

const LINES = [["loss", {}], ["data loss", { dash: [6, 3] }], ["ridge", { dash: [1.5, 3] }]];

/** The loss and its two parts over the steps, on a logarithmic scale. */
function loss(plot, { history: { step, data, penalty }, settings: { steps } }) {
  const all = [data.map((value, i) => value + penalty[i]), data, penalty];
  const positive = all.flat().filter((value) => value > 0 && Number.isFinite(value));
  const power = (value) => Math.log10(value);
  const low = Math.floor(power(Math.max(1e-6, Math.min(0.1, ...positive)))), high = Math.min(9, Math.ceil(power(Math.max(10, ...positive))));
  const every = Math.ceil((high - low) / 5);
  const powers = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => 10 ** (low + i * every));
  plot.begin({
    x: { from: 0, to: steps, ticks: [0, steps / 2, steps], label: "gradient step" },
    y: { from: 10 ** low, to: 10 ** high, log: true, ticks: powers, name: (v) => (v >= 1e4 || v < 1e-3 ? v.toExponential(0).replace("e+", "e") : v) },
    top: 30, left: 44,
  });
  LINES.forEach(([name, style], i) => {
    const width = i ? 1.5 : 2.5, at = 8 + [0, 62, 154][i];
    plot.line([[at, 12], [at + 22, 12]], { ...style, width, pixels: true });
    plot.write(name, at + 26, 12);
    const points = step.map((s, k) => [s, all[i][k]]).filter(([, value]) => value > 0 && Number.isFinite(value));
    if (points.length) plot.line(points, { ...style, width });
  });
}

const hue = (plot, position) => `hsl(${(360 * position) / PIXELS} ${plot.color("--lab-hue")})`;

/** Outputs (dots) against targets (lines) for three inputs. */
function outputs(plot, { signals }) {
  const values = signals.flatMap(({ target }) => target);
  const [low, high] = [Math.min(0, ...values), Math.max(...values)], room = 0.2 * (high - low);
  const step = high - low > 3 ? 2 : high - low > 1.4 ? 1 : 0.5;
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + room; tick += step) ticks.push(tick);
  plot.begin({ x: { from: 0, to: PIXELS - 1, ticks: [0, 5, 10, 15], label: "pixel" }, y: { from: low - room, to: high + room, ticks }, top: 30, left: 34 });
  const { left } = plot.box;
  plot.line([[left, 12], [left + 24, 12]], { width: 2, pixels: true });
  plot.write("target", left + 29, 12);
  plot.marker("circle", left + 92, 12, 3.2, plot.text_);
  plot.write("network", left + 100, 12);
  signals.forEach(({ target, output }, i) => {
    const color = hue(plot, [1, 6, 11][i]);
    plot.line(target.map((value, p) => [p, value]), { color, width: 2 });
    for (const [p, value] of output.entries()) if (plot.reaches("y", value)) plot.marker("circle", plot.px(p), plot.py(value), 3.2, color);
  });
}

/** The middle layer's coefficient at ω = 1 in the plane, coloured by the input's position. */
function plane(plot, { plane: points }) {
  const largest = Math.max(...points.map(({ re, im }) => Math.hypot(re, im)));
  const size = 1.3 * 2 ** (Math.ceil(2 * Math.log2(Math.max(largest, 0.01))) / 2); // in steps, so that it rarely jumps
  const power = 10 ** Math.floor(Math.log10(size)), round = power * (size >= 5 * power ? 5 : size >= 2 * power ? 2 : 1);
  const ticks = [-round, 0, round].map((tick) => Number(tick.toPrecision(1)));
  plot.begin({
    x: { from: -size, to: size, ticks, label: "real part", lines: true },
    y: { from: -size, to: size, ticks }, top: 12, left: 40, equal: true,
  });
  for (const { re, im, position } of points) plot.marker("circle", plot.px(re), plot.py(im), 3, hue(plot, position));
  for (const quarter of [0, 4, 8, 12]) {
    const apart = ({ position }) => Math.abs(((position - quarter + 24) % PIXELS) - 8);
    const { re, im } = points.reduce((best, point) => (apart(point) < apart(best) ? point : best));
    const [a, b, length] = [plot.px(re), plot.py(im), Math.hypot(re, im) || 1];
    plot.ring(a, b, 5.5);
    plot.write(quarter, a + (15 * re) / length, b - (15 * im) / length, { align: "center", bold: true });
  }
}

export const VIEWS = { spectra, loss, outputs, plane };

/** Predictions against outcomes; on the diagonal a prediction was right. */
export function drawPredictions(plot, predictions) {
  const told = predictions.filter(({ kept }) => kept !== null);
  const most = Math.max(8, ...told.flatMap(({ predicted, kept }) => [predicted, kept]));
  const every = Math.ceil(most / 8), to = Math.ceil(most / every) * every;
  const ticks = Array.from({ length: to / every + 1 }, (_, i) => i * every);
  plot.begin({ x: { from: 0, to, ticks, label: "predicted" }, y: { from: 0, to, ticks }, top: 22, left: 40, equal: true });
  plot.write("kept", plot.box.left, 8, { color: plot.muted });
  plot.line([[0, 0], [to, to]], { dash: [4, 4], color: plot.muted });
  const heaps = new Map();
  for (const { predicted, kept } of told) heaps.set(`${predicted},${kept}`, (heaps.get(`${predicted},${kept}`) ?? 0) + 1);
  for (const [place, count] of heaps) {
    const [predicted, kept] = place.split(",").map(Number);
    plot.marker("circle", plot.px(predicted), plot.py(kept), 4 + 2 * Math.sqrt(count - 1), plot.color("--lab-accent"));
  }
}
