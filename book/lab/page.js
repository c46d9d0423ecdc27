// The page: joins controls, worker, pictures and predictions.

import { KEPT, middleLayer, modesInWords } from "./bottleneck.js";
import { Controls } from "./controls.js";
import { Plot } from "./plot.js";
import { Predictions } from "./predictions.js";
import { DEFAULTS, PIXELS, readFragment, writeFragment } from "./settings.js";
import { drawPredictions, VIEWS } from "./views.js";

const SAID_EVERY = 2500; // milliseconds between two readings of the words while training runs
const CALM = 1000; // between two pictures, for readers who want less motion

class Lab {
  constructor(root) {
    this.root = root;
    this.seen = null; // the last snapshot
    this.counted = false; // whether this run's prediction has met its outcome
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    const plots = [...root.querySelectorAll("canvas[data-view]")];
    this.plots = plots.map((canvas) => ({ draw: VIEWS[canvas.dataset.view], plot: new Plot(canvas) }));
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    Object.assign(this, { runs: 0, drawn: 0, said: 0, waiting: false });
    const source = root.querySelector("script[type='text/plain']").textContent;
    this.worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => data.run === this.runs && this.show(data); // not of a run before the last reset
    this.worker.onerror = ({ message }) => this.complain([`Training stopped: ${message}. Reload the page.`]);
    for (const button of root.querySelectorAll("button[data-do]"))
      button.addEventListener("click", () => this[button.dataset.do]());
    this.setUpPredictions();
    if (this.part("controls")) {
      this.controls = new Controls(this.part("controls"), (settings) => this.reset(settings));
      addEventListener("hashchange", () => this.readAddress());
      this.readAddress();
    } else this.reset(structuredClone(DEFAULTS));
    this.watchLooks();
    root.hidden = false;
  }

  /** Take the settings that the address says. */
  readAddress() {
    const { settings, problems } = readFragment(location.hash);
    this.controls.show(settings);
    this.complain(problems);
    this.reset(settings);
  }

  complain(problems) {
    const box = this.part("problem");
    if (!box) return;
    box.textContent = problems.join(" ");
    box.hidden = !problems.length;
  }

  reset(settings = this.settings) {
    Object.assign(this, { settings, seen: null, counted: false, said: 0 });
    this.worker.postMessage({ do: "reset", settings, run: ++this.runs });
  }

  /** The main button: run, pause, or start anew. */
  run() {
    if (!this.hasFairPrediction()) return;
    if (this.seen?.over) this.reset();
    this.worker.postMessage({ do: this.seen?.running ? "pause" : "run" });
  }

  step() {
    if (!this.hasFairPrediction()) return;
    this.worker.postMessage({ do: "step" });
  }

  async share() {
    history.replaceState(null, "", writeFragment(this.settings));
    let told = "The address of this page now holds these settings.";
    try {
      await navigator.clipboard.writeText(location.href);
      told = "The address of this page now holds these settings, and is in the clipboard.";
    } catch {
      // a page may be denied the clipboard; the address bar has it
    }
    this.part("shared").textContent = told;
    setTimeout(() => (this.part("shared").textContent = ""), 8000);
  }

  /** Take a snapshot from the worker. */
  show(seen) {
    this.seen = seen;
    const main = this.root.querySelector("[data-do='run']");
    main.textContent = seen.running ? "Pause" : seen.over ? "Run again" : seen.step ? "Go on" : "Run";
    const step = this.root.querySelector("[data-do='step']");
    if (step) step.disabled = seen.over;
    this.part("clock").textContent = `step ${seen.step} of ${this.settings.steps}`;
    this.part("progress").value = seen.step / this.settings.steps;
    if (this.predicting) this.meet(seen);
    this.say();
    this.drawSoon();
  }

  /** The state in words; while training runs only now and then, so that it can be read out. */
  say() {
    const { seen } = this, now = performance.now();
    if (seen.running && now - this.said < SAID_EVERY) return;
    this.said = now;
    const text = inWords(seen);
    if (this.part("words").textContent !== text) this.part("words").textContent = text;
  }

  drawSoon() {
    if (this.waiting) return;
    this.waiting = true;
    const rest = this.still.matches && this.seen?.running ? this.drawn + CALM - performance.now() : 0;
    setTimeout(() => requestAnimationFrame(() => this.draw()), Math.max(0, rest));
  }

  draw() {
    this.waiting = false;
    if (!this.seen) return;
    this.drawn = performance.now();
    for (const { draw, plot } of this.plots)
      if (plot.canvas.clientWidth && (this.seen.spectra || draw === VIEWS.loss)) draw(plot, this.seen);
    if (this.predicting?.plot.canvas.clientWidth) drawPredictions(this.predicting.plot, this.predicting.all.list);
  }

  /** Draw anew when the theme or the size changes. */
  watchLooks() {
    const again = () => this.seen && this.drawSoon();
    new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    new ResizeObserver(again).observe(this.root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  setUpPredictions() {
    const field = this.part("prediction");
    if (!field) return;
    const all = new Predictions();
    this.predicting = { field, all, plot: new Plot(this.part("against")) };
    this.tellPredictions();
  }

  /** Whether the prediction is empty or one that a layer can meet; else the browser says what is wrong. */
  hasFairPrediction() {
    return this.predicting?.field.reportValidity() ?? true;
  }

  /** Let the prediction be made before the run only, and meet its outcome at the end. */
  meet(seen) {
    const { field, all } = this.predicting, layer = middleLayer(this.settings.depth);
    this.part("layer").textContent = layer;
    field.disabled = seen.step > 0;
    const result = this.part("result"), predicted = Number(field.value);
    const made = field.value !== "";
    if (!seen.over || !made) {
      result.textContent = made && seen.step ? `You predict ${predicted}.` : "";
      return;
    }
    const kept = seen.diverged ? null : seen.kept[layer - 1];
    result.textContent = seen.diverged
      ? `You predicted ${predicted}; the run diverged.`
      : `You predicted ${predicted}, layer ${layer} keeps ${kept}${kept === predicted ? ": right." : "."}`;
    if (this.counted) return;
    this.counted = true;
    all.add({ settings: this.settings, layer, predicted, kept });
    this.tellPredictions();
  }

  tellPredictions() {
    const { all } = this.predicting;
    const where = all.kept ? "" : " This browser does not store them: export them before you leave the page.";
    this.part("record").textContent = all.inWords + where;
    for (const name of ["exportAll", "clearAll"]) this.root.querySelector(`[data-do='${name}']`).disabled = !all.list.length;
  }

  exportAll() {
    const file = new Blob([this.predicting.all.exported], { type: "application/json" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "predictions.json" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  clearAll() {
    this.predicting.all.clear();
    this.tellPredictions();
    this.drawSoon();
  }
}

/** What a snapshot shows, in a few sentences. */
function inWords({ step, over, diverged, kept, bottleneck, settings }) {
  if (diverged)
    return `Training diverged by step ${step}: the weights or the loss grew without bound. Choose a smaller learning rate or initial gain.`;
  const layers = `Real dimensions kept by layer: ${kept.join(", ")}.`;
  if (!step) return `Before training. ${layers} A dimension is kept if its singular value exceeds ${KEPT}.`;
  const middle = middleLayer(settings.depth);
  const found = bottleneck
    ? `Bottleneck: layers ${bottleneck.first} to ${bottleneck.last} keep ${modesInWords(bottleneck.counts, PIXELS)}, that is ` +
      `${bottleneck.dimensions} real ${bottleneck.dimensions === 1 ? "dimension" : "dimensions"}.`
    : kept[middle - 1] === 0
      ? `Layer ${middle} keeps nothing: the output may ignore the input. ` +
        (settings.budget?.some(Boolean) === false ? "The budget allows no mode." : "A smaller ridge or a larger gain helps.")
      : `No bottleneck${over ? "" : " so far"}: no two layers in a row keep the same few modes.`;
  return `${over ? `After ${step} steps.` : `Step ${step}.`} ${layers} ${found}`;
}

function start() {
  for (const root of document.querySelectorAll("[data-lab]:not([data-started])")) {
    root.dataset.started = "";
    new Lab(root);
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
