// What a reader may set, and how an address says it: `#target=bump&depth=8`.

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

export const MODES = 9; // of a circle of 16 pixels: ω = 0 .. 8
export const PIXELS = 16;
export const HEIGHT = 10; // of a drawn bump, in parts of 1
const MOST_SEED = 9999;

export const TARGETS = {
  bump: "copy a bump",
  "pass-1": "keep ±1 of noise",
  "pass-2": "keep ±2 of noise",
  product: "multiply two waves",
  own: "copy your own bump",
};

/** What a slider goes through. */
export const SLIDERS = {
  depth: { label: "Depth L", values: range(2, 12) },
  width: { label: "Width (channels)", values: range(2, 12) },
  ridge: { label: "Ridge λ", values: [0, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2] },
  rate: { label: "Learning rate", values: [1e-4, 3e-4, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 1] },
  gain: { label: "Initial gain", values: [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4] },
  steps: { label: "Steps", values: [500, 1000, 2000, 4000, 8000, 16000] },
};

export const DEFAULTS = {
  target: "bump", depth: 8, width: 6, ridge: 0.01, rate: 0.003, gain: 1, steps: 2000, seed: 0,
  budget: null, // or directions at each mode
  shape: [0, 0, 1, 4, 8, 10, 9, 6, 3, 1, 0, 0, 0, 0, 0, 0], // of the drawn bump
};

const NUMBER = /^(0|[1-9]\d*)?(\.\d+)?(e[+-]?\d+)?$/;
const WHOLE = /^(0|[1-9]\d*)$/;

/** Readers of a value: what it means, or null, and what is allowed. */
const READERS = {
  target: { read: (text) => (Object.hasOwn(TARGETS, text) ? text : null), allowed: `one of ${Object.keys(TARGETS).join(", ")}` },
  seed: { read: (text) => (WHOLE.test(text) && Number(text) <= MOST_SEED ? Number(text) : null), allowed: `a whole number from 0 to ${MOST_SEED}` },
  budget: { read: readBudget, allowed: `a list like 0:1,1:2 (mode:directions, modes 0 to ${MODES - 1}, 1 to 12 directions), or nothing` },
  shape: { read: readShape, allowed: `${PIXELS} whole numbers from 0 to ${HEIGHT} with dots between, not all equal` },
  ...Object.fromEntries(Object.entries(SLIDERS).map(([name, { values }]) => [name, {
    read: (text) => (text && NUMBER.test(text) && values.includes(Number(text)) ? Number(text) : null),
    allowed: `one of ${values.join(", ")}`,
  }])),
};

function readBudget(text) {
  const ranks = Array(MODES).fill(0);
  if (text === "nothing") return ranks;
  for (const item of text.split(",")) {
    const [mode, count, ...more] = item.split(":");
    const good = more.length === 0 && WHOLE.test(mode) && mode < MODES && WHOLE.test(count) && count >= 1 && count <= 12;
    if (!good || ranks[mode]) return null;
    ranks[mode] = Number(count);
  }
  return ranks;
}

function readShape(text) {
  const values = text.split(".");
  const good = values.length === PIXELS && values.every((v) => WHOLE.test(v) && v <= HEIGHT) && new Set(values).size > 1;
  return good ? values.map(Number) : null;
}

/** The settings that a fragment says, and what is wrong with it, a sentence each; what is wrong keeps its default. */
export function readFragment(fragment) {
  const [settings, problems] = [structuredClone(DEFAULTS), []];
  const text = fragment.replace(/^#/, "");
  for (const item of text.includes("=") ? text.split("&") : []) { // without "=" it is a place on the page
    const [name, coded = ""] = item.split(/=(.*)/s);
    let value = coded;
    try {
      value = decodeURIComponent(coded);
    } catch {
      // taken as it is, and refused below
    }
    if (!Object.hasOwn(READERS, name)) {
      problems.push(`“${name}” is no setting; there are ${Object.keys(READERS).join(", ")}.`);
      continue;
    }
    const { read, allowed } = READERS[name], found = read(value);
    if (found === null) problems.push(`${name} must be ${allowed}, not “${value}”. The page uses its default.`);
    else settings[name] = found;
  }
  return { settings, problems };
}

/** The fragment that says the settings: those that are not the defaults. */
export function writeFragment(settings) {
  const told = {
    ...settings,
    budget: settings.budget && (settings.budget.flatMap((count, mode) => (count ? [`${mode}:${count}`] : [])).join(",") || "nothing"),
    shape: settings.target === "own" ? settings.shape.join(".") : null,
  };
  const items = Object.keys(DEFAULTS).flatMap((name) => {
    const isDefault = told[name] === null || told[name] === DEFAULTS[name];
    return isDefault ? [] : [`${name}=${told[name]}`];
  });
  return `#${items.join("&") || "target=bump"}`;
}
