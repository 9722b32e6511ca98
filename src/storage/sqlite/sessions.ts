/** The session rows of a database, each with its light record. */
import { StorageError } from '../../core/errors.js'
import { isSafeId, quotedId, type SessionId } from '../../core/ids.js'
import { type SessionKey, sessionKey } from '../../core/keys.js'
import { toSession } from '../../core/records.js'
import { issueOf, type StageIssue } from '../../core/stage.js'
import { textGeneration } from '../generation.js'
import type { Listing, SessionEntry } from '../listing.js'
import { OwnedSpan, parseSpan, parseText } from '../span.js'
import type { SqliteConnection } from './connection.js'
import type { SqlRow } from './driver.js'
import type { SessionTable } from './rows.js'

/** By session. */
export type HeldEntries = ReadonlyMap<string, SessionEntry>

/**
 * All rows, or those of some sessions; of `held` the same objects where the row is the same. A query gives all its rows or throws: what an
 * issue names is a row that is never listed, so the listing is complete.
 */
export function listSessionRows(
  connection: SqliteConnection,
  table: SessionTable,
  held: HeldEntries,
  only?: readonly string[],
): Listing<SessionEntry> {
  const issues: StageIssue[] = []
  const { columns, text } = connection.schema.session[table].light
  const entries: SessionEntry[] = []
  const take = (row: SqlRow): void => {
    const id = row.at(-1)
    if (!isSafeId(id)) {
      issues.push({ code: 'INVALID_ID', path: connection.path, reason: `a row of ${table} has the unsafe id ${quotedId(id)}` })
      return
    }
    entries.push(sessionEntry(connection.path, table, sessionKey('opencode', id as SessionId), text(row), held.get(id)))
  }
  if (only === undefined) connection.each(`SELECT ${columns}, id FROM ${table}`, take)
  else for (const id of only) for (const row of connection.all(`SELECT ${columns}, id FROM ${table} WHERE id = ?`, id)) take(row)
  return { entries, issues, complete: true }
}

function sessionEntry(path: string, table: SessionTable, key: SessionKey, text: string, held: SessionEntry | undefined): SessionEntry {
  const generation = textGeneration(text)
  if (held?.generation === generation && held.path === path) return held
  const damaged = (damage: StageIssue): SessionEntry => ({ key, path, generation, project: '', record: undefined, damage })
  try {
    const document = parseText(text) ?? parseSpan(new OwnedSpan(key, { path, table }, generation, Buffer.from(text)))
    const reading = toSession(document, key, '')
    if ('damage' in reading) return damaged({ code: 'CORRUPT_RECORD', key, path, reason: reading.damage })
    return { key, path, generation, project: reading.record.projectID, record: reading.record }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return damaged(issueOf(error, key, path))
  }
}
