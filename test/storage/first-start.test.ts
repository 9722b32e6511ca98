/** The moment in which OpenCode has made its database and not written to it: reading then made its start fail ("database is locked"). */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openForeignDatabase } from '../../src/storage/sqlite-open.js'
import { tempFolder } from '../support/temp.js'

describe('a database file without a byte', () => {
  it('is empty, and is not locked for the one who makes it, even in the midst of a read', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'opencode.db')
    writeFileSync(path, '')
    const { database, frozen } = await openForeignDatabase(path)
    using _ = database
    database.exec('BEGIN')
    expect(database.prepare('SELECT count(*) FROM sqlite_master').all()).toEqual([[0]])
    const openCode = new Database(path, { timeout: 0 })
    expect(openCode.pragma('journal_mode = WAL', { simple: true })).toBe('wal')
    openCode.close()
    expect(frozen).toBe(true)
  })
})
