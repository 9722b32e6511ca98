/** Cursors: where a reading of a session ended, to go on from later, in another process too. */
import { isDocument } from '../core/documents.js'

/** Plain data, which JSON keeps. */
export type Cursor = LogCursor | SignatureCursor

/** The end of a log, with what its next lines may refer to. Opaque but for `kind` and `session`. */
export interface LogCursor {
  readonly kind: 'log'
  readonly session: string
  readonly files: readonly unknown[]
  readonly memory: unknown
}

/** The signature of every message that was read. */
export interface SignatureCursor {
  readonly kind: 'signatures'
  readonly session: string
  readonly signatures: Readonly<Record<string, string>>
}

/** Whether a value from somewhere else has the shape of a cursor; a cursor that fits no session is told when it is used. */
export function isCursor(value: unknown): value is Cursor {
  if (!isDocument(value) || typeof value.session !== 'string') return false
  return value.kind === 'log' ? Array.isArray(value.files) && isDocument(value.memory) : value.kind === 'signatures' && isDocument(value.signatures)
}
