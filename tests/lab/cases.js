// What the tests run in the browser, after the bundle: its modules are constants of the page.

function networkOf({ n, channels, bias, parameters }) {
  const made = new $network.Network({ n, channels, bias });
  made.parameters.set(parameters);
  return made;
}

/** Rows of signals, [samples][channels * n], as a pass reads them, in Fourier coordinates. */
function arranged(signals, n, out) {
  const pixels = new Float64Array(out.length), length = out.length / n, channels = length / signals.length;
  signals.forEach((row, j) => {
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < n; p++) pixels[p * length + c * signals.length + j] = row[c * n + p];
  });
  new $real_dft.RealDFT(n).transform(pixels, out, length);
  return out;
}

/** Product of complex matrices. */
function times(a, b) {
  const [re, im] = [new Float64Array(a.rows * b.columns), new Float64Array(a.rows * b.columns)];
  for (let c = 0; c < b.columns; c++)
    for (let k = 0; k < a.rows; k++)
      for (let i = 0; i < b.rows; i++) {
        const [p, q] = [i * a.rows + k, c * b.rows + i];
        re[c * a.rows + k] += a.re[p] * b.re[q] - a.im[p] * b.im[q];
        im[c * a.rows + k] += a.re[p] * b.im[q] + a.im[p] * b.re[q];
      }
  return { rows: a.rows, columns: b.columns, re, im };
}

const checks = {
  /** Loss, gradient and spectra of a network. */
  network(sizes) {
    const { n, x, y } = sizes, made = networkOf(sizes), pass = new $network.Pass(made, x.length);
    arranged(x, n, pass.inputs[0]);
    pass.forward();
    const loss = pass.backward(arranged(y, n, new Float64Array(pass.output.length)));
    return { loss, norm: made.norm(), gradient: [...made.gradient], spectra: $bottleneck.spectraOf(made) };
  },
  /** Losses of some steps on given batches, and the network after them. */
  train(run) {
    const { n, x, y, batches, budget, layers } = run, made = networkOf(run);
    const optimiser = new $adam.Adam(made.parameters.length, run), pass = new $network.Pass(made, batches[0].length);
    const held = budget && new $budget.Confinement(made, budget, layers);
    const losses = [], target = new Float64Array(pass.output.length);
    for (const batch of batches) {
      const chosen = (rows) => batch.map((i) => rows[i]);
      arranged(chosen(x), n, pass.inputs[0]);
      pass.forward();
      losses.push(pass.backward(arranged(chosen(y), n, target)));
      held?.maskGradient();
      optimiser.step(made.parameters, made.gradient);
      if (held && optimiser.taken % $budget.EVERY === 0) held.project();
    }
    return { losses, parameters: [...made.parameters], spectra: $bottleneck.spectraOf(made) };
  },
  /** Spectra after the alignment to a budget, and the norm of the product of the held layers' blocks at ω = 1. */
  align(sizes) {
    const made = networkOf(sizes), held = new $budget.Confinement(made, sizes.budget, sizes.layers);
    held.align();
    const product = held.layers.map((l) => made.block(l, 1)).reduce((so_far, next) => times(next, so_far));
    return { spectra: $bottleneck.spectraOf(made), product: Math.hypot(...product.re, ...product.im) };
  },
  transform({ n, x }) {
    const dft = new $real_dft.RealDFT(n), there = new Float64Array(n), back = new Float64Array(n);
    dft.transform(Float64Array.from(x), there, 1);
    dft.invert(there, back, 1);
    return { there: [...there], back: [...back] };
  },
  singularValues: ({ re, im, rows, columns }) =>
    $svd.singularValues({ rows, columns, re: Float64Array.from(re), im: Float64Array.from(im) }),
  bottleneck: ({ spectra, n }) => $bottleneck.measureBottleneck(spectra, n),
};
