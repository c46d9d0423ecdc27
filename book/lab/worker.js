// Training beside the page: takes {do: "reset" | "run" | "pause" | "step", settings?, run?}, posts snapshots of that run.

import { Trainer } from "./trainer.js";

// Milliseconds of training from one snapshot to the next: more where the snapshot itself takes long, but never too many.
const [BETWEEN, SHARE, MOST] = [120, 8, 1000];
let [trainer, run, running, lasted] = [null, 0, false, 0];

function post() {
  const start = performance.now();
  postMessage({ ...trainer.snapshot(), running, run });
  lasted = performance.now() - start;
}

function work() {
  if (!running) return;
  const end = performance.now() + Math.min(MOST, Math.max(BETWEEN, SHARE * lasted));
  while (!trainer.over && performance.now() < end) trainer.step();
  running = !trainer.over;
  post();
  if (running) setTimeout(work); // messages come in between
}

const actions = {
  reset(told) {
    running = false;
    run = told.run;
    trainer = new Trainer(told.settings);
    post();
  },
  run() {
    if (running || trainer.over) return;
    running = true;
    work();
  },
  pause() {
    running = false;
    post();
  },
  step() {
    running = false;
    if (!trainer.over) trainer.step();
    post();
  },
};

onmessage = ({ data }) => actions[data.do](data);
