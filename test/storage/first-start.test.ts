/** The moment in which OpenCode has made its database and not written to it: reading then made its start fail ("database is locked"). */
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openForeignDatabase } from '../../src/storage/sqlite/open.js'
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

  it('leaves no folder and no listener behind, and many of them warn of nothing', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'opencode.db')
    writeFileSync(path, '')
    const before = process.listenerCount('exit')
    const opened = await Promise.all(Array.from({ length: 12 }, () => openForeignDatabase(path)))
    const places = opened.map(({ database }) => dirname(String(database.prepare('PRAGMA database_list').all()[0]?.[2])))
    expect([new Set(places).size, places.every((place) => existsSync(place))]).toEqual([12, true])
    expect(process.listenerCount('exit')).toBe(before + 1)
    for (const { database } of opened) database[Symbol.dispose]()
    expect([places.some((place) => existsSync(place)), process.listenerCount('exit')]).toEqual([false, before])
  })
})
