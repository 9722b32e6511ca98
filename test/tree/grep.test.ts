import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMessageId } from '../../src/core/ids.js'
import type { StageIssue } from '../../src/core/stage.js'
import { openSessions } from '../../src/open.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import { findSessionsContaining, type GrepHit, type GrepOptions, grepSessions } from '../../src/tree/grep/grep.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { assistantMessage, type CorpusSession, conversation, corpusSession, sampleCorpus, userMessage, WRAP } from '../support/corpus.js'
import { everyEra } from '../support/every-era.js'
import { DIALECTS } from '../support/log-dialects.js'
import { logWorld } from '../support/log-world.js'
import { eraAFixture, type FixtureMaker, jsonFixture, memoryFixture, sqliteFixture, writeTreeSessions } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { keyOf, setOf } from '../support/trees.js'
import { v2Fixture } from '../support/v2-fixture.js'
import { watched } from '../support/watched-store.js'

async function hitsOf(sessions: Sessions, pattern: string | RegExp, options: GrepOptions = {}): Promise<readonly GrepHit[]> {
  const hits: GrepHit[] = []
  for await (const hit of grepSessions(sessions, pattern, options)) hits.push(hit)
  return hits
}

const found = ({ text, match }: GrepHit): string => text.slice(match.start, match.end)
const literal = (text: string): RegExp => new RegExp(text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))

const TIME = WRAP - 9 * 86_400_000
const TOOL = {
  type: 'tool',
  callID: 'c',
  tool: 'bash',
  state: {
    status: 'completed',
    input: { command: 'grep -r "Marmot" .', deep: [{ x: 'marmot in input' }] },
    output: 'one\na marmot\nMARMOT\n',
    title: 'find marmots',
    metadata: { output: 'marmot copy' },
    time: { start: 1, end: 2 },
  },
}
const SESSION = corpusSession(TIME, [
  userMessage(TIME + 1, ['What is a marmot?\nA "marmot"?']),
  assistantMessage(TIME + 2, {
    parts: [
      { type: 'reasoning', text: 'marmot: think', time: { start: 1, end: 2 } },
      TOOL,
      { type: 'file', mime: 'text/plain', url: 'data:,marmot', filename: 'marmot.txt' },
    ],
  }),
])

describe('grep', () => {
  it('gives a hit for each line of each text, in order, with what it belongs to', async () => {
    using fixture = jsonFixture([SESSION])
    await using set = await setOf(await fixture.open())
    const hits = await hitsOf(set, 'marmot')
    expect(hits.map(({ role, kind, field, tool, line, text }) => [role, kind, field, tool, line, text])).toEqual([
      ['user', 'text', 'text', undefined, 1, 'What is a marmot?'],
      ['user', 'text', 'text', undefined, 2, 'A "marmot"?'],
      ['assistant', 'reasoning', 'text', undefined, 1, 'marmot: think'],
      ['assistant', 'tool', 'title', 'bash', 1, 'find marmots'],
      ['assistant', 'tool', 'input', 'bash', 1, 'marmot in input'],
      ['assistant', 'tool', 'output', 'bash', 2, 'a marmot'],
      ['assistant', 'file', 'filename', undefined, 1, 'marmot.txt'],
    ])
    const [first] = hits
    expect(first?.session).toBe(set.index.session(keyOf(SESSION.id)))
    expect(first?.message).toMatchObject({ session: SESSION.id, message: SESSION.messages[0]?.id })
    expect(first?.part).toMatchObject({ message: SESSION.messages[0]?.id, part: SESSION.messages[0]?.parts[0]?.id })
    expect(first?.created).toBe(TIME + 1)
    expect(hits.map(found)).toEqual(hits.map(() => 'marmot'))
  })

  it('takes regular expressions, kinds, and ignores case when it is asked to', async () => {
    using fixture = sqliteFixture('1.18')([SESSION])
    await using set = await setOf(await fixture.open())
    expect((await hitsOf(set, /^a (\w+)$/m)).map(found)).toEqual(['a marmot'])
    expect((await hitsOf(set, /"?MARMOT"?/i, { kinds: ['text'] })).map(found)).toEqual(['marmot', '"marmot"'])
    expect((await hitsOf(set, 'MARMOT', { ignoreCase: true, kinds: ['tool'] })).map(found)).toEqual([
      'marmot',
      'Marmot',
      'marmot',
      'marmot',
      'MARMOT',
    ])
    expect((await hitsOf(set, 'grep -r "Marmot" .')).map(found)).toEqual(['grep -r "Marmot" .'])
    expect((await hitsOf(set, 'one\na m')).map(({ line, text, match }) => [line, text, match])).toEqual([[1, 'one\na marmot', { start: 0, end: 7 }]])
    expect(await hitsOf(set, 'marmot copy')).toEqual([])
  })

  it('narrows by session, folder and agent, and ends at its limit', async () => {
    const other = corpusSession(TIME - 1000, [userMessage(TIME - 999, ['another marmot'])], {
      info: { directory: '/srv/sky/deep', title: 'o', version: '1' },
    })
    using fixture = jsonFixture([SESSION, other])
    await using set = await setOf(await fixture.open())
    const sessionsIn = async (options: GrepOptions): Promise<readonly string[]> => [
      ...new Set((await hitsOf(set, 'marmot', options)).map(({ session }) => session.id as string)),
    ]
    expect(await sessionsIn({})).toEqual([SESSION.id, other.id])
    expect(await sessionsIn({ sessions: [keyOf(other.id)] })).toEqual([other.id])
    expect(await sessionsIn({ sessions: [keyOf(other.id).session] })).toEqual([other.id])
    expect(await sessionsIn({ sessions: [] })).toEqual([])
    expect(await sessionsIn({ cwd: '/srv/sky' })).toEqual([SESSION.id])
    expect(await sessionsIn({ cwd: '/srv/sky/' })).toEqual([SESSION.id, other.id])
    expect(await sessionsIn({ agent: 'pi' })).toEqual([])
    expect(await hitsOf(set, 'marmot', { limit: 2 })).toHaveLength(2)
    const containing: string[] = []
    for await (const { id } of findSessionsContaining(set, 'marmot')) containing.push(id)
    expect(containing).toEqual([SESSION.id, other.id])
    for await (const { id } of findSessionsContaining(set, 'another')) expect(id).toBe(other.id)
  })

  it('finds what came since the sessions were listed by an earlier process', async () => {
    using fixture = jsonFixture([SESSION])
    using home = tempFolder()
    const open = (): Promise<Sessions> => openSessions({ data: fixture.path, home: home.path })
    const before = await open()
    await before.close()
    const late = corpusSession(TIME + 5000, [userMessage(TIME + 5001, ['a late marmot'])])
    writeTreeSessions(fixture.path, [late])
    for (const { id, data, parts, time } of late.messages) {
      fixture.write({ session: late.id, message: id }, JSON.stringify(data), time)
      for (const part of parts) fixture.write({ session: late.id, message: id, part: part.id }, JSON.stringify(part.data), time)
    }
    await using set = await open()
    expect(set.stale).toBe(true)
    expect((await hitsOf(set, 'a late marmot')).map(({ session }) => session.id)).toEqual([late.id])
  })

  it('refuses what is no search', async () => {
    await using set = await createSessionSet([new MemoryStore()])
    const wrong: readonly (readonly [unknown, object])[] = [
      ['', {}],
      [3, {}],
      ['a', { limit: 0 }],
      ['a', { limit: 1.5 }],
      ['a', { limit: '2' }],
      ['a', { kinds: 'text' }],
      ['a', { kinds: null }],
      ['a', { sessions: 'ses_1' }],
      ['a', { sessions: [null] }],
      ['a', { ignoreCase: 'no' }],
      ['a', { context: 1.5 }],
      ['a', { signal: 1 }],
      ['a', { onIssue: 1 }],
      ['a', { onProgress: 1 }],
      ['a', null as never],
      ['a', { kinds: ['texts'] }],
      ['a', { context: -1 }],
      ['a', { agent: 'x' }],
      ['a', { query: 1 }],
    ]
    for (const [pattern, options] of wrong) {
      await expect(hitsOf(set, pattern as string, options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
      await expect(findSessionsContaining(set, pattern as string, options).next()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    }
    expect(await hitsOf(set, 'a', { limit: Number.POSITIVE_INFINITY, context: Number.POSITIVE_INFINITY })).toEqual([])
    await expect(hitsOf(set, 'a', { sessions: [keyOf('ses_nobody')] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('shows of a long line what stands around the match, and cuts no character in two', async () => {
    const text = `${'🚀'.repeat(50)}needle${'🚀'.repeat(50)}\nnext`
    using fixture = memoryFixture([corpusSession(TIME, [userMessage(TIME, [text])])])
    await using set = await setOf(await fixture.open())
    const [hit] = await hitsOf(set, 'needle', { context: 5 })
    expect(hit).toMatchObject({ text: '🚀🚀🚀needle🚀🚀', match: { start: 6, end: 12 }, cut: { start: true, end: true } })
    expect((await hitsOf(set, 'next', { context: 5 }))[0]).toMatchObject({ text: 'next', cut: { start: false, end: false }, line: 2 })
    expect((await hitsOf(set, /.*/su))[0]?.match).toEqual({ start: 0, end: 211 })
  })
})

describe('grep over damage', () => {
  it('tells damaged records that may hold the text, and finds everything else', async () => {
    const session = corpusSession(TIME, conversation(TIME + 1, 3))
    using fixture = jsonFixture([session])
    const [first, second] = session.messages
    const broken = second?.parts[0]
    fixture.write({ session: session.id, message: second?.id ?? '', part: broken?.id ?? '' }, '{"type":"text","text":"question', TIME)
    fixture.write({ session: session.id, message: first?.id ?? '' }, '{"role":', TIME)
    await using set = await setOf(await fixture.open())
    const issues: StageIssue[] = []
    const hits = await hitsOf(set, 'question', { onIssue: (issue) => issues.push(issue) })
    expect(hits.map(({ text, role }) => [text, role])).toEqual([
      ['question 0', undefined],
      ['question 1', 'user'],
      ['question 2', 'user'],
    ])
    expect(issues.map(({ code, key }) => [code, key?.kind])).toEqual([
      ['CORRUPT_RECORD', 'message'],
      ['CORRUPT_RECORD', 'part'],
    ])
  })

  it('goes on when a session is gone', async () => {
    using fixture = jsonFixture([SESSION, corpusSession(TIME - 5000, [userMessage(TIME - 4999, ['marmot too'])])])
    const world = watched(await fixture.open())
    await using set = await setOf(world.store)
    const all = await hitsOf(set, 'marmot')
    for (const { id } of SESSION.messages) fixture.remove({ session: SESSION.id, message: id })
    const hits = await hitsOf(set, 'marmot')
    expect(all.length).toBeGreaterThan(hits.length)
    expect(hits.map(({ text }) => text)).toEqual(['marmot too'])
  })

  it('reads a session from one copy alone', async () => {
    using eras = everyEra()
    await using set = await openSessions({ data: eras.data })
    const hidden = set.index.sessionsByTime().filter(({ hides }) => hides.length > 0)
    expect(hidden.length).toBeGreaterThan(0)
    const hits = await hitsOf(set, /\w+/)
    const names = hits.map(({ message, part, field, line, text }) => JSON.stringify([message.session, part, message.message, field, line, text]))
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('grep reads in pages', () => {
  const long = corpusSession(TIME, conversation(TIME + 1, 200))

  it('opens no more than a page once enough is found, and nothing of sessions that are not asked', async () => {
    using fixture = jsonFixture([long, corpusSession(TIME - 5000, conversation(TIME - 4000, 3))])
    await using set = await setOf(await fixture.open())
    const [store] = set.stores
    const before = { ...store?.work }
    expect(await hitsOf(set, 'question 1', { limit: 1 })).toHaveLength(1)
    // Eight messages with their parts, and the session's record.
    expect((store?.work.files ?? 0) - (before.files ?? 0)).toBeLessThanOrEqual(8 + 12 + 1)
  })

  it('ends at the next page once it is aborted', async () => {
    using fixture = sqliteFixture('1.18')([long])
    await using set = await setOf(await fixture.open())
    const controller = new AbortController()
    const pages: number[] = []
    const reading = hitsOf(set, 'nothing of the kind', {
      signal: controller.signal,
      onProgress: ({ messages }) => {
        pages.push(messages)
        if (pages.length === 2) controller.abort(new Error('enough'))
      },
    })
    await expect(reading).rejects.toThrow('enough')
    expect(pages).toEqual([8, 24])
    await expect(hitsOf(set, 'x', { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })

  it('lets others have their turn', async () => {
    using fixture = sqliteFixture('1.18')([long])
    await using set = await setOf(await fixture.open())
    let turns = 0
    let going = true
    const count = (): void => {
      turns++
      if (going) setImmediate(count)
    }
    setImmediate(count)
    for (let round = 0; round < 10; round++) await hitsOf(set, /question \d+ nowhere/)
    going = false
    expect(turns).toBeGreaterThan(2)
  })

  it('ends an expression that tries for ever, wherever it begins to, and goes on with the next', async () => {
    const store = new MemoryStore()
    store.put({ session: 's' }, { title: 't', directory: '/a', time: { created: 1, updated: 1 } }, 1)
    const put = (name: string, text: string, time: number): void => {
      store.put({ session: 's', message: name }, { role: 'user', time: { created: time } }, time)
      store.put({ session: 's', message: name, part: 'p' }, { type: 'text', text }, time)
    }
    const endless = `${'a'.repeat(60)}!`
    put('m1', `${'x\n'.repeat(100)}${endless}`, 1)
    await using set = await createSessionSet([store])
    const tooLong = { code: 'INVALID_OPTION', reason: expect.stringContaining('longer than 1000 ms') }
    await expect(hitsOf(set, /y|(a+)+$/, { timeoutMs: 1000 })).rejects.toMatchObject(tooLong)
    // The first places of the text are found at once, and the rest of it later.
    const found: number[] = []
    const reading = (async () => {
      for await (const { line } of grepSessions(set, /^x|(a+)+$/m, { timeoutMs: 1000 })) found.push(line)
    })()
    await expect(reading).rejects.toMatchObject(tooLong)
    expect(found).toEqual(Array.from({ length: 64 }, (_, at) => at + 1))
    await expect(findSessionsContaining(set, /y|(a+)+$/, { timeoutMs: 1000 }).next()).rejects.toMatchObject(tooLong)
    expect((await hitsOf(set, /a!$/, { timeoutMs: 20_000 })).length).toBe(1)
    expect((await hitsOf(set, /^x/m)).map(({ line }) => line)).toEqual(Array.from({ length: 100 }, (_, at) => at + 1))
    for (const timeoutMs of [0, Number.NaN, 2 ** 31]) await expect(hitsOf(set, 'x', { timeoutMs })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('parses only what may hold the text', async () => {
    const store = new MemoryStore()
    store.put({ session: 's' }, { title: 't', directory: '/a', time: { created: 1, updated: 1 } }, 1)
    for (let at = 0; at < 20; at++) {
      store.put({ session: 's', message: `m${at}` }, { role: 'user', time: { created: at + 1 } }, at + 1)
      // Damaged all of them: what is parsed is told.
      store.put({ session: 's', message: `m${at}`, part: 'p' }, `{"type":"text","text":"number ${at}.`, at + 1)
    }
    await using set = await createSessionSet([store])
    const issues: StageIssue[] = []
    expect(await hitsOf(set, 'number 7.', { onIssue: (issue) => issues.push(issue) })).toEqual([])
    expect(issues.map(({ key }) => key)).toEqual([{ kind: 'part', agent: 'opencode', session: 's', message: parseMessageId('m7'), part: 'p' }])
  })
})

describe('looking at bytes first finds what parsing everything finds', () => {
  /** Words and odd pieces of the corpora, across punctuation and line breaks. */
  const same = async (set: Sessions, text: string): Promise<number> => {
    const plain = await hitsOf(set, text)
    expect(plain).toEqual(await hitsOf(set, literal(text)))
    expect(await hitsOf(set, text, { ignoreCase: true })).toEqual(await hitsOf(set, new RegExp(literal(text).source, 'i')))
    return plain.length
  }
  const everything = async (set: Sessions): Promise<readonly string[]> => [...new Set((await hitsOf(set, /.{1,60}/su, { context: 0 })).map(found))]

  const check = async (set: Sessions): Promise<void> => {
    const texts = await everything(set)
    expect(texts.length).toBeGreaterThan(3)
    const pieces = fc
      .constantFrom(...texts)
      .chain((text) =>
        fc.tuple(fc.nat({ max: text.length - 1 }), fc.integer({ min: 1, max: 12 })).map(([from, length]) => text.slice(from, from + length)),
      )
    await fc.assert(
      fc.asyncProperty(pieces, async (piece) => {
        expect(await same(set, piece)).toBeGreaterThan(0)
      }),
      { numRuns: 40 },
    )
  }

  const odd = [...sampleCorpus(), SESSION, oddSession()]
  const fixtures: readonly (readonly [string, FixtureMaker])[] = [
    ['memory', memoryFixture],
    ['files', jsonFixture],
    ['era A', eraAFixture()],
    ['database', sqliteFixture('1.18')],
    ['OpenCode 2', v2Fixture],
  ]
  it.each(fixtures)('in %s', async (_, make) => {
    using fixture = make(odd)
    await using set = await setOf(await fixture.open())
    await check(set)
  })

  it.each(DIALECTS)('in logs of $name', async (dialect) => {
    await using world = await logWorld(dialect, { map: 'never' })
    await check(world.set)
  })
})

function oddSession(): CorpusSession {
  const texts = ['tab\there "quoted" back\\slash /path/to', 'é É я Я K ſ \u2028 🚀\u001b[31m', '\\u0041 is A', 'line\r\nbreak']
  return corpusSession(TIME - 100_000, [userMessage(TIME - 100_000, texts)], { id: 'ses_odd' })
}
