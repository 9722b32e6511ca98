/** What stands in the place of a file that is not what was asked for. */
import { systemCode } from '../../core/errors.js'
import type { EntityKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'

export function rewritten(key: EntityKey, path: string): StageIssue {
  return { code: 'STALE_SPAN', key, path, reason: 'the file was rewritten after it was planned', transient: true }
}

export function absent(key: EntityKey, path: string): StageIssue {
  return { code: 'STALE_SPAN', key, path, reason: 'stores of this kind have no such record' }
}

/** Of the error of a system call. */
export function fileIssue(error: unknown, key: EntityKey, path: string): StageIssue {
  if (systemCode(error) === 'ENOENT') return { code: 'STALE_SPAN', key, path, reason: 'the file was removed after it was listed', transient: true }
  return { code: 'UNREADABLE_RECORD', key, path, reason: `it cannot be read (${systemCode(error) ?? String(error)})` }
}
