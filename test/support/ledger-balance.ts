/** What stands on disk, counted without the library, to hold a ledger against: every file, and every row of every table. */
import { lstatSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import type { StoreLedger } from '../../src/tree/ledger.js'

export const NO_ORPHANS = { messages: 0, parts: 0, todos: 0, diffs: 0 }

/** All columns of a ledger but those that are no files and no rows: folders that are named, and parts inside their messages. */
export function recordsIn({ sessions, messages, parts, inside, todos, diffs, projects, orphans, superseded, ignored, damaged }: StoreLedger): number {
  const lost = orphans.messages + orphans.parts + orphans.todos + orphans.diffs
  const leftAlone = sum(ignored.filter(({ reason }) => reason !== 'foreign folder').map(({ count }) => count))
  const broken = damaged.filter(({ kind }) => kind !== 'store').length
  return sessions + messages + parts - inside + todos + diffs + projects + lost + superseded + leftAlone + broken
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Everything that belongs to the stores of a data folder: the rows of its databases, and the files below `storage` and `project`. */
export function onDisk(data: string): number {
  const databases = readdirSync(data).filter((name) => /^opencode(-.+)?\.db$/.test(name))
  return sum(databases.map((name) => rowsOf(join(data, name)))) + filesBelow(join(data, 'storage')) + filesBelow(join(data, 'project'))
}

/** Links are files, and git's snapshots in a project of era A are one. */
export function filesBelow(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 0
  if (!stat.isDirectory() || /^snapshots?$/.test(path.slice(dirname(path).length + 1))) return 1
  return sum(readdirSync(path).map((name) => filesBelow(join(path, name))))
}

export function rowsOf(path: string): number {
  const database = new Database(path, { readonly: true })
  try {
    const tables = database
      .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
      .all()
    return sum(
      tables.map(({ name }) => database.prepare<[], { n: number }>(`SELECT count(*) AS n FROM "${name.replaceAll('"', '""')}"`).get()?.n ?? 0),
    )
  } finally {
    database.close()
  }
}
