// Random numbers that depend on a seed alone, and batches drawn with them.

/** A function that returns uniform numbers in [0, 1): mulberry32. */
export function uniformFrom(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A function that returns standard normal numbers, from one that returns uniform ones. */
export function gaussFrom(uniform) {
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** A function that returns the indices of the next batch: without replacement, shuffled for every pass. */
export function batchesFrom(uniform, samples, size) {
  const order = Int32Array.from({ length: samples }, (_, i) => i);
  let next = samples;
  return () => {
    if (next + size > samples) {
      for (let i = samples - 1; i > 0; i--) {
        const j = Math.floor(uniform() * (i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      next = 0;
    }
    next += size;
    return order.subarray(next - size, next);
  };
}
