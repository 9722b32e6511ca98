/** Which folders are watched of what store, and where events are not to be relied on. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { foldersOfSession, watchedPlace, whyUnheard } from '../../src/storage/watch/places.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

describe('the places of a store', () => {
  it('are its folder, or of the home of Codex those of its sessions', () => {
    const home = join(folder.path, '.codex')
    mkdirSync(join(home, 'sessions'), { recursive: true })
    expect(watchedPlace({ kind: 'codex-jsonl', path: home }).roots).toEqual([join(home, 'sessions')])
    expect(watchedPlace({ kind: 'codex-jsonl', path: join(home, 'sessions') }).roots).toEqual([join(home, 'sessions')])
    expect(watchedPlace({ kind: 'opencode-json', path: folder.path })).toEqual({ roots: [folder.path], ignore: [] })
    expect(watchedPlace({ kind: 'claude-jsonl', path: folder.path }).ignore).toEqual(['**/tool-results', '**/tool-results/**'])
    expect(watchedPlace({ kind: 'memory', path: folder.path })).toEqual({ roots: [], ignore: [] })
  })

  it('are none where the store tells by itself, as a database and a single log do', async () => {
    const database = watchedPlace({ kind: 'opencode-sqlite', path: join(folder.path, 'opencode.db'), stamp: async () => 'now' })
    expect([database.roots, await database.stamp?.()]).toEqual([[], 'now'])
    const log = join(folder.path, 'session_a_1.json')
    writeFileSync(log, '{}')
    const place = watchedPlace({ kind: 'jcode-journal', path: log })
    const stamps = [await place.stamp?.()]
    expect(await place.stamp?.()).toBe(stamps[0])
    appendFileSync(log.replace('.json', '.journal.jsonl'), '{}\n')
    stamps.push(await place.stamp?.())
    appendFileSync(log, ' ')
    stamps.push(await place.stamp?.())
    expect([place.roots, new Set(stamps).size]).toEqual([[], 3])
  })

  it('are for one session the folders that its files stand in', () => {
    const tree = { kind: 'opencode-json', path: '/s' } as const
    expect(foldersOfSession(tree, 'ses_a', '/s/session/p/ses_a.json')).toEqual([join('/s', 'message', 'ses_a')])
    expect(foldersOfSession({ kind: 'pi-jsonl', path: '/p' }, 'a', '/p/--w--/a.jsonl')).toEqual(['/p/--w--'])
    expect(foldersOfSession({ kind: 'opencode-sqlite', path: '/d.db' }, 'a', '/d.db')).toEqual([])
  })

  it('are not relied on where other machines write', () => {
    // 32-bit types come out sign-extended on some builds.
    for (const type of [0x6969, 0x517b, 0xff534d42, 0xff534d42 | 0, 0x65735546, 0x01021997])
      expect(whyUnheard('/s', () => type)).toMatch(/^the store lies on /)
    for (const type of [0xef53, 0x9123683e, 0x794c7630, undefined]) expect(whyUnheard('/s', () => type)).toBeUndefined()
  })
})
