/**
 * What an index home remembers beside the state, in `services.json`: where the documents of each space are, and what was said about services.
 * It is written whole and put in place by a rename, so a reader never sees half of it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDocument } from '../../core/documents.js'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'

/** Where the documents of a space are. */
export type SinkPlace =
  | { readonly kind: 'local'; readonly file: string }
  | { readonly kind: 'chroma'; readonly url: string; readonly collection: string; readonly tenant: string; readonly database: string }

export interface HomeRecord {
  /** By the id of the space. */
  readonly sinks: Readonly<Record<string, SinkPlace>>
  /** Where documents of this index stood before they were brought elsewhere; emptied once all are there. */
  readonly left: readonly { readonly space: string; readonly place: SinkPlace }[]
  /** The services of which was said that text goes there. */
  readonly told: readonly string[]
}

const EMPTY: HomeRecord = { sinks: {}, left: [], told: [] }

/** @throws StorageError STATE_DAMAGED: a record that cannot be read must not be taken for an empty one */
export function readHomeRecord(directory: string): HomeRecord {
  const path = pathIn(directory)
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (isHomeRecord(value)) return value
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return EMPTY
    throw new StorageError(
      'STATE_DAMAGED',
      { reason: `what the index remembers of its services cannot be read: ${messageOf(error)}`, path },
      { cause: error },
    )
  }
  throw new StorageError('STATE_DAMAGED', { reason: 'what the index remembers of its services is not what spanleaf writes', path })
}

function isHomeRecord(value: unknown): value is HomeRecord {
  if (!isDocument(value) || !isDocument(value.sinks)) return false
  const isLeft = (one: unknown): boolean => isDocument(one) && typeof one.space === 'string' && isPlace(one.place)
  return Object.values(value.sinks).every(isPlace) && isListOf(value.left, isLeft) && isListOf(value.told, isText)
}

/** The names that documents files are given: nothing else in the folder, or out of it, is opened as one. */
const DOCUMENTS_FILE = /^documents(-[\w-]+)?\.db$/

function isPlace(place: unknown): boolean {
  if (!isDocument(place)) return false
  if (place.kind === 'local') return isText(place.file) && DOCUMENTS_FILE.test(place.file)
  return place.kind === 'chroma' && [place.url, place.collection, place.tenant, place.database].every(isText)
}

function isListOf(list: unknown, test: (one: unknown) => boolean): boolean {
  return Array.isArray(list) && list.every(test)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** Two processes that write at once: the last one stays. @throws StorageError STATE_UNAVAILABLE */
export function changeHomeRecord(directory: string, change: (record: HomeRecord) => HomeRecord): HomeRecord {
  const path = pathIn(directory)
  const record = change(readHomeRecord(directory))
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600, flush: true })
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw new StorageError(
      'STATE_UNAVAILABLE',
      { reason: `what the index remembers cannot be written (${systemCode(error) ?? 'unknown'})`, path },
      { cause: error },
    )
  }
  return record
}

function pathIn(directory: string): string {
  return join(directory, 'services.json')
}
