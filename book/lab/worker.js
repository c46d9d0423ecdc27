// Training beside the page: takes {do: "reset" | "run" | "pause" | "step", settings?}, posts snapshots.

import { Trainer } from "./trainer.js";

const [BETWEEN, SHARE] = [120, 8]; // milliseconds of training from one snapshot to the next; at least so often a snapshot's own
let [trainer, running, lasted] = [null, false, 0];

function post() {
  const start = performance.now();
  postMessage({ ...trainer.snapshot(), running });
  lasted = performance.now() - start;
}

function work() {
  if (!running) return;
  const end = performance.now() + Math.max(BETWEEN, SHARE * lasted);
  while (!trainer.over && performance.now() < end) trainer.step();
  running = !trainer.over;
  post();
  if (running) setTimeout(work); // messages come in between
}

const actions = {
  reset(settings) {
    running = false;
    trainer = new Trainer(settings);
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

onmessage = ({ data }) => actions[data.do](data.settings);
