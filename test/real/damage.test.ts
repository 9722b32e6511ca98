/** Corpora of the shared generator, damaged at places that a seed chooses: all damage is named, and all that is whole is given. */
import { mkdirSync, readdirSync, renameSync, utimesSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { verifyStores } from '../../src/tree/verify.js'
import { corpusSession } from '../support/corpus.js'
import { GENERATOR_IS_HERE, generated, seeded } from '../support/generated.js'
import { type Ground, groundOfDatabase, groundOfTree, loaded, streamed, withoutSessions } from '../support/intact.js'
import { NO_ORPHANS } from '../support/ledger-balance.js'
import { openCode2Tables } from '../support/v2-ddl.js'
import { insertV2Session, writeV2Row } from '../support/v2-fixture.js'

type Json = Record<string, unknown>

const SIZE = ['--sessions', '12', '--messages', '8', '--parts', '4', '--jitter', '0.6']
const SEEDS = [2, 71, 828]
const here = describe.skipIf(!GENERATOR_IS_HERE)

/** Opens the store and holds everything that it gives against what is whole. */
async function holdAgainstGround(data: string, { intact, damaged, orphans }: Ground): Promise<void> {
  expect(damaged.length).toBeGreaterThan(5)
  await using sessions = await openSessions({ data })
  const { records, named } = await streamed(sessions)
  expect(records).toEqual(intact)
  expect(await loaded(sessions)).toEqual(withoutSessions(intact))
  expect(damaged.filter((name) => !named.has(name))).toEqual([])
  const { stores, total } = await verifyStores(sessions)
  const found = stores.flatMap((store) => store.damaged.flatMap(({ path, key }) => [path, key]))
  expect(damaged.filter((name) => !found.includes(name))).toEqual([])
  expect([total.damaged, total.orphans]).toEqual([damaged.length, { ...NO_ORPHANS, parts: orphans }])
  const whole = new Map([...intact].map(([name]) => [name, name.split('/').length]))
  const count = (depth: number): number => [...whole.values()].filter((own) => own === depth).length
  expect([total.sessions, total.messages, total.parts]).toEqual([count(1), count(2), count(3)])
}

here.each(SEEDS)('a tree of files, damaged by the generator with seed %i', (seed) => {
  const damage = ['--corrupt', '18', '--corrupt-in', 'part,message,session', '--orphans', '3', '--seed', String(seed)]

  it('(era B) names all damage, and gives all that is whole, also below a bad session file', async () => {
    using corpus = generated('--layout', 'legacy', ...SIZE, ...damage)
    const storage = join(corpus.data, 'storage')
    const ground = groundOfTree(storage)
    settle(ground.damaged)
    expect(ground.orphans).toBe(3)
    expect(new Set(ground.damaged.map((path) => path.slice(storage.length).split('/')[1]))).toEqual(new Set(['session', 'message', 'part']))
    await holdAgainstGround(corpus.data, ground)
  })

  it('(era A) does so too', async () => {
    using corpus = generated('--layout', 'legacy', ...SIZE, ...damage)
    const storage = join(corpus.data, 'storage')
    const ground = groundOfTree(storage)
    settle(ground.damaged)
    const moved = moveToEraA(corpus.data)
    await holdAgainstGround(corpus.data, { ...ground, damaged: ground.damaged.map((path) => moved(path)) })
  })
})

here.each(SEEDS)('a database, its rows damaged with seed %i', (seed) => {
  it('(V1) names all damage, and gives all that is whole', async () => {
    using corpus = generated('--layout', 'db', ...SIZE, '--seed', String(seed))
    const path = join(corpus.data, 'opencode.db')
    damageRows(path, ['message', 'part'], 16, seed)
    await holdAgainstGround(corpus.data, groundOfDatabase(path, 'v1'))
  })

  it('(V1) gives every message and part of a session whose own row is odd', async () => {
    using corpus = generated('--layout', 'db', ...SIZE, '--seed', String(seed))
    const path = join(corpus.data, 'opencode.db')
    const database = new Database(path)
    database.exec("UPDATE session SET time_created = 'long ago', directory = x'ff00', parent_id = '../up' WHERE rowid % 3 = 0")
    database.close()
    await using sessions = await openSessions({ data: corpus.data })
    const { records, named } = await streamed(sessions)
    const { intact } = groundOfDatabase(path, 'v1')
    expect(records).toEqual(intact)
    expect([...intact.keys()].filter((name) => !name.includes('/') && named.has(name)).length).toBe(4)
  })

  it('(V2) names all damage, and gives all that is whole', async () => {
    using corpus = generated('--layout', 'db', ...SIZE, '--seed', String(seed))
    const path = join(corpus.data, 'opencode.db')
    writeAsV2(path)
    damageRows(path, ['session_message'], 12, seed)
    await holdAgainstGround(corpus.data, groundOfDatabase(path, 'v2'))
  })
})

/** Damage of a moment ago would be taken for a write that is still going on. */
function settle(paths: readonly string[]): void {
  for (const path of paths) utimesSync(path, 1_760_000_000, 1_760_000_000)
}

/** Moves an era B tree to where 0.x kept it, a tree per project; gives the new place of a path. */
function moveToEraA(data: string): (path: string) => string {
  const storage = join(data, 'storage')
  const rootOf = new Map<string, string>()
  const places = new Map<string, string>()
  const move = (from: string, to: string): void => {
    mkdirSync(dirname(to), { recursive: true })
    renameSync(from, to)
    places.set(from, to)
  }
  for (const project of readdirSync(join(storage, 'session'))) {
    for (const file of readdirSync(join(storage, 'session', project))) {
      const root = join(data, 'project', project, 'storage', 'session')
      rootOf.set(basename(file, '.json'), root)
      move(join(storage, 'session', project, file), join(root, 'info', file))
    }
  }
  const sessionOf = new Map<string, string>()
  for (const session of readdirSync(join(storage, 'message'))) {
    for (const file of readdirSync(join(storage, 'message', session))) sessionOf.set(basename(file, '.json'), session)
    move(join(storage, 'message', session), join(rootOf.get(session) ?? '', 'message', session))
  }
  const [anywhere = ''] = rootOf.values()
  for (const message of readdirSync(join(storage, 'part'))) {
    const session = sessionOf.get(message) ?? 'ses_gone'
    move(join(storage, 'part', message), join(rootOf.get(session) ?? anywhere, 'part', session, message))
  }
  renameSync(storage, join(data, 'left'))
  return (path) => {
    const folder = places.get(dirname(path))
    return places.get(path) ?? join(folder ?? '', basename(path))
  }
}

/** Replaces the `data` of rows by what crashes and full disks leave. */
function damageRows(path: string, tables: readonly string[], count: number, seed: number): void {
  const random = seeded(seed)
  const database = new Database(path)
  for (let n = 0; n < count; n++) {
    const table = tables[n % tables.length]
    const rows = database.prepare<[], { rowid: number; data: string }>(`SELECT rowid, data FROM ${table} ORDER BY id`).all()
    const row = rows[Math.floor(random() * rows.length)]
    if (row === undefined) throw new Error(`no rows in ${table}`)
    const bytes = Buffer.from(row.data)
    const kinds = ['', bytes.subarray(0, Math.floor(random() * bytes.length)).toString(), '\0'.repeat(bytes.length), Buffer.alloc(bytes.length)]
    const more = ['[]', '"text"', 'null', Buffer.from(Array.from(bytes.subarray(0, 40), () => 128 + Math.floor(random() * 128)))]
    database.prepare(`UPDATE ${table} SET data = ? WHERE rowid = ?`).run([...kinds, ...more][n % 8], row.rowid)
  }
  database.close()
}

/** Fills the tables of OpenCode 2 from V1's, which then are dropped. */
function writeAsV2(path: string): void {
  const database = new Database(path)
  const rows = (sql: string, ...values: unknown[]): Json[] => database.prepare<unknown[], Json>(sql).all(...values)
  database.exec(openCode2Tables())
  for (const { id, project_id, slug, directory, title, version, time_created, time_updated } of rows('SELECT * FROM session')) {
    const info = { slug, directory, title, version }
    const own = { id: String(id), project: String(project_id), info, updated: Number(time_updated) }
    insertV2Session(database, corpusSession(Number(time_created), [], own))
  }
  for (const [seq, { id, session_id, time_created, data }] of rows('SELECT * FROM message ORDER BY time_created, id').entries()) {
    const parts = rows('SELECT data FROM part WHERE message_id = ? ORDER BY id', id).map((part): Json => JSON.parse(String(part.data)))
    const place = { session: String(session_id), message: String(id) }
    writeV2Row(database, place, JSON.stringify(v2Document(JSON.parse(String(data)), parts)), Number(time_created), seq * 3)
  }
  database.exec('DROP TABLE part; DROP TABLE message; DROP TABLE session; VACUUM')
  database.close()
}

function v2Document({ role, time, agent, cost, tokens, finish, modelID, providerID }: Json, parts: readonly Json[]): Json {
  if (role === 'user') return { type: 'user', text: parts.map(({ text }) => text).join('\n\n'), time }
  const content = parts.flatMap((part): Json[] => {
    if (part.type === 'text') return [{ type: 'text', text: part.text }]
    if (part.type === 'reasoning') return [{ type: 'reasoning', text: part.text, native: { signature: 's' }, time: { created: 1, completed: 2 } }]
    if (part.type !== 'tool') return []
    const { input, output, metadata } = part.state as Json
    const state = { status: 'completed', input, content: [{ type: 'text', text: output }], metadata }
    return [{ type: 'tool', id: part.callID, name: part.tool, state, time: { created: 1, ran: 2, completed: 3 } }]
  })
  return { type: 'assistant', agent, model: { id: modelID, providerID }, content, cost, tokens, finish, time }
}
