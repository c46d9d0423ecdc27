// The controls: they show settings, and tell when the reader changes one.

import { HEIGHT, MODES, PIXELS, SLIDERS, TARGETS } from "./settings.js";
import { multiplicity } from "./bottleneck.js";

/** An element with attributes and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const modeName = (omega) => (omega ? `${multiplicity(omega, PIXELS) === 2 ? "±" : ""}${omega}` : "DC");

export class Controls {
  /** Fill a form; `changed` is called with the new settings. */
  constructor(form, changed) {
    Object.assign(this, { form, changed, sliders: {} });
    const pick = element("select", { id: "lab-target" });
    for (const [value, text] of Object.entries(TARGETS)) pick.append(element("option", { value }, text));
    this.target = pick;
    form.append(element("div", { class: "lab-field" }, element("label", { for: "lab-target" }, "Task"), pick));
    this.drawing = this.makeDrawing();
    form.append(this.drawing);
    for (const [name, slider] of Object.entries(SLIDERS)) form.append(this.makeSlider(name, slider));
    this.seed = element("input", { id: "lab-seed", type: "number", min: 0, max: 9999, step: 1 });
    form.append(element("div", { class: "lab-field" }, element("label", { for: "lab-seed" }, "Seed"), this.seed));
    form.append(this.makeBudget());
    form.addEventListener("input", ({ target }) => this.onInput(target));
    form.addEventListener("change", () => this.show(this.settings)); // the nearest that is allowed
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  makeSlider(name, { label, values }) {
    const id = `lab-${name}`;
    const input = element("input", { id, type: "range", min: 0, max: values.length - 1, step: 1 });
    const output = element("output", { for: id });
    this.sliders[name] = { input, output, values };
    return element("div", { class: "lab-slider" }, element("label", { for: id }, label), output, input);
  }

  makeBudget() {
    this.hold = element("input", { id: "lab-hold", type: "checkbox" });
    this.ranks = Array.from({ length: MODES }, (_, omega) =>
      element("input", { type: "number", min: 0, max: 12, step: 1, id: `lab-rank-${omega}` }));
    const cells = this.ranks.map((input, omega) => element("span", {}, element("label", { for: input.id }, modeName(omega)), input));
    const modes = element("div", { class: "lab-modes" }, ...cells);
    return element("fieldset", { class: "lab-budget" }, element("legend", {}, "Budget of the middle layers"),
      element("label", { class: "lab-check" }, this.hold, " hold the middle half to these modes"),
      element("p", { class: "lab-small" }, "Channel directions at each mode; 0 closes it."), modes);
  }

  /** One upright slider per pixel; a pointer may draw across them. */
  makeDrawing() {
    this.pixels = Array.from({ length: PIXELS }, (_, p) =>
      element("input", { type: "range", min: 0, max: HEIGHT, step: 1, "aria-label": `height at pixel ${p}` }));
    const pad = element("div", { class: "lab-pad" }, ...this.pixels);
    const draw = (event) => {
      if (!event.buttons) return;
      const { left, top, width, height } = pad.getBoundingClientRect();
      const p = Math.floor(((event.clientX - left) / width) * PIXELS);
      if (p < 0 || p >= PIXELS) return;
      const value = Math.round(HEIGHT * (1 - (event.clientY - top) / height));
      this.pixels[p].value = Math.min(HEIGHT, Math.max(0, value));
      this.onInput(this.pixels[p]);
      event.preventDefault();
    };
    for (const kind of ["pointerdown", "pointermove"]) pad.addEventListener(kind, draw);
    return element("fieldset", { class: "lab-drawing" }, element("legend", {}, "Your bump: draw, or use the arrow keys"), pad);
  }

  /** Show settings. */
  show(settings) {
    this.settings = settings;
    this.target.value = settings.target;
    this.drawing.hidden = settings.target !== "own";
    for (const [name, { input, values }] of Object.entries(this.sliders)) input.value = values.indexOf(settings[name]);
    this.seed.value = settings.seed;
    this.hold.checked = settings.budget !== null;
    for (const [omega, input] of this.ranks.entries()) {
      if (settings.budget) input.value = settings.budget[omega];
      else if (input.value === "") input.value = omega < 2 ? 1 : 0; // a first idea
    }
    for (const [p, input] of this.pixels.entries()) input.value = settings.shape[p];
    this.say();
  }

  /** Write values beside the sliders, and hide what does not matter. */
  say() {
    for (const { input, output, values } of Object.values(this.sliders)) {
      output.textContent = values[input.value];
      input.setAttribute("aria-valuetext", values[input.value]);
    }
    for (const input of this.ranks) input.disabled = !this.hold.checked;
    for (const input of this.pixels) input.style.setProperty("--share", input.value / HEIGHT);
  }

  onInput(input) {
    const whole = (field, most) => Math.min(most, Math.max(0, Math.floor(Number(field.value) || 0)));
    const settings = { ...this.settings, target: this.target.value, seed: whole(this.seed, 9999) };
    for (const [name, slider] of Object.entries(this.sliders)) settings[name] = slider.values[slider.input.value];
    settings.budget = this.hold.checked ? this.ranks.map((field) => whole(field, 12)) : null;
    const shape = this.pixels.map((field) => Number(field.value));
    if (new Set(shape).size > 1) settings.shape = shape;
    else for (const [p, field] of this.pixels.entries()) field.value = settings.shape[p]; // a constant has no place
    this.drawing.hidden = settings.target !== "own";
    this.settings = settings;
    this.say();
    this.changed(settings, input);
  }
}
