// The network: circular convolutions in Fourier coordinates and ReLUs, one bias per channel, as cbnlib's CNN with
// parametrization="spectral". The parameters are in operator scale: the sum of their squares is ‖θ‖².

import { RealDFT } from "./real_dft.js";

const HALF = Math.SQRT1_2;

export class Network {
  /** Sizes; all parameters are 0. `channels` lists those of the input, of every hidden layer, and of the output. */
  constructor({ n, channels, bias = true }) {
    this.dft = new RealDFT(n);
    this.n = n;
    this.channels = channels;
    this.depth = channels.length - 1;
    const sizes = channels.slice(1).map((cOut, l) => [n * cOut * channels[l], bias ? cOut : 0]);
    this.parameters = new Float64Array(sizes.flat().reduce((a, b) => a + b));
    this.gradient = new Float64Array(this.parameters.length);
    this.layers = [];
    let start = 0;
    for (const [weights, biases] of sizes) {
      const [middle, end] = [start + weights, start + weights + biases];
      const part = (from, to) => [this.parameters.subarray(from, to), this.gradient.subarray(from, to)];
      const [[weight, weightGradient], [beta, biasGradient]] = [part(start, middle), part(middle, end)];
      const l = this.layers.length;
      this.layers.push({ cIn: channels[l], cOut: channels[l + 1], weight, weightGradient, bias: beta, biasGradient });
      start = end;
    }
  }

  /** Draw the weights: entries of the blocks with variance gain / channels in; biases are 0. */
  draw(gauss, gain) {
    for (const { weight, bias, cIn } of this.layers) {
      for (let i = 0; i < weight.length; i++) weight[i] = gauss() * Math.sqrt(gain / cIn);
      bias.fill(0);
    }
  }

  /** ‖θ‖². */
  norm() {
    return this.parameters.reduce((sum, value) => sum + value * value, 0);
  }

  /** Where the coordinates of the frequency ω lie: one row, or two for a pair. */
  rowsOf(omega) {
    const { pairs } = this.dft;
    if (omega > 0 && omega <= pairs) return [2 * omega - 2, 2 * omega - 1];
    return [2 * pairs + (omega ? 1 : 0)];
  }

  /** The complex block Ŵ(ω) of a layer, its columns one after the other. */
  block(l, omega) {
    const { weight, cIn, cOut } = this.layers[l], [real, imaginary] = this.rowsOf(omega);
    const scale = imaginary === undefined ? 1 : HALF;
    const block = { rows: cOut, columns: cIn, re: new Float64Array(cOut * cIn), im: new Float64Array(cOut * cIn) };
    for (let o = 0; o < cOut; o++)
      for (let i = 0; i < cIn; i++) {
        const at = o * cIn + i;
        block.re[i * cOut + o] = scale * weight[real * cOut * cIn + at];
        if (imaginary !== undefined) block.im[i * cOut + o] = scale * weight[imaginary * cOut * cIn + at];
      }
    return block;
  }

  /** Set what `block` returns. */
  setBlock(l, omega, { re, im }) {
    const { weight, cIn, cOut } = this.layers[l], [real, imaginary] = this.rowsOf(omega);
    const scale = imaginary === undefined ? 1 : 1 / HALF;
    for (let o = 0; o < cOut; o++)
      for (let i = 0; i < cIn; i++) {
        const at = o * cIn + i;
        weight[real * cOut * cIn + at] = scale * re[i * cOut + o];
        if (imaginary !== undefined) weight[imaginary * cOut * cIn + at] = scale * im[i * cOut + o];
      }
  }
}

/** Forward and backward over batches of a fixed size; signals are [n, channels, batch], in Fourier coordinates. */
export class Pass {
  constructor(network, batch) {
    const { n, channels, depth } = network;
    const signal = (c) => new Float64Array(n * c * batch);
    this.network = network;
    this.batch = batch;
    this.inputs = channels.slice(0, -1).map(signal);
    this.outputs = channels.slice(1).map(signal); // α̃ of every layer
    this.activations = channels.slice(1, -1).map(signal); // ReLU(α̃) in pixels
    this.output = this.outputs[depth - 1];
    const room = () => signal(Math.max(...channels));
    [this.slope, this.back, this.pixels] = [room(), room(), room()];
  }

  /** Compute `output` from `inputs[0]`. */
  forward() {
    const { network, batch, inputs, outputs, activations } = this, { dft, layers } = network;
    for (const [l, layer] of layers.entries()) {
      apply(dft, layer, inputs[l], outputs[l], batch);
      if (l === network.depth - 1) break;
      const [pixels, length] = [activations[l], layer.cOut * batch];
      dft.invert(outputs[l], pixels, length);
      for (let j = 0; j < pixels.length; j++) if (pixels[j] < 0) pixels[j] = 0; // NaN stays, and is found in the loss
      dft.transform(pixels, inputs[l + 1], length);
    }
    return this.output;
  }

  /** Data loss of the last `forward`, and its gradient into the network's `gradient`. */
  backward(target) {
    const { network, batch, output, inputs, activations, pixels } = this, { dft, layers } = network;
    let loss = 0;
    for (let j = 0; j < output.length; j++) {
      const error = output[j] - target[j];
      loss += error * error;
      this.slope[j] = (2 * error) / batch;
    }
    network.gradient.fill(0);
    for (let l = network.depth - 1; l >= 0; l--) {
      applyBack(dft, layers[l], inputs[l], this.slope, l ? this.back : null, batch);
      if (!l) break;
      const [length, active] = [layers[l].cIn * batch, activations[l - 1]];
      dft.invert(this.back, pixels, length);
      for (let j = 0; j < active.length; j++) if (!(active[j] > 0)) pixels[j] = 0;
      dft.transform(pixels, this.slope, length);
    }
    return loss / batch;
  }
}

/** One convolution: per pair the real product by [[A, -B], [B, A]], and the bias at the constant frequency. */
function apply({ pairs, selfs }, { weight, bias, cIn, cOut }, x, y, batch) {
  const block = cOut * cIn;
  y.fill(0);
  for (let k = 0; k < pairs; k++)
    for (let o = 0; o < cOut; o++) {
      const yr = (2 * k * cOut + o) * batch, yi = yr + cOut * batch;
      for (let i = 0; i < cIn; i++) {
        const at = 2 * k * block + o * cIn + i, a = HALF * weight[at], b = HALF * weight[at + block];
        const xr = (2 * k * cIn + i) * batch, xi = xr + cIn * batch;
        for (let j = 0; j < batch; j++) {
          const re = x[xr + j], im = x[xi + j];
          y[yr + j] += a * re - b * im;
          y[yi + j] += b * re + a * im;
        }
      }
    }
  for (let r = 2 * pairs; r < 2 * pairs + selfs; r++)
    for (let o = 0; o < cOut; o++)
      for (let i = 0; i < cIn; i++) {
        const a = weight[r * block + o * cIn + i], to = (r * cOut + o) * batch, from = (r * cIn + i) * batch;
        for (let j = 0; j < batch; j++) y[to + j] += a * x[from + j];
      }
  for (let o = 0; o < bias.length; o++) {
    const to = (2 * pairs * cOut + o) * batch;
    for (let j = 0; j < batch; j++) y[to + j] += bias[o];
  }
}

/** Gradients of weight and bias, and into `back`, if there is one, that of the input. */
function applyBack({ pairs, selfs }, layer, x, slope, back, batch) {
  const { weight, weightGradient, biasGradient, cIn, cOut } = layer, block = cOut * cIn;
  back?.fill(0);
  for (let k = 0; k < pairs; k++)
    for (let o = 0; o < cOut; o++) {
      const gr = (2 * k * cOut + o) * batch, gi = gr + cOut * batch;
      for (let i = 0; i < cIn; i++) {
        const at = 2 * k * block + o * cIn + i, xr = (2 * k * cIn + i) * batch, xi = xr + cIn * batch;
        let [da, db] = [0, 0];
        for (let j = 0; j < batch; j++) {
          da += slope[gr + j] * x[xr + j] + slope[gi + j] * x[xi + j];
          db += slope[gi + j] * x[xr + j] - slope[gr + j] * x[xi + j];
        }
        weightGradient[at] += HALF * da;
        weightGradient[at + block] += HALF * db;
        if (!back) continue;
        const a = HALF * weight[at], b = HALF * weight[at + block];
        for (let j = 0; j < batch; j++) {
          const re = slope[gr + j], im = slope[gi + j];
          back[xr + j] += a * re + b * im;
          back[xi + j] += a * im - b * re;
        }
      }
    }
  for (let r = 2 * pairs; r < 2 * pairs + selfs; r++)
    for (let o = 0; o < cOut; o++)
      for (let i = 0; i < cIn; i++) {
        const at = r * block + o * cIn + i, g = (r * cOut + o) * batch, from = (r * cIn + i) * batch;
        for (let j = 0; j < batch; j++) weightGradient[at] += slope[g + j] * x[from + j];
        if (back) for (let j = 0; j < batch; j++) back[from + j] += weight[at] * slope[g + j];
      }
  for (let o = 0; o < biasGradient.length; o++) {
    const g = (2 * pairs * cOut + o) * batch;
    for (let j = 0; j < batch; j++) biasGradient[o] += slope[g + j];
  }
}
