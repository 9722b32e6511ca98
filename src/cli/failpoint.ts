/** `SPANLEAF_FAILPOINT=name:nth` ends the process at the nth passage of a crash point, for crash tests; see docs/indexer.md. */
import { StorageError } from '../index.js'
import { FAILPOINTS } from '../indexer/index.js'

let passages = 0

/** One count for all that pass the point. @throws StorageError INVALID_OPTION */
export function failpointOf(env: Readonly<Record<string, string | undefined>>): ((name: string) => void) | undefined {
  const text = env.SPANLEAF_FAILPOINT
  if (text === undefined) return undefined
  const [, name, nth = '1'] = /^([a-z])(?::([1-9]\d{0,8}))?$/.exec(text) ?? []
  if (name === undefined || !Object.hasOwn(FAILPOINTS, name))
    throw new StorageError('INVALID_OPTION', {
      reason: `SPANLEAF_FAILPOINT must be one of ${Object.keys(FAILPOINTS).join(', ')}, a colon and a number`,
    })
  return (passed) => {
    if (passed === name && ++passages === Number(nth)) process.kill(process.pid, 'SIGKILL')
  }
}
