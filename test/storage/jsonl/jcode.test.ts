/** jcode's sessions: a snapshot and a journal, the copies between them, and what a crash left of a line. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { jcodeFormat } from '../../../src/core/agents/jcode.js'
import type { MessageReading } from '../../../src/core/records.js'
import { jcodeAdapter } from '../../../src/storage/jsonl/jcode-log.js'
import type { LogMeta } from '../../../src/storage/jsonl/log-adapter.js'
import { LogIndex } from '../../../src/storage/jsonl/log-index.js'
import { GENERATOR_IS_HERE, generated } from '../../support/generated.js'
import { assembleAll, feed, linesOf, plainMessages, rangesOf } from '../../support/log-lines.js'
import { tempFolder } from '../../support/temp.js'

type Fields = Readonly<Record<string, unknown>>
const START = Date.parse('2026-03-01T10:00:00.000Z')
const time = (second: number): string => new Date(START + second * 1000).toISOString()

const message = (second: number, role: string, ...content: readonly unknown[]): Fields => ({
  id: `m${second}`,
  role,
  content,
  timestamp: time(second),
})
const text = (words: string): Fields => ({ type: 'text', text: words })
const call = (id: string): Fields => ({ type: 'tool_use', id, name: 'bash', input: { of: id } })
const result = (tool_use_id: string, content = `out of ${tool_use_id}`): Fields => ({ type: 'tool_result', tool_use_id, content })
const entry = (second: number, ...append_messages: readonly unknown[]): Fields => ({
  meta: { updated_at: time(second), status: 'Active' },
  append_messages,
})
const snapshot = (messages: readonly unknown[], more: Fields = {}): string =>
  JSON.stringify({ id: 'session_fox_1', created_at: time(0), updated_at: time(90), messages, ...more })

/** A snapshot and a journal in one buffer, each line with the place it has there. */
function read(document: string | undefined, journal = ''): { readonly bytes: Buffer; readonly index: LogIndex } {
  const index = new LogIndex()
  const first = Buffer.from(document ?? '')
  const bytes = Buffer.concat([first, Buffer.from(journal)])
  for (const [place, { start, end }] of (jcodeAdapter.split?.(first)?.messages ?? []).entries()) {
    const line = { file: 0, offset: start, length: end - start, line: place + 1, crc: crc32(bytes.subarray(start, end)) }
    jcodeAdapter.read(bytes, start, end, line, index)
  }
  for (const { start, end, number } of rangesOf(Buffer.from(journal))) {
    const [from, to] = [start + first.length, end + first.length]
    jcodeAdapter.read(bytes, from, to, { file: 1, offset: from, length: to - from, line: number, crc: crc32(bytes.subarray(from, to)) }, index)
  }
  return { bytes, index }
}

function shown({ bytes, index }: ReturnType<typeof read>): readonly string[] {
  return assembleAll(jcodeFormat, bytes, index, 'jcode').map(({ reading }) => {
    if ('damage' in reading) return 'damaged'
    return `${reading.record.message.role}: ${reading.record.parts.map(partText).join(', ')}`
  })
}

function partText(part: MessageReading['parts'][number]): string {
  if (part.type === 'text' || part.type === 'reasoning') return part.text
  if (part.type !== 'tool') return part.type
  return `${part.tool}=${part.state.status === 'completed' ? part.state.output : part.state.status}`
}

const ASKED = message(1, 'user', text('one'))
const CALLED = message(2, 'assistant', text('sure'), call('c1'), call('c2'))
const ANSWERED = message(3, 'user', result('c1'))
const ANSWERED_TOO = message(4, 'user', result('c2'))
const DONE = message(5, 'assistant', text('done'))
const SHOWN = ['user: one', 'assistant: sure, bash=out of c1, bash=out of c2', 'assistant: done']

describe('messages', () => {
  it('come from the snapshot, then from the journal, whose lines may append several', () => {
    const both = read(snapshot([ASKED, CALLED]), linesOf(entry(91, ANSWERED, ANSWERED_TOO), entry(92), entry(93, DONE)))
    expect(shown(both)).toEqual(SHOWN)
    expect(both.index.messages.map(({ id, parent }) => [id, parent])).toEqual([
      ['m1', undefined],
      ['m2', 'm1'],
      ['m5', 'm2'],
    ])
    expect([...both.index.ignored]).toEqual([['states of the session', 1]])
    expect(shown(read(undefined, linesOf(entry(1, ASKED, CALLED), entry(2, ANSWERED, ANSWERED_TOO, DONE))))).toEqual(SHOWN)
    expect(shown(read(snapshot([ASKED, CALLED, ANSWERED, ANSWERED_TOO, DONE])))).toEqual(SHOWN)
  })

  it('have results in their own blocks, or show them themselves where nobody called', () => {
    const log = snapshot([
      message(1, 'assistant', call('c1'), result('c1'), text('so')),
      message(2, 'user', result('lost')),
      message(3, 'user', text('and'), result('gone')),
      message(4, 'user', text('then')),
    ])
    expect(shown(read(log))).toEqual(['assistant: bash=out of c1, so', 'user: unknown=out of lost', 'user: and, unknown=out of gone', 'user: then'])
  })

  it('with texts beside results stand, and their results stand with their calls alone', () => {
    const log = snapshot([CALLED, message(3, 'user', result('c1'), result('c2'), text('go on'))])
    expect(shown(read(log))).toEqual(['assistant: sure, bash=out of c1, bash=out of c2', 'user: go on'])
  })

  it('without an id, or with an odd one, have their place for it', () => {
    const log = snapshot([{ role: 'user', content: 'a' }, { ...ASKED, id: '../x' }, { ...DONE, id: 7 }, null, 'text', { id: 'x', role: 'alien' }])
    const both = read(log)
    expect(shown(both)).toEqual(['user: a', 'user: one', 'assistant: done', 'damaged', 'damaged', 'unknown: '])
    expect(both.index.messages.slice(0, 5).every(({ id }) => /^@\d+$/.test(id))).toBe(true)
  })
})

describe('a journal that should have gone with the last snapshot', () => {
  it('repeats what is there, messages and results alike', () => {
    const all = [ASKED, CALLED, ANSWERED, ANSWERED_TOO]
    const both = read(snapshot(all), linesOf(entry(91, ...all), entry(92, DONE)))
    expect(shown(both)).toEqual(SHOWN)
    expect([...both.index.ignored]).toEqual([['copies of earlier lines', 4]])
  })

  it('has older versions of messages and of results, which are left out as jcode leaves them out', () => {
    const older = { ...CALLED, content: [text('perhaps'), call('c1')] }
    const both = read(snapshot([ASKED, CALLED, ANSWERED]), linesOf(entry(91, older, { ...ANSWERED, content: [result('c1', 'other')] })))
    expect(shown(both)).toEqual(shown(read(snapshot([ASKED, CALLED, ANSWERED]), '')))
    expect([...both.index.ignored]).toEqual([['older versions in the journal', 2]])
  })
})

describe('damaged lines', () => {
  const torn = JSON.stringify(entry(91, ASKED)).slice(0, 80)

  it('give every whole entry that is glued into them, and the rest is named', () => {
    const glued = `${torn}${JSON.stringify(entry(92, CALLED))}${JSON.stringify(entry(93, ANSWERED, ANSWERED_TOO))}`
    const both = read(undefined, linesOf(glued, entry(94, DONE)))
    expect(shown(both)).toEqual(['damaged', ...SHOWN.slice(1)])
    expect(both.index.messages[0]?.lines).toEqual([{ file: 1, offset: 0, length: torn.length, line: 1, crc: crc32(torn), use: 'own' }])
    expect(both.index.messages[2]?.parent).toBe('m2')
  })

  it('are not taken apart at what only looks like an entry', () => {
    const inner = `{"meta":{"updated_at":"x"},"append_messages":[{"id":"m1","role":"user","content":[{"type":"tool_use","input":{"meta":{"a":1}}}],"tor`
    expect(shown(read(undefined, linesOf(inner, 'rubbish', entry(94, DONE))))).toEqual(['damaged', 'damaged', 'assistant: done'])
  })

  it('with an entry before the tear name what comes after it', () => {
    const both = read(undefined, linesOf(`${JSON.stringify(entry(91, ASKED))} ${torn}`))
    expect(shown(both)).toEqual(['user: one', 'damaged'])
    expect(both.index.last?.lines[0]?.length).toBe(torn.length)
  })

  it('leave every entry whole that they do not touch, wherever the tear is', () => {
    // No bit that is flipped in its id makes it that of another entry.
    const one = JSON.stringify(entry(92, CALLED))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: one.length - 1 }), fc.constantFrom('', '\n'), fc.nat({ max: 7 }), (cut, gap, bit) => {
        const flipped = Buffer.from(one)
        flipped[cut] = (flipped[cut] as number) ^ (1 << bit)
        const journal = `${linesOf(entry(91, ASKED))}${one.slice(0, cut)}${gap}${linesOf(entry(94, DONE))}${flipped.toString('latin1').replaceAll('\n', ' ')}\n${linesOf(entry(95, message(8, 'user', text('two'))))}`
        const both = shown(read(undefined, journal))
        expect(both).toEqual(expect.arrayContaining(['user: one', 'assistant: done', 'user: two']))
        expect(both[1]).toBe('damaged')
      }),
      { numRuns: 300 },
    )
  })

  it('of a snapshot keep it from being split: what is whole of it is rescued', () => {
    expect(jcodeAdapter.split?.(Buffer.from('{"id":"x","messages":[{"id"'))).toBeUndefined()
    expect(jcodeAdapter.split?.(Buffer.from('[]'))).toBeUndefined()
    expect(jcodeAdapter.rescue?.(Buffer.from('{"id":"x","messages":[{"id"'))).toMatchObject({ messages: [], damage: [{ start: 22, end: 27 }] })
  })

  it('and odd fields never throw', () => {
    const odd = fc.jsonValue()
    const one = fc.oneof(
      odd,
      fc.record({
        id: odd,
        role: fc.constantFrom('user', 'assistant', 'tool'),
        content: fc.oneof(
          odd,
          fc.array(
            fc.oneof(
              odd,
              fc.record({ type: fc.constantFrom('text', 'tool_use', 'tool_result', 'image'), id: odd, tool_use_id: odd, text: odd, content: odd }),
            ),
          ),
        ),
      }),
    )
    fc.assert(
      fc.property(
        fc.array(one),
        fc.array(fc.record({ meta: odd, append_messages: fc.oneof(odd, fc.array(one)) })),
        fc.nat(),
        (messages, entries, cut) => {
          const journal = linesOf(...entries)
          const both = read(snapshot(messages), journal.slice(0, cut % (journal.length + 1)))
          expect(shown(both)).toHaveLength(both.index.count)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('splitting a snapshot', () => {
  it('gives the range of every message, and the rest without its long lists', () => {
    const list = [ASKED, null, 'a ] "b" \\', 12, [1, [2]], { deep: { list: [1] } }, CALLED]
    for (const space of [0, 2]) {
      const bytes = Buffer.from(JSON.stringify({ a: '[', env_snapshots: [{ big: 1 }], messages: list, replay_events: [1], z: 'x' }, null, space))
      const document = jcodeAdapter.split?.(bytes)
      expect(document?.messages.map(({ start, end }) => JSON.parse(bytes.toString('utf8', start, end)))).toEqual(list)
      expect(JSON.parse(document?.rest.toString() ?? '')).toEqual({ a: '[', env_snapshots: [], messages: [ASKED], replay_events: [], z: 'x' })
    }
  })

  it('finds every message of any document, and none of one that is cut off (property)', () => {
    const words = fc.constantFrom('a', '"', '\\', '\\"', '{"', '}]', ',', 'é', '\n', '"user"')
    const odd = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.array(words).map((all) => all.join('')),
        fc.constantFrom(null, 1.5e-7, true),
        tie('list'),
        tie('object'),
      ),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(fc.constantFrom('role', 'messages', 'content', 'type', '"'), tie('value'), { maxKeys: 4 }),
    }))
    const asked = fc.constantFrom(ASKED, CALLED, message(1, 'user', result('c1')))
    const document = fc.record({
      id: odd.value,
      messages: fc.array(fc.oneof(odd.value, asked), { maxLength: 8 }),
      replay_events: odd.value,
      z: odd.value,
    })
    fc.assert(
      fc.property(document, fc.constantFrom(0, 1), fc.double({ min: 0, max: 0.999, noNaN: true }), (given, space, share) => {
        const bytes = Buffer.from(JSON.stringify(given, null, space))
        const split = jcodeAdapter.split?.(bytes)
        expect(split?.messages.map(({ start, end }) => JSON.parse(bytes.toString('utf8', start, end)))).toEqual(
          JSON.parse(JSON.stringify(given.messages)),
        )
        const replayed = Array.isArray(given.replay_events) ? [] : given.replay_events
        const prompts = given.messages.filter((one) => one === ASKED).slice(0, 4)
        const rest = JSON.parse(split?.rest.toString() ?? '') as { readonly messages: readonly unknown[] }
        expect(rest).toEqual(JSON.parse(JSON.stringify({ ...given, messages: rest.messages, replay_events: replayed })))
        expect(rest.messages).toEqual(expect.arrayContaining(prompts))
        expect(jcodeAdapter.split?.(bytes.subarray(0, Math.floor(bytes.length * share)))).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })

  it('takes odd and empty lists', () => {
    for (const messages of [[], null, 'x', {}, undefined]) {
      const document = jcodeAdapter.split?.(Buffer.from(JSON.stringify({ id: 'a', messages })))
      expect(document?.messages).toEqual([])
      expect(JSON.parse(document?.rest.toString() ?? '')).toEqual(JSON.parse(JSON.stringify({ id: 'a', messages })))
    }
  })
})

describe('a cursor', () => {
  it('goes on as if the log were read whole, or says that it cannot', () => {
    const second = fc.integer({ min: 1, max: 30 })
    const one = fc.oneof(
      second.map((at) => message(at, 'user', text('one'))),
      second.map((at) => message(at, 'assistant', text('sure'), call(`c${at % 3}`))),
      second.map((at) => message(at, 'user', result(`c${at % 3}`))),
    )
    let lost = 0
    const entries = fc.array(fc.array(one, { maxLength: 3 }), { maxLength: 30 })
    fc.assert(
      fc.property(entries, fc.boolean(), fc.double({ min: 0, max: 1, noNaN: true }), (lists, isOrdered, share) => {
        let at = 0
        const all = lists.map((list) => entry(90, ...list.map((given) => (isOrdered ? { ...given, id: `o${++at}`, timestamp: time(at) } : given))))
        const log = linesOf(...all)
        const cut = linesOf(...all.slice(0, Math.floor(all.length * share))).length
        const whole = feed(jcodeAdapter, log, new LogIndex(), 0, cut)
        whole.takeTouched()
        const resumed = new LogIndex(JSON.parse(JSON.stringify(whole.memory())))
        feed(jcodeAdapter, log, whole, cut)
        feed(jcodeAdapter, log, resumed, cut)
        if (resumed.lost !== undefined) {
          lost++
          return
        }
        expect(plainMessages(resumed.takeTouched())).toEqual(plainMessages(whole.takeTouched()))
      }),
      { numRuns: 500 },
    )
    expect(lost).toBeLessThan(450)
  })
})

describe('what is light', () => {
  const describeBoth = (document: string | undefined, journal = ''): LogMeta => {
    const meta: LogMeta = { entries: 0 }
    const rest = jcodeAdapter.split?.(Buffer.from(document ?? ''))?.rest
    if (rest !== undefined) jcodeAdapter.describe(JSON.parse(rest.toString()), meta, { path: '/x.json', form: 'document', packed: false })
    const bytes = Buffer.from(journal)
    for (const { start, end } of rangesOf(bytes)) {
      if (!jcodeAdapter.tells(bytes, start, end, meta)) continue
      jcodeAdapter.describe(JSON.parse(bytes.toString('utf8', start, end)), meta, { path: '/x.journal.jsonl', form: 'lines', packed: false })
    }
    return meta
  }

  it('is in the snapshot, and newer in the journal', () => {
    const light = {
      parent_id: 'session_cat_0',
      title: 'made',
      model: 'gpt-5',
      provider_key: 'openai',
      working_dir: '/work',
      status: 'Closed',
      saved: true,
      save_label: 'keep',
    }
    expect(describeBoth(snapshot([message(0, 'user', text('<system-reminder>x')), ASKED], light))).toMatchObject({
      id: 'session_fox_1',
      parent: 'session_cat_0',
      title: 'made',
      prompt: 'one',
      directory: '/work',
      model: { id: 'gpt-5', providerID: 'openai' },
      label: 'keep',
      created: START,
      updated: START + 90_000,
      notes: { status: 'Closed' },
    })
    const meta = {
      updated_at: time(95),
      custom_title: 'given',
      model: 'gpt-6',
      status: { Crashed: { message: null } },
      saved: false,
      last_active_at: time(97),
    }
    expect(describeBoth(snapshot([ASKED], light), linesOf({ meta }, '{"other":1}'))).toMatchObject({
      title: 'given',
      prompt: 'one',
      model: { id: 'gpt-6', providerID: 'unknown' },
      updated: START + 97_000,
      notes: { status: 'Crashed' },
    })
    expect(describeBoth(snapshot([ASKED], light), linesOf({ meta }))).not.toHaveProperty('label')
  })

  it('is not taken from a journal older than the snapshot', () => {
    const stale = { meta: { updated_at: time(10), title: 'stale' }, append_messages: [ASKED] }
    expect(describeBoth(snapshot([], { title: 'fresh' }), linesOf(stale))).toMatchObject({ title: 'fresh', prompt: 'one', updated: START + 90_000 })
  })

  it('has the time of a line', () => {
    const bytes = Buffer.from(JSON.stringify(entry(12, ASKED)))
    expect(jcodeAdapter.timeOf(bytes, 0, bytes.length)).toBe(START + 12_000)
  })
})

describe('listing', () => {
  const folder = tempFolder()
  afterAll(() => folder[Symbol.dispose]())
  mkdirSync(join(folder.path, 'sessions', 'sub'), { recursive: true })
  const names = ['a.json', 'a.journal.jsonl', 'b.journal.jsonl', 'c.json', 'c.json.pre-wipe-12.bak', 'c.journal.corrupt.jsonl', 'd.json.bak', 'e.tmp']
  for (const name of names) writeFileSync(join(folder.path, 'sessions', name), '')
  writeFileSync(join(folder.path, 'config.json'), '')

  it('pairs snapshots with journals, either of which may be missing; a journal may come at any time', () => {
    for (const root of [folder.path, join(folder.path, 'sessions')]) {
      const { sessions, leftOut } = jcodeAdapter.list(root)
      expect(sessions.map(({ id, files }) => [id, files.map(({ form }) => form)])).toEqual([
        ['a', ['document', 'lines']],
        ['b', ['lines']],
        ['c', ['document', 'lines']],
      ])
      expect(Object.fromEntries(leftOut.map(({ path, reason }) => [path.split('/').at(-1), reason]))).toEqual({
        sub: 'no folder of sessions',
        'c.json.pre-wipe-12.bak': 'a copy from before a session was emptied',
        'c.journal.corrupt.jsonl': 'a copy of a damaged journal',
        'd.json.bak': 'a backup',
        'e.tmp': 'no file of a session',
      })
    }
    expect(() => jcodeAdapter.list(join(folder.path, 'nowhere'))).toThrow(expect.objectContaining({ code: 'STORE_UNREADABLE' }))
  })
})

const corpus = GENERATOR_IS_HERE ? describe : describe.skip

corpus('a generated corpus (../shared/tools/gen-corpus.mjs)', () => {
  it('is read whole: every message, every call with its result', () => {
    using made = generated('--layout', 'jcode', '--sessions', '4', '--messages', '6', '--parts', '5')
    const { sessions } = jcodeAdapter.list(join(made.data, '..', '..', '..', '.jcode'))
    expect(sessions).toHaveLength(4)
    for (const { id, files } of sessions) {
      const text = readFileSync(files[0]?.path ?? '', 'utf8')
      const document = JSON.parse(text)
      expect(document.id).toBe(id)
      const both = read(text)
      expect(both.index.messages.map((one) => one.id)).toEqual(document.messages.map((one: { id: string }) => one.id))
      const parts = assembleAll(jcodeFormat, both.bytes, both.index, 'jcode').flatMap(({ reading }) =>
        'damage' in reading ? [] : reading.record.parts,
      )
      const blocks = document.messages.flatMap((one: { content: { type: string }[] }) => one.content)
      expect(parts).toHaveLength(blocks.filter(({ type }: { type: string }) => type !== 'tool_result').length)
      expect(parts.every((part) => part.type !== 'tool' || part.state.status === 'completed')).toBe(true)
    }
  })
})

describe('hostile journals and snapshots', () => {
  it('of nothing but beginnings are damage', () => {
    const line = '{"meta":'.repeat(100_000)
    expect(shown(read(undefined, linesOf(line)))).toEqual(['damaged'])
  })

  it('may call and answer very often in one message', () => {
    const ids = Array.from({ length: 50_000 }, (_, at) => `c${at}`)
    const log = snapshot([message(1, 'assistant', ...ids.map(call), ...ids.map((id) => result(id)))])
    expect(read(log).index.count).toBe(1)
  })

  it('may have messages with a field of the name that entries of a journal have', () => {
    expect(shown(read(snapshot([{ ...ASKED, meta: { a: 1 } }])))).toEqual(['user: one'])
  })

  it('beside secrets are read, and those are not', () => {
    using folder = tempFolder()
    for (const name of ['session_a_1.json', 'auth.json', 'openai-auth.json', 'credentials.json']) writeFileSync(join(folder.path, name), '')
    const { sessions, leftOut } = jcodeAdapter.list(folder.path)
    expect(sessions.map(({ id }) => id)).toEqual(['session_a_1'])
    expect(leftOut.map(({ reason }) => reason)).toEqual(['a secret, as its name says', 'a secret, as its name says', 'a secret, as its name says'])
  })
})
