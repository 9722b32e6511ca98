/** Whether one record is whole: its syntax, and the shape that its kind needs. */
import { isDocument, type Reading } from '../../core/documents.js'
import { type ErrorCode, StorageError } from '../../core/errors.js'
import type { RecordFormat } from '../../core/formats.js'
import { parseProjectId } from '../../core/ids.js'
import type { MessageKey, PartKey, SessionKey } from '../../core/keys.js'
import { toDiffs, toProject, toTodos } from '../../core/records.js'
import type { StageIssue } from '../../core/stage.js'
import { JSON_DAMAGES, type JsonDamage } from '../../storage/json-damage.js'
import type { JsonValidator } from '../../storage/json-validator.js'
import { checkSpan, parseSpan, type Span } from '../../storage/span.js'
import type { CensusKind, CensusRecord, ColumnText } from '../../storage/store.js'

/** What may be wrong with a record. */
export type RecordDamage = JsonDamage | 'wrong shape' | 'missing parent' | 'unreadable'

export interface RecordFlaw {
  readonly code: ErrorCode
  readonly damage: RecordDamage
  /** One clause. */
  readonly reason: string
  /** In bytes from the start of the document, where it is known. */
  readonly offset?: number | undefined
  /** The column that is damaged, where it is not the record's document. */
  readonly column?: string | undefined
  /** Written moments ago: reading again may give the record. */
  readonly transient?: boolean | undefined
}

export interface CheckedRecord {
  readonly flaw?: RecordFlaw
  /** Parts inside a message's own document. */
  readonly inside: number
}

const WHOLE: CheckedRecord = { inside: 0 }

/** With a validator, a document whose inside needs no type is checked without being built; the verdict is the same. */
export function checkRecord(format: RecordFormat, record: CensusRecord, validator: JsonValidator | undefined): CheckedRecord {
  const { kind, leaf, columns } = record
  if (leaf.span === undefined) return damaged(unreadable(leaf.issue))
  try {
    const checked = kind === 'message' ? checkMessage(format, record, leaf.span) : checkShape(format, record, leaf.span, validator)
    if (columns === undefined || checked.flaw !== undefined) return checked
    const flaw = columnFlaw(columns, validator)
    return flaw === undefined ? checked : damaged(flaw)
  } catch (error) {
    const flaw = flawOf(error)
    return damaged(leaf.torn === true ? { ...flaw, transient: true } : flaw)
  }
}

function damaged(flaw: RecordFlaw): CheckedRecord {
  return { flaw, inside: 0 }
}

function unreadable({ code, reason, transient }: StageIssue): RecordFlaw {
  return transient === true ? { code, damage: 'unreadable', reason, transient } : { code, damage: 'unreadable', reason }
}

function checkMessage(format: RecordFormat, { key }: CensusRecord, span: Span): CheckedRecord {
  const reading = format.message(parseSpan(span), key as MessageKey, span.source.type)
  return 'damage' in reading ? damaged(wrongShape(reading.damage)) : { inside: reading.record.parts.length }
}

/** What the outermost bracket must be; undefined where anything will do, or where more of the inside is looked at. */
const BRACKETS: Partial<Record<CensusKind, string>> = { session: '{', project: '{', diff: '[' }

function checkShape(format: RecordFormat, record: CensusRecord, span: Span, validator: JsonValidator | undefined): CheckedRecord {
  if (validator !== undefined && record.kind !== 'part') {
    const text = checkSpan(span, validator)
    const bracket = record.kind === 'todo' && !isRow(span) ? '[' : BRACKETS[record.kind]
    if (bracket === undefined || text.charAt(text.search(/\S/)) === bracket) return WHOLE
  }
  const reading = typed(format, record, span)
  return 'damage' in reading ? damaged(wrongShape(reading.damage)) : WHOLE
}

function typed(format: RecordFormat, { kind, key }: CensusRecord, span: Span): Reading<unknown> {
  const document = parseSpan(span)
  switch (kind) {
    case 'session':
      return format.session(document, key as SessionKey, '')
    case 'part':
      // A further line of a message: what it says is typed with its message.
      if (format.assemble !== undefined) return isDocument(document) ? { record: document } : { damage: 'the document is no object' }
      return format.part(document, key as PartKey)
    case 'diff':
      return toDiffs(document)
    case 'todo':
      // One item where it is a row of a database, a list where it is a file.
      return isRow(span) ? { record: document } : toTodos(document)
    case 'project':
      return toProject(document, parseProjectId(key.session))
    case 'message':
    case 'document':
      return { record: document }
  }
}

function isRow({ source }: Span): boolean {
  return source.table !== undefined
}

function columnFlaw(columns: readonly ColumnText[], validator: JsonValidator | undefined): RecordFlaw | undefined {
  for (const { column, span } of columns) {
    try {
      if (validator === undefined) parseSpan(span)
      else checkSpan(span, validator)
    } catch (error) {
      return { ...flawOf(error), column }
    }
  }
  return undefined
}

function wrongShape(reason: string): RecordFlaw {
  return { code: 'CORRUPT_RECORD', damage: 'wrong shape', reason }
}

function flawOf(error: unknown): RecordFlaw {
  if (!(error instanceof StorageError)) throw error
  const { code, reason, offset } = error
  const damage = JSON_DAMAGES.find((name) => name === reason) ?? 'unreadable'
  return offset === undefined ? { code, damage, reason } : { code, damage, reason, offset }
}
