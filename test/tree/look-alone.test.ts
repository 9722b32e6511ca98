/** A session that is used while everything else is as an earlier process listed it: it is given as a listing would give it. */
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, it } from 'vitest'
import type { SessionId } from '../../src/core/ids.js'
import { openSessions } from '../../src/open.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { agentHome, CODEX_ID, LOGS, SHARED_ID } from '../support/agent-homes.js'
import { corpusSession, userMessage } from '../support/corpus.js'
import { everyEra } from '../support/every-era.js'
import { pretty, writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { told, writeTree } from '../support/told-session.js'

const START = Date.parse('2026-09-01T10:00:00Z')

interface World extends Disposable {
  readonly eras: ReturnType<typeof everyEra>
  readonly agents: string
  readonly tree: string
  /** A set that begins with what was listed at first, however often this is called. */
  open(): Promise<Sessions>
  fresh(): Promise<Sessions>
}

/** A tree of a family of sessions: `mother` began `child`, which a tool names, too. */
function family(): ReturnType<typeof corpusSession>[] {
  const started = (child: string) => ({
    id: `prt_${child}`,
    data: {
      type: 'tool',
      callID: 'call_1',
      tool: 'task',
      state: { status: 'completed', input: {}, output: 'done', title: '', metadata: { sessionId: child }, time: { start: 1, end: 2 } },
    },
    time: START,
  })
  const told = [{ ...userMessage(START + 5), parts: [started('ses_child'), started('ses_later')] }]
  const info = { slug: 's', directory: '/srv', version: '1.1.65' }
  return [
    corpusSession(START, told, { id: 'ses_mother', info: { ...info, title: 'Mother' } }),
    corpusSession(START + 1, [], { id: 'ses_child', info: { ...info, title: 'Child', parentID: 'ses_mother' } }),
    corpusSession(START + 2, [], { id: 'ses_stray', info: { ...info, title: 'Stray', parentID: 'ses_nobody' } }),
  ]
}

async function world(): Promise<World> {
  const eras = everyEra()
  const agents = agentHome()
  const place = tempFolder()
  const tree = join(eras.data, 'storage')
  writeTree(tree, family())
  const listed = join(place.path, 'listed')
  const given = { data: [eras.data, agents.path], env: { HOME: place.path } }
  await (await openSessions({ ...given, home: listed })).close()
  let opened = 0
  return {
    eras,
    agents: agents.path,
    tree,
    open() {
      const home = join(place.path, `home-${opened++}`)
      cpSync(listed, home, { recursive: true })
      return openSessions({ ...given, home })
    },
    fresh: () => openSessions(given),
    [Symbol.dispose]() {
      for (const one of [eras, agents, place]) one[Symbol.dispose]()
    },
  }
}

/** Every session, each as the first one that its process asks for. Returns how many of them waited for the listing. */
async function expectFresh(place: World, further: readonly string[] = []): Promise<readonly string[]> {
  await using truth = await place.fresh()
  // Two agents have the shared one, so it is asked for by its key, too.
  const asked = truth.index.sessionsByTime().flatMap(({ key }) => (key.session === SHARED_ID ? [key, key.session] : [key.session]))
  const waited: string[] = []
  for (const session of [...asked, ...(further as SessionId[])]) {
    await using sessions = await place.open()
    expect(sessions.stale).toBe(true)
    expect(await told(sessions, session), JSON.stringify(session)).toEqual(await told(truth, session))
    if (!sessions.stale) waited.push(typeof session === 'string' ? session : session.session)
  }
  return waited
}

function inDatabase(place: World, act: (writer: Database.Database) => void): void {
  const writer = new Database(join(place.eras.data, 'opencode.db'))
  act(writer)
  writer.close()
}

/** What happens to the stores before the session is asked for. */
const CHANGES: readonly (readonly [string, (place: World) => void])[] = [
  ['nothing', () => undefined],
  [
    'a log that goes on',
    ({ agents }) => {
      const path = join(agents, LOGS.claude)
      const line = JSON.stringify({ type: 'custom-title', customTitle: 'Another moon', sessionId: SHARED_ID })
      appendFileSync(path, `${line}\n`)
    },
  ],
  [
    'a newer log of the same session in another folder',
    ({ agents }) => {
      const path = join(agents, LOGS.claude)
      const copy = join(dirname(dirname(path)), '-srv-sea', `${SHARED_ID}.jsonl`)
      mkdirSync(dirname(copy))
      writeFileSync(copy, readFileSync(path, 'utf8').replaceAll('Io.', 'Europa.'))
    },
  ],
  [
    'a newer log of the same session under a name that says nothing',
    ({ agents }) => {
      const path = join(agents, LOGS.codex)
      writeFileSync(join(dirname(path), 'copy.jsonl'), readFileSync(path, 'utf8').replaceAll('Halley', 'Encke'))
    },
  ],
  [
    'an older log of the same session under a name that says nothing',
    ({ agents }) => {
      const path = join(agents, LOGS.codex)
      writeFileSync(join(dirname(path), 'copy.jsonl'), readFileSync(path, 'utf8').replaceAll('Halley', 'Encke'))
      utimesSync(join(dirname(path), 'copy.jsonl'), 1, 1)
    },
  ],
  [
    'a log that is archived',
    ({ agents }) => {
      const path = join(agents, LOGS.codex)
      mkdirSync(join(agents, '.codex', 'archived_sessions'))
      renameSync(path, join(agents, '.codex', 'archived_sessions', path.slice(path.lastIndexOf('/') + 1)))
    },
  ],
  ['a log that is gone, which makes its id another one’s alone', ({ agents }) => unlinkSync(join(agents, LOGS.pi))],
  [
    'a journal that begins',
    ({ agents }) => {
      const meta = { updated_at: new Date(START).toISOString(), title: 'Two suns' }
      const message = { id: 'message_1_3', role: 'user', timestamp: new Date(START).toISOString(), content: [{ type: 'text', text: 'And this?' }] }
      const journal = join(agents, LOGS.jcode).replace(/\.json$/, '.journal.jsonl')
      writeFileSync(journal, `${JSON.stringify({ meta, append_messages: [message] })}\n`)
    },
  ],
  [
    'another subagent',
    ({ agents }) => {
      const path = join(agents, LOGS.claude)
      const [, first = ''] = readFileSync(path, 'utf8').split('\n')
      const folder = join(dirname(path), SHARED_ID, 'subagents')
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'agent-new.jsonl'), `${first}\n`)
    },
  ],
  [
    'a new title in the database',
    (place) => inDatabase(place, (db) => db.exec("UPDATE session_v2 SET title = 'Renamed', time_updated = time_updated + 5")),
  ],
  ['a copy that is gone from above', (place) => inDatabase(place, (db) => db.exec('DELETE FROM session_v2'))],
  [
    'a copy that goes on below',
    ({ eras, tree }) => {
      const [first] = eras.sessions
      const id = 'msg_zzzzzzzzzz'
      const later = START + 86_400_000
      const message = { id, sessionID: first.id, role: 'user', time: { created: later } }
      writeFileAt(join(tree, 'message', first.id, `${id}.json`), pretty(message), later)
      const part = { id: 'prt_zz', sessionID: first.id, messageID: id, type: 'text', text: 'from the older client' }
      writeFileAt(join(tree, 'part', id, 'prt_zz.json'), pretty(part), later)
    },
  ],
  [
    'a child that comes, and one that a tool had named before',
    ({ tree }) => {
      const info = { slug: 's', directory: '/srv', version: '1.1.65' }
      const made = (id: string) => corpusSession(START + 9, [], { id, info: { ...info, title: id, parentID: 'ses_mother' } })
      writeTree(tree, [made('ses_new'), made('ses_later')])
    },
  ],
  [
    'a child of a session of the tree that stands in the database',
    (place) =>
      inDatabase(place, (db) => {
        const [row] = db.prepare('SELECT * FROM session LIMIT 1').all() as [Record<string, unknown>]
        const child = { ...row, id: 'ses_moved', parent_id: 'ses_mother', title: 'In rows' }
        const names = Object.keys(child)
        db.prepare(`INSERT INTO session (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`).run(...Object.values(child))
      }),
  ],
  ['a child that goes', ({ tree }) => rmSync(sessionFile(tree, 'ses_child'))],
  [
    'a parent that comes',
    ({ tree }) =>
      writeTree(tree, [corpusSession(START, [], { id: 'ses_nobody', info: { slug: 's', directory: '/srv', version: '1', title: 'Found' } })]),
  ],
  ['a record that is damaged', ({ tree }) => writeFileAt(sessionFile(tree, 'ses_mother'), '{"id": "ses_mo', START)],
  ['a tree that goes', ({ tree }) => rmSync(tree, { recursive: true })],
]

function sessionFile(tree: string, id: string): string {
  const found = readdirSync(join(tree, 'session'), { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith(`${id}.json`))
  return join(tree, 'session', found ?? '')
}

describe('a session that is looked at alone', () => {
  it.each(CHANGES)('is what a listing gives after: %s', async (_, change) => {
    using place = await world()
    change(place)
    await expectFresh(place, ['ses_moth', 'ses_child', SHARED_ID, CODEX_ID])
  })

  it('waits for no listing where nothing is new', async () => {
    using place = await world()
    // Two agents have this one, which only a listing can tell.
    expect([...new Set(await expectFresh(place))]).toEqual([SHARED_ID])
  })

  it('is told of changes that come while it is looked at', async () => {
    using place = await world()
    await using sessions = await place.open()
    await sessions.locate('ses_child' as SessionId)
    expect(sessions.stale).toBe(true)
    writeFileSync(sessionFile(place.tree, 'ses_child'), readFileSync(sessionFile(place.tree, 'ses_child'), 'utf8').replace('Child', 'Later'))
    await sessions.refresh()
    expect(sessions.index.session((await sessions.locate('ses_child' as SessionId)).entry.key)?.title).toBe('Later')
  })
})
