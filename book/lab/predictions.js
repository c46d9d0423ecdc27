// Predictions and what came of them, kept on the reader's machine only.

const [KEY, MOST] = ["cbn-train-it-here", 500];
const FORMAT = { format: "cbn-predictions", version: 1 };

export class Predictions {
  constructor() {
    this.list = [];
    this.kept = true; // whether the browser keeps them
    try {
      const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      if (Array.isArray(found)) this.list = found.filter(isPrediction);
      localStorage.setItem(KEY, JSON.stringify(this.list));
    } catch {
      this.kept = false;
    }
  }

  /** Note what was predicted for a run, and what it kept: null if it diverged. */
  add({ settings, layer, predicted, kept }) {
    const { shape, ...told } = settings;
    this.list = [...this.list, { ...told, ...(settings.target === "own" && { shape }), layer, predicted, kept }].slice(-MOST);
    this.save();
  }

  clear() {
    this.list = [];
    this.save();
  }

  save() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.list));
    } catch {
      this.kept = false;
    }
  }

  /** How they went, in a sentence. */
  get inWords() {
    const told = this.list.filter(({ kept }) => kept !== null), right = told.filter(({ predicted, kept }) => predicted === kept);
    const [runs, diverged] = [told.length, this.list.length - told.length];
    if (!this.list.length) return "No predictions yet.";
    const also = diverged ? ` ${diverged} more diverged.` : "";
    return `Right in ${right.length} of ${runs} ${runs === 1 ? "run" : "runs"}.${also}`;
  }

  /** What a class exchanges, as JSON. */
  get exported() {
    return JSON.stringify({ ...FORMAT, predictions: this.list }, null, 1);
  }
}

const isWhole = (value) => Number.isInteger(value) && value >= 0;

function isPrediction(found) {
  return found !== null && typeof found === "object" && isWhole(found.predicted) && (found.kept === null || isWhole(found.kept));
}
