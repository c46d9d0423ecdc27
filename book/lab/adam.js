// Adam with the ridge as weight decay 2λ, and a rate that falls like a cosine to 0, as cbnlib.training.schedule sets up.

const [FIRST, SECOND, EPSILON] = [0.9, 0.999, 1e-8];

export class Adam {
  /** For so many parameters; `steps` is where the rate reaches 0. */
  constructor(size, { rate, ridge, steps }) {
    Object.assign(this, { rate, ridge, steps, taken: 0 });
    this.mean = new Float64Array(size);
    this.square = new Float64Array(size);
  }

  /** The rate of the next step. */
  get nextRate() {
    return 0.5 * this.rate * (1 + Math.cos((Math.PI * this.taken) / this.steps));
  }

  /** Change the parameters by one step along the gradient of the data loss. */
  step(parameters, gradient) {
    const { mean, square, ridge } = this, rate = this.nextRate;
    this.taken++;
    const [mend, root] = [1 - FIRST ** this.taken, Math.sqrt(1 - SECOND ** this.taken)];
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i] + 2 * ridge * parameters[i];
      mean[i] += (1 - FIRST) * (g - mean[i]);
      square[i] = SECOND * square[i] + (1 - SECOND) * g * g;
      parameters[i] -= ((rate / mend) * mean[i]) / (Math.sqrt(square[i]) / root + EPSILON);
    }
  }
}
