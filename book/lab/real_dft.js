// The DFT of real signals on a circle as an orthogonal matrix, as in cbnlib.network.real_dft.
//
// A signal on n pixels has n real coordinates: √2 Re x̂(ω) and √2 Im x̂(ω) for each pair ±ω, one pair after the
// other, then x̂(0) and, if n is even, x̂(n/2). Signals lie pixel-major: row p holds pixel p of all channels and samples.
// A cosine is even around pixel 0 and a sine is odd, so the pixels p and n - p are folded first: half the products.

/** Add to a row of `out` the rows `x, x + stride, ...` of `rows`, each times an entry of `matrix`. */
function addRows(out, y, matrix, m, count, rows, x, stride, length) {
  let s = 0;
  for (; s + 4 <= count; s += 4) {
    const [m0, m1, m2, m3] = [matrix[m + s], matrix[m + s + 1], matrix[m + s + 2], matrix[m + s + 3]];
    const x0 = x + s * stride, x1 = x0 + stride, x2 = x1 + stride, x3 = x2 + stride;
    for (let j = 0; j < length; j++)
      out[y + j] += m0 * rows[x0 + j] + m1 * rows[x1 + j] + m2 * rows[x2 + j] + m3 * rows[x3 + j];
  }
  for (; s < count; s++) {
    const factor = matrix[m + s], x0 = x + s * stride;
    for (let j = 0; j < length; j++) out[y + j] += factor * rows[x0 + j];
  }
}

export class RealDFT {
  constructor(n) {
    this.n = n;
    this.pairs = Math.floor((n - 1) / 2);
    this.selfs = n - 2 * this.pairs;
    const { pairs, selfs } = this;
    const own = [0, n / 2].slice(0, selfs); // the frequencies, and the pixels, that are their own mirror image
    const low = Array.from({ length: pairs }, (_, k) => k + 1);
    const wave = (f, scale, omegas, pixels) =>
      Float64Array.from(omegas.flatMap((w) => pixels.map((p) => scale * f((2 * Math.PI * ((w * p) % n)) / n))));
    const [pair, self] = [Math.sqrt(2 / n), Math.sqrt(1 / n)];
    const pixels = [...low, ...own];
    const cosines = [...wave(Math.cos, pair, low, pixels), ...wave(Math.cos, self, own, pixels)];
    const size = pairs + selfs;
    this.even = Float64Array.from(cosines); // [pairs and selfs, folded pixels]
    this.evenBack = Float64Array.from(cosines, (_, i) => cosines[(i % size) * size + Math.floor(i / size)]);
    this.odd = wave((angle) => -Math.sin(angle), pair, low, low); // symmetric
    this.folded = new Float64Array(0);
  }

  /** Degree of each coordinate's frequency. */
  get degrees() {
    const { n, pairs } = this;
    return Array.from({ length: n }, (_, r) => (r < 2 * pairs ? 1 + (r >> 1) : ((r - 2 * pairs) * n) / 2));
  }

  room(length) {
    if (this.folded.length < this.n * length) this.folded = new Float64Array(this.n * length);
    return this.folded;
  }

  /** Coordinates of signals, both [n, length]. */
  transform(x, out, length) {
    const { n, pairs, selfs } = this, f = this.room(length), size = pairs + selfs;
    for (let k = 0; k < pairs; k++) {
      const sum = k * length, rest = (size + k) * length, here = (k + 1) * length, there = (n - k - 1) * length;
      for (let j = 0; j < length; j++) {
        f[sum + j] = x[here + j] + x[there + j];
        f[rest + j] = x[here + j] - x[there + j];
      }
    }
    for (let i = 0; i < selfs; i++) {
      const to = (pairs + i) * length, from = ((i * n) / 2) * length;
      for (let j = 0; j < length; j++) f[to + j] = x[from + j];
    }
    out.fill(0, 0, n * length);
    for (let k = 0; k < pairs; k++) {
      addRows(out, 2 * k * length, this.even, k * size, size, f, 0, length, length);
      addRows(out, (2 * k + 1) * length, this.odd, k * pairs, pairs, f, size * length, length, length);
    }
    for (let i = 0; i < selfs; i++)
      addRows(out, (2 * pairs + i) * length, this.even, (pairs + i) * size, size, f, 0, length, length);
  }

  /** Signals from their coordinates, both [n, length]: the transpose of `transform`. */
  invert(xHat, out, length) {
    const { n, pairs, selfs } = this, f = this.room(length), size = pairs + selfs;
    f.fill(0, 0, n * length);
    for (let k = 0; k < size; k++) {
      addRows(f, k * length, this.evenBack, k * size, pairs, xHat, 0, 2 * length, length);
      addRows(f, k * length, this.evenBack, k * size + pairs, selfs, xHat, 2 * pairs * length, length, length);
    }
    for (let k = 0; k < pairs; k++)
      addRows(f, (size + k) * length, this.odd, k * pairs, pairs, xHat, length, 2 * length, length);
    for (let k = 0; k < pairs; k++) {
      const sum = k * length, rest = (size + k) * length, here = (k + 1) * length, there = (n - k - 1) * length;
      for (let j = 0; j < length; j++) {
        out[here + j] = f[sum + j] + f[rest + j];
        out[there + j] = f[sum + j] - f[rest + j];
      }
    }
    for (let i = 0; i < selfs; i++) {
      const from = (pairs + i) * length, to = ((i * n) / 2) * length;
      for (let j = 0; j < length; j++) out[to + j] = f[from + j];
    }
  }
}
