/** Whatever happens to a store, in any order: a refresh shows what a set that is opened anew shows, and tells exactly what differs. */
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import { openFileStore } from '../../src/storage/files/opencode-files.js'
import type { Store } from '../../src/storage/store.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { anotherTick } from '../support/another-tick.js'
import { generatedId } from '../support/corpus.js'
import { openCodeTables } from '../support/opencode-ddl.js'
import { onlyStore, pretty, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { setOf } from '../support/trees.js'

const AHEAD: Clock = { ...systemClock, now: () => Date.now() + 60_000 }
const IDS = Array.from({ length: 5 }, (_, at) => generatedId('ses', Date.parse('2026-10-01') + at))
const PROJECTS = ['one', 'two']

type Act = 'create' | 'append' | 'rewrite' | 'rename' | 'remove message' | 'delete' | 'move' | 'copy' | 'move project' | 'vacuum' | 'refresh'
const step = fc.record({
  act: fc.constantFrom<Act>(
    'create',
    'create',
    'append',
    'append',
    'rewrite',
    'rename',
    'remove message',
    'delete',
    'move',
    'copy',
    'move project',
    'vacuum',
    'refresh',
  ),
  session: fc.integer({ min: 0, max: IDS.length - 1 }),
})

/** A store that acts are done to; each gives the sessions that it wrote to. */
interface Subject extends Disposable {
  open(): Promise<Store>
  do(act: Act, session: string, round: number): readonly string[]
}

describe.each<readonly [string, () => Subject, number]>([
  ['tree of files', treeSubject, 25],
  ['database', databaseSubject, 25],
])('a %s', (_name, make, numRuns) => {
  it('shows after a refresh what is there, and tells what changed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60, size: 'max' }), async (steps) => {
        using subject = make()
        const set = await setOf(await subject.open())
        let written = new Set<string>()
        let shown = await statesOf(set)
        anotherTick()
        for (const [round, { act, session }] of [...steps, { act: 'refresh' as const, session: 0 }].entries()) {
          if (act !== 'refresh') {
            for (const id of subject.do(act, IDS[session] ?? '', round)) written.add(id)
            continue
          }
          const { added, changed, removed } = await set.refresh()
          const fresh = await setOf(await subject.open())
          expect(viewOf(set)).toEqual(viewOf(fresh))
          const now = await statesOf(fresh)
          await fresh.close()
          anotherTick()
          expect(added.map(({ session }) => session).sort()).toEqual([...now.keys()].filter((id) => !shown.has(id)).sort())
          expect(removed.map(({ session }) => session).sort()).toEqual([...shown.keys()].filter((id) => !now.has(id)).sort())
          // What was written and taken back may be told, or not.
          const told = changed.map(({ session }) => session as string)
          expect([...now].filter(([id, state]) => shown.has(id) && shown.get(id) !== state && !told.includes(id))).toEqual([])
          expect(told.filter((id) => !written.has(id) || !shown.has(id) || !now.has(id))).toEqual([])
          expect(new Set(told).size).toBe(told.length)
          shown = now
          written = new Set()
        }
        await set.close()
      }),
      { numRuns },
    )
  }, 120_000)
})

function viewOf({ index }: Sessions): unknown {
  return [
    index.sessionsByTime(),
    IDS.map((id) => index.findById(id as never)),
    index.sessionsByTime().map(({ key }) => index.children(key).map((child) => child.id)),
  ]
}

/** All that can be read of each session, in short. */
async function statesOf({ index }: Sessions): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>()
  for (const meta of index.sessionsByTime()) states.set(meta.id, JSON.stringify([meta, await index.revision(meta.key)]))
  return states
}

function document(id: string, round: number): object {
  const parentID = IDS[(IDS.indexOf(id) + round) % IDS.length]
  return {
    id,
    directory: '/srv',
    title: `title ${round}`,
    ...(parentID !== id && { parentID }),
    time: { created: 1000 + round, updated: 2000 + round },
  }
}

function treeSubject(): Subject {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode', 'storage')
  mkdirSync(join(path, 'session'), { recursive: true })
  const files = (id: string): string[] => PROJECTS.map((project) => join(path, 'session', project, `${id}.json`)).filter((file) => existsSync(file))
  const write = (file: string, content: unknown): void => writeFileAt(file, pretty(content), Date.now())
  const messages = (id: string): string[] => {
    const own = join(path, 'message', id)
    return existsSync(own) ? readdirSync(own).sort() : []
  }
  return {
    open: async () => openFileStore(path, AHEAD),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
    do(act, id, round) {
      const [file, second] = files(id)
      const last = messages(id).at(-1)
      switch (act) {
        case 'create':
          if (file !== undefined) return []
          write(join(path, 'session', PROJECTS[round % 2] ?? '', `${id}.json`), document(id, round))
          return [id]
        case 'append': {
          const message = generatedId('msg', Date.now() + round * 10, 1, `${round}`)
          write(join(path, 'message', id, `${message}.json`), { role: 'user' })
          write(join(path, 'part', message, `${generatedId('prt', Date.now(), round)}.json`), { type: 'text', text: `${round}` })
          return [id]
        }
        case 'rewrite': {
          const parts = last && join(path, 'part', last.slice(0, -'.json'.length))
          const part = parts && readdirSync(parts)[0]
          if (part === undefined || parts === undefined) return []
          write(join(parts, part), { type: 'text', text: 'x'.repeat(round + 5) })
          return [id]
        }
        case 'rename':
          if (file === undefined || second !== undefined) return []
          write(file, { ...document(id, round), title: 'x'.repeat(round) })
          return [id]
        case 'remove message':
          if (last === undefined) return []
          rmSync(join(path, 'message', id, last))
          return [id]
        case 'delete':
          for (const one of files(id)) rmSync(one)
          return file === undefined ? [] : [id]
        case 'move': {
          if (file === undefined || second !== undefined) return []
          const to = file.includes('/one/') ? file.replace('/one/', '/two/') : file.replace('/two/', '/one/')
          mkdirSync(dirname(to), { recursive: true })
          renameSync(file, to)
          return [id]
        }
        case 'copy': {
          if (file === undefined || second !== undefined) return []
          const to = file.includes('/one/') ? file.replace('/one/', '/two/') : file.replace('/two/', '/one/')
          write(to, { ...document(id, round), time: { created: 1, updated: 9_000 + round } })
          return [id]
        }
        case 'move project': {
          const [from, to] = PROJECTS.map((project) => join(path, 'session', project))
          if (from === undefined || to === undefined || !existsSync(from) || existsSync(to)) return []
          const ids = readdirSync(from).map((name) => name.slice(0, -'.json'.length))
          renameSync(from, to)
          return ids
        }
        default: {
          // As a program does that puts everything back as it was: a copy in the place of the file, with its times.
          if (file === undefined || second !== undefined) return []
          const { atime, mtime } = statSync(file)
          cpSync(file, `${file}.tmp`)
          renameSync(`${file}.tmp`, file)
          utimesSync(file, atime, mtime)
          return [id]
        }
      }
    },
  }
}

function databaseSubject(): Subject {
  const folder = tempFolder()
  const path = join(folder.path, 'opencode.db')
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.exec(openCodeTables('1.18'))
  database.prepare("INSERT INTO project (id, worktree, time_created, time_updated, sandboxes) VALUES ('global', '/', 1, 1, '[]')").run()
  const run = (sql: string, ...parameters: readonly unknown[]): number => database.prepare(sql).run(...parameters).changes
  const put = (table: string, row: Readonly<Record<string, unknown>>): void => {
    const names = Object.keys(row)
    run(`INSERT INTO ${table} (${names.join()}) VALUES (${names.map(() => '?').join()})`, ...Object.values(row))
  }
  const isThere = (id: string): boolean => database.prepare('SELECT 1 FROM session WHERE id = ?').get(id) !== undefined
  return {
    open: () => onlyStore(path),
    [Symbol.dispose]: () => {
      database.close()
      folder[Symbol.dispose]()
    },
    do(act, id, round) {
      const now = Date.now() + round
      if (act !== 'create' && act !== 'vacuum' && !isThere(id)) return []
      const last = database.prepare('SELECT id FROM message WHERE session_id = ? ORDER BY time_created DESC, id DESC LIMIT 1').pluck().get(id)
      switch (act) {
        case 'create':
          if (isThere(id)) return []
          put('session', {
            id,
            project_id: 'global',
            slug: 's',
            directory: '/srv',
            title: `${round}`,
            version: '1',
            time_created: round,
            time_updated: round,
          })
          return [id]
        case 'append': {
          const message = generatedId('msg', now, 1, `${round}`)
          put('message', { id: message, session_id: id, time_created: now, time_updated: now, data: '{"role":"user"}' })
          const part = generatedId('prt', now, 1, `${round}`)
          put('part', {
            id: part,
            message_id: message,
            session_id: id,
            time_created: now,
            time_updated: now,
            data: `{"type":"text","text":"${round}"}`,
          })
          return [id]
        }
        case 'rewrite':
          return run('UPDATE part SET data = ?, time_updated = ? WHERE message_id = ?', `"${'x'.repeat(round)}"`, now, last ?? '') > 0 ? [id] : []
        case 'rename':
          run('UPDATE session SET title = ? WHERE id = ?', `renamed ${round}`, id)
          return [id]
        case 'move':
          run('UPDATE session SET time_archived = ? WHERE id = ?', round + 1, id)
          return [id]
        case 'copy':
          run('UPDATE session SET tokens_input = tokens_input + 1 WHERE id = ?', id)
          return [id]
        case 'remove message':
          run('DELETE FROM part WHERE message_id = ?', last ?? '')
          return run('DELETE FROM message WHERE id = ?', last ?? '') > 0 ? [id] : []
        case 'delete':
          for (const table of ['part', 'message']) run(`DELETE FROM ${table} WHERE session_id = ?`, id)
          run('DELETE FROM session WHERE id = ?', id)
          return [id]
        default:
          database.exec('VACUUM')
          return []
      }
    },
  }
}
