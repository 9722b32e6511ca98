/** Whatever is damaged, and wherever: nothing throws, no record that is whole goes missing, and the damage is named. */
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { verifyStores } from '../../src/tree/verify.js'
import type { Corpus } from '../support/corpus.js'
import { plainV2Message } from '../support/independent-v2.js'
import { loaded, type Records, streamed, withoutSessions } from '../support/intact.js'
import { NO_ORPHANS } from '../support/ledger-balance.js'
import {
  anyCorpus,
  anyHits,
  ERA_A,
  ERA_B,
  type Hit,
  type Layout,
  nameOf,
  ODD_DOCUMENT,
  placeOf,
  V1,
  V2,
  v2Document,
  wholeBytes,
} from '../support/random-stores.js'
import { writeFileAt } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const RUNS = { numRuns: 30 }
const LONG_AGO = 1_760_000_000_000
const LEVELS = {
  files: ['session', 'message', 'part'],
  rows: ['message', 'part'],
  documents: ['message'],
} as const satisfies Record<string, readonly Hit['level'][]>

describe.each([
  [ERA_B, LEVELS.files],
  [ERA_A, LEVELS.files],
  [V1, LEVELS.rows],
  [V2, LEVELS.documents],
] as const)('damage in $name', (layout, levels) => {
  it('takes away no record that is whole, and is named', async () => {
    await fc.assert(
      fc.asyncProperty(anyCorpus, anyHits(levels), async (corpus, hits) => {
        using folder = tempFolder()
        layout.write(folder.path, corpus)
        const expected = new Map(recordsOf(layout, corpus))
        const named = new Set<string>()
        for (const hit of hits) {
          const place = placeOf(hit)
          const bytes = hit.bytes(wholeBytes(place))
          const name = layout.damage(folder.path, corpus, place, bytes)
          if (layout.partLeaves || corpus.some(({ id }) => id === place.session) || !isDocument(bytes)) named.add(name)
          else named.delete(name)
          for (const name of expected.keys()) if (isHit(layout, name, nameOf(place))) expected.delete(name)
        }
        await holdAgainst(folder.path, expected, named, new Set(hits.map((hit) => nameOf(placeOf(hit)))))
      }),
      RUNS,
    )
  })
})

/** OpenCode moved files between project folders; one that stayed behind may be damaged. */
describe.each([
  ['0000', 'first'],
  ['zzzz', 'last'],
])('a damaged copy of a session file in the project folder %s, listed %s', (project) => {
  const withCopies = (check: (data: string, corpus: Corpus, copy: string, bytes: Uint8Array) => Promise<void>): Promise<void> =>
    fc.assert(
      fc.asyncProperty(anyCorpus, anyHits(['session']), async (corpus, [hit]) => {
        using folder = tempFolder()
        ERA_B.write(folder.path, corpus)
        const [{ id }] = corpus as [Corpus[number]]
        const copy = join(folder.path, 'storage', 'session', project, `${id}.json`)
        const bytes = hit?.bytes(wholeBytes({ session: id })) ?? new Uint8Array()
        writeFileAt(copy, bytes, LONG_AGO)
        await check(folder.path, corpus, copy, bytes)
      }),
      RUNS,
    )

  it('hides neither the whole one nor its messages', () =>
    withCopies(async (data, corpus) => {
      await using sessions = await openSessions({ data })
      expect((await streamed(sessions)).records).toEqual(recordsOf(ERA_B, corpus))
      expect(await loaded(sessions)).toEqual(withoutSessions(recordsOf(ERA_B, corpus)))
    }))

  it('is named by verify, which counts the whole one', () =>
    withCopies(async (data, corpus, copy, bytes) => {
      await using sessions = await openSessions({ data })
      const { stores, total } = await verifyStores(sessions)
      expect([total.sessions, total.superseded, total.orphans]).toEqual([corpus.length, 0, NO_ORPHANS])
      expect(stores.flatMap(({ damaged }) => damaged.map(({ path }) => path))).toEqual(isDocument(bytes) ? [] : [copy])
    }))
})

/** A V2 document of an odd shape is kept raw, and named where it is read; without a session nothing reads it, and it is whole as orphans go. */
function isDocument(bytes: Uint8Array): boolean {
  return Buffer.from(bytes).equals(ODD_DOCUMENT)
}

/** With its message a V2 row loses the parts inside it. */
function isHit(layout: Layout, name: string, hit: string): boolean {
  return name === hit || (!layout.partLeaves && name.startsWith(`${hit}/`))
}

async function holdAgainst(data: string, expected: Records, damaged: ReadonlySet<string>, hit: ReadonlySet<string>): Promise<void> {
  await using sessions = await openSessions({ data })
  const { records, named } = await streamed(sessions)
  const given = await loaded(sessions)
  for (const [name, record] of expected) {
    expect([name, records.get(name)]).toEqual([name, record])
    if (name.includes('/')) expect([name, given.get(name)]).toEqual([name, record])
  }
  expect([...records.keys()].filter((name) => !expected.has(name) && !hit.has(name))).toEqual([])
  const { stores } = await verifyStores(sessions)
  const found = new Set([...named, ...stores.flatMap((store) => store.damaged.flatMap(({ path, key }) => [path, key]))])
  expect([...damaged].filter((name) => !found.has(name))).toEqual([])
}

/** What the layout must give of the corpus, as `streamed` names it. */
function recordsOf(layout: Layout, corpus: Corpus): Records {
  const records = new Map<string, unknown>()
  for (const { id: session, info, messages } of corpus) {
    records.set(session, info.title)
    for (const message of messages) {
      const name = `${session}/${message.id}`
      if (!layout.partLeaves) {
        const { type, ...data } = v2Document(message)
        const plain = plainV2Message({ id: message.id, session_id: session, type: String(type), data: JSON.stringify(data) })
        records.set(name, plain.message)
        for (const part of plain.parts) records.set(`${name}/${part.id}`, part)
        continue
      }
      records.set(name, { ...message.data, id: message.id, sessionID: session })
      for (const { id, data } of message.parts) records.set(`${name}/${id}`, { ...data, id, messageID: message.id, sessionID: session })
    }
  }
  return records
}
