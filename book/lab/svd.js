// Singular values of complex matrices by one-sided Jacobi rotations: pairs of columns are turned until all are orthogonal.
// A matrix is {rows, columns, re, im}, its columns one after the other. Small values are as exact as large ones.

const [CLOSE, NOTHING, SWEEPS] = [1e-15, 1e-30, 40];

/** Turn the columns of a matrix, in place, into U S of its singular value decomposition A V = U S (in no order). */
export function orthogonalise(matrix) {
  const { rows, columns, re, im } = matrix;
  const floor = NOTHING * squares(re, im, 0, re.length);
  for (let sweep = 0, turned = true; turned && sweep < SWEEPS; sweep++) {
    turned = false;
    for (let p = 0; p < columns; p++)
      for (let q = p + 1; q < columns; q++) turned = turn(re, im, p * rows, q * rows, rows, floor) || turned;
  }
  return matrix;
}

function turn(re, im, p, q, rows, floor) {
  let [alpha, beta, real, imaginary] = [0, 0, 0, 0];
  for (let k = 0; k < rows; k++) {
    const [a, b, c, d] = [re[p + k], im[p + k], re[q + k], im[q + k]];
    alpha += a * a + b * b;
    beta += c * c + d * d;
    real += a * c + b * d;
    imaginary += a * d - b * c;
  }
  const size = Math.hypot(real, imaginary);
  if (!(size > CLOSE * Math.sqrt(alpha * beta) && size > floor)) return false;
  const zeta = (beta - alpha) / (2 * size);
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + t * t), s = c * t;
  const [x, y] = [real / size, -imaginary / size]; // turns the second column's phase to that of the first
  for (let k = 0; k < rows; k++) {
    const [a, b] = [re[p + k], im[p + k]];
    const u = re[q + k] * x - im[q + k] * y, v = re[q + k] * y + im[q + k] * x;
    re[p + k] = c * a - s * u;
    im[p + k] = c * b - s * v;
    re[q + k] = s * a + c * u;
    im[q + k] = s * b + c * v;
  }
  return true;
}

function squares(re, im, start, end) {
  let sum = 0;
  for (let k = start; k < end; k++) sum += re[k] * re[k] + im[k] * im[k];
  return sum;
}

/** The columns' numbers and norms, largest norm first. */
export function columnNorms({ rows, columns, re, im }) {
  const norms = Array.from({ length: columns }, (_, c) => Math.sqrt(squares(re, im, c * rows, (c + 1) * rows)));
  return norms.map((norm, column) => ({ column, norm })).sort((a, b) => b.norm - a.norm);
}

/** Singular values, largest first. */
export function singularValues(matrix) {
  const { rows, columns } = matrix;
  const tall = rows >= columns ? { ...matrix, re: matrix.re.slice(), im: matrix.im.slice() } : transposed(matrix);
  return columnNorms(orthogonalise(tall)).map(({ norm }) => norm);
}

function transposed({ rows, columns, re, im }) {
  const swap = (values) => values.map((_, k) => values[(k % columns) * rows + Math.floor(k / columns)]);
  return { rows: columns, columns: rows, re: swap(re), im: swap(im) };
}

/** The left singular vectors, as columns, and the values; only those that are not 0. */
export function leftVectors(matrix, count = Infinity) {
  const turned = orthogonalise({ ...matrix, re: matrix.re.slice(), im: matrix.im.slice() });
  const top = columnNorms(turned).slice(0, Math.min(count, matrix.rows)).filter(({ norm }) => norm > 0);
  return top.map(({ column, norm }) => {
    const part = (values) => values.slice(column * matrix.rows, (column + 1) * matrix.rows).map((v) => v / norm);
    return { re: part(turned.re), im: part(turned.im), value: norm };
  });
}

/** The nearest matrix of a rank: U U* A with the first left singular vectors. */
export function ofRank(matrix, rank) {
  const { rows, columns, re, im } = matrix;
  if (rank >= Math.min(rows, columns)) return matrix;
  const out = { rows, columns, re: new Float64Array(re.length), im: new Float64Array(im.length) };
  for (const u of leftVectors(matrix, rank))
    for (let c = 0; c < columns; c++) {
      const at = c * rows;
      let [x, y] = [0, 0]; // u* a
      for (let k = 0; k < rows; k++) {
        x += u.re[k] * re[at + k] + u.im[k] * im[at + k];
        y += u.re[k] * im[at + k] - u.im[k] * re[at + k];
      }
      for (let k = 0; k < rows; k++) {
        out.re[at + k] += u.re[k] * x - u.im[k] * y;
        out.im[at + k] += u.re[k] * y + u.im[k] * x;
      }
    }
  return out;
}
