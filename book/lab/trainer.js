// A run: task, network, optimiser and budget together, one step at a time, and what the page shows of it.

import { Adam } from "./adam.js";
import { keptDirections, measureBottleneck, realDimensions, spectraOf } from "./bottleneck.js";
import { Confinement, EVERY, heldLayers } from "./budget.js";
import { Network, Pass } from "./network.js";
import { batchesFrom, gaussFrom, uniformFrom } from "./random.js";
import { columnNorms, orthogonalise } from "./svd.js";
import { makeTask, N } from "./tasks.js";

export const BATCH = 32;
const [EXPLODED, RECORDS, SHOWN] = [1e8, 150, [0, 1 / 3, 2 / 3]];

/** Signals in Fourier coordinates, one row of n per sample. */
function coordinates(dft, signals) {
  const out = new Float64Array(signals.length * dft.n), row = new Float64Array(dft.n);
  for (const [i, x] of signals.entries()) {
    dft.transform(x, row, 1);
    out.set(row, i * dft.n);
  }
  return out;
}

/** Rows of coordinates side by side, as a pass reads them. */
function gather(rows, indices, n, out) {
  for (let j = 0; j < indices.length; j++)
    for (let r = 0; r < n; r++) out[r * indices.length + j] = rows[indices[j] * n + r];
  return out;
}

export class Trainer {
  constructor(settings) {
    const { depth, width, gain, seed, rate, ridge, steps, budget } = settings;
    this.settings = settings;
    const uniform = uniformFrom(seed);
    this.network = new Network({ n: N, channels: [1, ...Array(depth - 1).fill(width), 1] });
    this.network.draw(gaussFrom(uniform), gain);
    if (budget) {
      this.held = new Confinement(this.network, budget, heldLayers(depth));
      this.held.align();
    }
    this.adam = new Adam(this.network.parameters.length, { rate, ridge, steps });
    this.task = makeTask(settings);
    const { dft } = this.network, { samples, probes } = this.task;
    this.x = coordinates(dft, samples.map(({ x }) => x));
    this.y = coordinates(dft, samples.map(({ y }) => y));
    this.draw = batchesFrom(uniform, samples.length, BATCH);
    this.pass = new Pass(this.network, BATCH);
    this.target = new Float64Array(N * BATCH);
    this.probe = new Pass(this.network, probes.length);
    this.probeX = coordinates(dft, probes.map(({ x }) => x));
    gather(this.probeX, probes.map((_, i) => i), N, this.probe.inputs[0]);
    this.largest = EXPLODED * Math.max(1, this.network.norm());
    this.history = { step: [], data: [], penalty: [] };
    this.sum = { data: 0, count: 0 };
    this.diverged = false;
  }

  get stepsTaken() {
    return this.adam.taken;
  }

  get over() {
    return this.diverged || this.stepsTaken >= this.settings.steps;
  }

  step() {
    const { pass, network, adam, held } = this, batch = this.draw();
    gather(this.x, batch, N, pass.inputs[0]);
    gather(this.y, batch, N, this.target);
    pass.forward();
    const data = pass.backward(this.target);
    held?.maskGradient();
    adam.step(network.parameters, network.gradient);
    if (held && (adam.taken % EVERY === 0 || this.over)) held.project();
    this.sum.data += data;
    this.sum.count++;
    if (adam.taken % Math.max(1, Math.floor(this.settings.steps / RECORDS)) === 0 || adam.taken === 1) this.record();
  }

  record() {
    const { history, sum } = this, norm = this.network.norm();
    history.step.push(this.stepsTaken);
    history.data.push(sum.data / sum.count);
    history.penalty.push(this.settings.ridge * norm);
    this.diverged = !(sum.data / sum.count <= this.largest && norm <= this.largest); // NaN is neither
    Object.assign(sum, { data: 0, count: 0 });
  }

  /** What the page shows: plain numbers and arrays. */
  snapshot() {
    const { network, history, settings } = this;
    this.diverged ||= !network.parameters.every(Number.isFinite);
    const seen = { step: this.stepsTaken, over: this.over, diverged: this.diverged, history, settings };
    if (this.diverged) return seen;
    const spectra = spectraOf(network), outputs = this.probe.forward();
    return {
      ...seen,
      spectra,
      kept: spectra.map((spectrum) => realDimensions(keptDirections(spectrum), N)),
      bottleneck: measureBottleneck(spectra, N),
      signals: this.signals(outputs),
      plane: this.plane(),
    };
  }

  /** Some of the probes: target and output. */
  signals(outputs) {
    const { probes } = this.task, pixels = new Float64Array(outputs.length);
    this.network.dft.invert(outputs, pixels, probes.length);
    return SHOWN.map((share) => {
      const i = Math.floor(share * probes.length);
      return { target: [...probes[i].y], output: Array.from({ length: N }, (_, p) => pixels[p * probes.length + i]) };
    });
  }

  /** The middle layer's coefficient at ω = 1 along its strongest channel direction, one point per probe, with the
   * phase of the input there, in pixels. The direction has no phase of its own: it is turned to that of the inputs. */
  plane() {
    const { network, probe, probeX } = this, l = Math.max(0, Math.floor(network.depth / 2) - 1);
    const channels = network.layers[l].cOut, rows = this.task.probes.length, all = probe.outputs[l];
    const half = (from) => Float64Array.from(all.subarray(from, from + channels * rows), (v) => v * Math.SQRT1_2);
    const matrix = { rows, columns: channels, re: half(0), im: half(channels * rows) };
    const start = columnNorms(orthogonalise(matrix))[0].column * rows;
    const points = Array.from({ length: rows }, (_, i) => {
      const [a, b] = [probeX[i * N], probeX[i * N + 1]];
      return { re: matrix.re[start + i], im: matrix.im[start + i], position: phase(-Math.atan2(b, a)) };
    });
    let [x, y] = [0, 0]; // how the points, turned back by their positions, lie on the whole
    for (const { re, im, position } of points) {
      const [c, s] = [Math.cos((2 * Math.PI * position) / N), Math.sin((2 * Math.PI * position) / N)];
      x += re * c - im * s;
      y += re * s + im * c;
    }
    const size = Math.hypot(x, y) || 1, [c, s] = [x / size, y / size];
    return points.map(({ re, im, position }) => ({ re: re * c + im * s, im: im * c - re * s, position }));
  }
}

const phase = (angle) => ((angle / (2 * Math.PI)) * N + N) % N;
