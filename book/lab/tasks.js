// The tasks: inputs and targets on a circle of N pixels.

import { gaussFrom, uniformFrom } from "./random.js";
import { HEIGHT, PIXELS } from "./settings.js";

export const N = PIXELS;
const [SAMPLES, NOISE, PROBES, SHARPNESS] = [512, 4096, 96, 4];

const bump = (angle) => Math.exp(SHARPNESS * (Math.cos(angle) - 1));
const angleOf = (p) => (2 * Math.PI * p) / N;
const signal = (f) => Float64Array.from({ length: N }, (_, p) => f(p));

/** A drawn shape as a function of the angle: the trigonometric polynomial through its pixels. */
function interpolated(shape) {
  const waves = Array.from({ length: N / 2 + 1 }, (_, w) => {
    const sum = (f) => shape.reduce((total, value, p) => total + value * f(w * angleOf(p)), 0);
    const scale = (w % (N / 2) ? 2 : 1) / N;
    return [scale * sum(Math.cos), scale * sum(Math.sin)];
  });
  return (angle) => waves.reduce((sum, [a, b], w) => sum + a * Math.cos(w * angle) + b * Math.sin(w * angle), 0);
}

/** A signal without all but the frequencies ±k. */
function passed(x, k) {
  const sum = (f) => x.reduce((total, value, p) => total + value * f(k * angleOf(p)), 0) * (2 / N);
  const [a, b] = [sum(Math.cos), sum(Math.sin)];
  return signal((p) => a * Math.cos(k * angleOf(p)) + b * Math.sin(k * angleOf(p)));
}

/** A copy task: one shape at every place. */
function copies(shape, uniform) {
  const at = (t) => signal((p) => shape(angleOf(p - t)));
  const pair = (x) => ({ x, y: x });
  return {
    samples: Array.from({ length: SAMPLES }, () => pair(at(N * uniform()))),
    probes: Array.from({ length: PROBES }, (_, i) => pair(at((N * i) / PROBES))),
  };
}

function drawn(count, make) {
  const samples = Array.from({ length: count }, make);
  return { samples, probes: samples.slice(0, PROBES) };
}

function lowPass(k, uniform) {
  const gauss = gaussFrom(uniform);
  return drawn(NOISE, () => {
    const x = signal(gauss);
    return { x, y: passed(x, k) };
  });
}

/** The sum of a wave with one period and one with two, in any phases, to their product. */
function product(uniform) {
  return drawn(NOISE, () => {
    const [s, t] = [2 * Math.PI * uniform(), 2 * Math.PI * uniform()];
    const first = (p) => Math.cos(angleOf(p) - s), second = (p) => Math.cos(2 * angleOf(p) - t);
    return { x: signal((p) => first(p) + second(p)), y: signal((p) => first(p) * second(p)) };
  });
}

/** The samples of a target, {x, y} each, and the probes: those that the page shows. */
export function makeTask({ target, shape, seed }) {
  const uniform = uniformFrom(seed + 1);
  const make = {
    bump: () => copies(bump, uniform),
    "pass-1": () => lowPass(1, uniform),
    "pass-2": () => lowPass(2, uniform),
    product: () => product(uniform),
    own: () => copies(interpolated(shape.map((height) => height / HEIGHT)), uniform),
  };
  return make[target]();
}
