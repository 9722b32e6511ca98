import { setTimeout as delay } from 'node:timers/promises'

/** Until what was written so far bears a time that a later look is sure of: what was written within the clock's grain of one is looked at again. */
export const pastGrain = (): Promise<void> => delay(60)
