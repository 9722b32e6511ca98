/** Chance that a seed repeats. */

/** Uniform in [0, 1). */
export function randomOf(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A whole number in [from, to]. */
export function between(random, from, to) {
  return from + Math.floor(random() * (to - from + 1))
}

export function oneOf(random, items) {
  return items[Math.floor(random() * items.length)]
}
