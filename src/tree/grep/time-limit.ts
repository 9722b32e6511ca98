/** Work that is ended from outside when it takes too long: a regular expression may try without end, and no turn of ours comes meanwhile. */
import { createContext, Script } from 'node:vm'
import { StorageError, systemCode } from '../../core/errors.js'

/** Does the work. */
export type TimeLimit = <T>(work: () => T) => T

export const unlimited: TimeLimit = (work) => work()

const CALL = new Script('work()')

/**
 * What is ended stays as it is then, without a `finally`: its work must hold nothing that is to be let go. Costs a tenth of a millisecond
 * each time.
 * @throws StorageError INVALID_OPTION
 */
export function limitedTo(ms: number): TimeLimit {
  const context = createContext({})
  return <T>(work: () => T): T => {
    context.work = work
    try {
      return CALL.runInContext(context, { timeout: Math.ceil(ms) })
    } catch (error) {
      if (systemCode(error) !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
      throw new StorageError(
        'INVALID_OPTION',
        { reason: `the expression takes longer than ${ms} ms for a text; it may try without end` },
        { cause: error },
      )
    } finally {
      context.work = undefined
    }
  }
}
