// Training beside the page: takes {do: "reset" | "run" | "pause" | "step", settings?}, posts snapshots.

import { Trainer } from "./trainer.js";

const BETWEEN = 120; // milliseconds from one snapshot to the next
let [trainer, running] = [null, false];

const post = () => postMessage({ ...trainer.snapshot(), running });

function work() {
  if (!running) return;
  const end = performance.now() + BETWEEN;
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
