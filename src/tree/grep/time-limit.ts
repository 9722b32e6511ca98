/** Work that is ended from outside when it takes too long: a regular expression may try without end, and no turn of ours comes meanwhile. */
import { createContext, Script } from 'node:vm'
import { StorageError, systemCode } from '../../core/errors.js'

export interface TimeLimit {
  /** Does the work. @throws StorageError INVALID_OPTION */
  within<T>(work: () => T): T
  /** Does what nearly always takes no time; undefined when it does, and is not done. */
  attempt<T extends object>(work: () => T): T | undefined
}

export const unlimited: TimeLimit = { within: (work) => work(), attempt: (work) => work() }

/** Of an attempt, in milliseconds. */
const ATTEMPT_MS = 50

const CALL = new Script('work()')

/**
 * What is ended stays as it is then, without a `finally`: its work must hold nothing that is to be let go. Costs a tenth of a millisecond
 * each time.
 */
export function limitedTo(ms: number): TimeLimit {
  const context = createContext({})
  const call = <T>(work: () => T, timeout: number, late: (cause: unknown) => T): T => {
    context.work = work
    try {
      return CALL.runInContext(context, { timeout })
    } catch (error) {
      if (systemCode(error) !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
      return late(error)
    } finally {
      context.work = undefined
    }
  }
  const tooLong = (cause: unknown): never => {
    const reason = `the expression takes longer than ${ms} ms for a text; it may try without end`
    throw new StorageError('INVALID_OPTION', { reason }, { cause })
  }
  return {
    within: (work) => call(work, Math.ceil(ms), tooLong),
    attempt: <T extends object>(work: () => T) => call<T | undefined>(work, Math.ceil(Math.min(ms, ATTEMPT_MS)), () => undefined),
  }
}
