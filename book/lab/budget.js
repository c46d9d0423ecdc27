// A budget: how many channel directions the middle layers may keep at each mode, as cbnlib.training.budget holds it.
// The held layers have blocks at the allowed modes (and at the constant one) alone, and every few steps each of them
// becomes its nearest matrix of the allowed rank.

import { leftVectors, ofRank } from "./svd.js";

export const EVERY = 4;

/** The layers that a budget holds, counted from 1: the middle half. */
export const heldLayers = (depth) => [Math.floor(depth / 4) + 1, Math.floor((3 * depth) / 4)];

export class Confinement {
  /** Cut the layers `first..last` of a network to a budget, `ranks[ω]` directions at each mode. */
  constructor(network, ranks, [first, last]) {
    this.network = network;
    this.ranks = ranks;
    this.layers = Array.from({ length: last - first + 1 }, (_, i) => first - 1 + i);
    this.trained = ranks.flatMap((rank, omega) => (rank || !omega ? [omega] : []));
    const closed = ranks.flatMap((rank, omega) => (rank || !omega ? [] : network.rowsOf(omega)));
    this.closed = this.layers.flatMap((l) => {
      const { weight, weightGradient, cIn, cOut } = network.layers[l], block = cIn * cOut;
      return closed.map((row) => [weight, weightGradient].map((all) => all.subarray(row * block, (row + 1) * block)));
    });
    for (const [weight] of this.closed) weight.fill(0);
    this.project();
  }

  /** Take the closed modes out of the gradient. */
  maskGradient() {
    for (const [, gradient] of this.closed) gradient.fill(0);
  }

  /** Make each block its nearest one of the allowed rank. */
  project() {
    const { network } = this;
    for (const l of this.layers)
      for (const omega of this.trained) {
        const block = network.block(l, omega), nearest = ofRank(block, this.ranks[omega]);
        if (nearest !== block) network.setBlock(l, omega, nearest);
      }
  }

  /** Let each held layer but the first read the directions that the one before writes: else low ranks lose the signal. */
  align() {
    const { network } = this;
    for (const omega of this.trained) {
      let written = null;
      for (const l of this.layers) {
        const block = network.block(l, omega), vectors = leftVectors(block);
        if (written) network.setBlock(l, omega, joined(block, vectors, written));
        written = vectors;
      }
    }
    this.project();
  }
}

/** U S V* with these left and right singular vectors, as many as both sides have. */
function joined({ rows, columns }, left, right) {
  const out = { rows, columns, re: new Float64Array(rows * columns), im: new Float64Array(rows * columns) };
  for (let d = 0; d < Math.min(left.length, right.length); d++) {
    const [u, v] = [left[d], right[d]];
    for (let c = 0; c < columns; c++)
      for (let k = 0; k < rows; k++) {
        out.re[c * rows + k] += u.value * (u.re[k] * v.re[c] + u.im[k] * v.im[c]);
        out.im[c * rows + k] += u.value * (u.im[k] * v.re[c] - u.re[k] * v.im[c]);
      }
  }
  return out;
}
