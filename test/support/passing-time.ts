/** Time that passes in a test: by the fake clock, with room for what it wakes. */
import { setImmediate as turn } from 'node:timers/promises'
import type { FakeClock } from './index-world.js'

/** Lets everything run that waits for no time. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await turn()
}

export async function pass(clock: FakeClock, ms: number, step = 500): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    clock.advance(Math.min(step, ms - passed))
    await settle()
  }
}

/** Passes time until it is so; a test that waits in vain fails. */
export async function until(clock: FakeClock, isSo: () => boolean | Promise<boolean>, { ms = 60_000, step = 500 } = {}): Promise<number> {
  await settle()
  for (let passed = 0; passed <= ms; passed += step) {
    if (await isSo()) return passed
    await pass(clock, step, step)
  }
  throw new Error(`it is not so after ${ms} ms`)
}
