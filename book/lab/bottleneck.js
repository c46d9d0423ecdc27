// Spectra of a network's layers, what they keep, and the bottleneck by the rule of cbnlib.spectra.bottleneck.
// A spectrum lists, for each mode ω = 0 .. ⌊n/2⌋, the singular values of the block, largest first.

import { singularValues } from "./svd.js";

export const KEPT = 0.5;
const [GONE, PASSED, SMALLEST_GAP, LARGEST_SHARE, SHORTEST_RUN] = [0.25, 1, 1.5, 0.5, 2];

/** The spectra of all layers, first layer first. */
export function spectraOf(network) {
  const modes = Array.from({ length: Math.floor(network.n / 2) + 1 }, (_, omega) => omega);
  return network.layers.map((_, l) => modes.map((omega) => singularValues(network.block(l, omega)).slice(0, directions(network, l))));
}

const directions = (network, l) => Math.min(network.layers[l].cIn, network.layers[l].cOut);

/** Real dimensions of one direction at a mode: 1 or 2. */
export const multiplicity = (omega, n) => ((2 * omega) % n ? 2 : 1);

/** How many directions each mode of a spectrum keeps. */
export const keptDirections = (spectrum, threshold = KEPT) => spectrum.map((values) => values.filter((v) => v > threshold).length);

/** The real dimensions of so many directions at each mode. */
export const realDimensions = (counts, n) => counts.reduce((sum, count, omega) => sum + count * multiplicity(omega, n), 0);

/** `DC×1, ±1×2`: the modes with a direction, and how many. */
export function modesInWords(counts, n) {
  const name = (omega) => (omega ? `${multiplicity(omega, n) === 2 ? "±" : ""}${omega}` : "DC");
  return counts.flatMap((count, omega) => (count ? [`${name(omega)}×${count}`] : [])).join(", ");
}

/** The middle layer, counted from 1. */
export const middleLayer = (depth) => Math.max(1, Math.floor(depth / 2));

/** The layers in a row that keep the same few modes: {first, last, counts, dimensions}, or null. */
export function measureBottleneck(spectra, n) {
  for (let length = spectra.length; length >= SHORTEST_RUN; length--) {
    let best = null;
    for (let start = 0; start + length <= spectra.length; start++) {
      const layers = spectra.slice(start, start + length), { ratio, cut } = largestGap(layers);
      if (qualifies(layers, ratio, cut, n) && !(best?.ratio >= ratio)) best = { start, ratio, cut };
    }
    if (best) {
      const counts = keptDirections(spectra[best.start], best.cut);
      return { first: best.start + 1, last: best.start + length, counts, dimensions: realDimensions(counts, n) };
    }
  }
  return null;
}

/** Largest ratio of neighbours among all values, cut off at both ends, and the cut in its middle. */
function largestGap(layers) {
  const clamped = layers.flat(2).map((v) => Math.min(Math.max(v, GONE), PASSED));
  const sigma = Float64Array.from([GONE, PASSED, ...clamped]).sort();
  let [ratio, cut] = [0, 0];
  for (let j = 1; j < sigma.length; j++)
    if (sigma[j] / sigma[j - 1] > ratio) [ratio, cut] = [sigma[j] / sigma[j - 1], Math.sqrt(sigma[j] * sigma[j - 1])];
  return { ratio, cut };
}

function qualifies(layers, ratio, cut, n) {
  const kept = layers.map((spectrum) => keptDirections(spectrum, cut));
  const few = kept.every((counts, i) => {
    const all = layers[i].map((values) => values.length);
    return realDimensions(counts, n) <= LARGEST_SHARE * realDimensions(all, n);
  });
  return ratio >= SMALLEST_GAP && few && new Set(kept.map(String)).size === 1 && kept[0].some((count) => count);
}
