/** Two stores of one data folder hold the same sessions: what is damaged in the upper one is given from the lower, and what is in neither is named. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EntityKey } from '../../src/core/keys.js'
import { openSessions } from '../../src/open.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { loadMessages } from '../../src/tree/loader.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { MessageNode } from '../../src/tree/types.js'
import { verifyStores } from '../../src/tree/verify.js'
import type { Corpus } from '../support/corpus.js'
import { anyCorpus, anyHits, ERA_A, ERA_B, type Hit, type Layout, nameOf, placeOf, V1, V2, wholeBytes } from '../support/random-stores.js'
import { tempFolder } from '../support/temp.js'
import { issuesIn, resultOf } from '../support/trees.js'

const RUNS = { numRuns: 20 }

/** From the upper to the lower. */
const PAIRS: readonly (readonly [Layout, Layout])[] = [
  [V1, ERA_B],
  [ERA_B, ERA_A],
  [V1, ERA_A],
  [V2, V1],
  [V2, ERA_B],
]

describe('damage in the upper of two stores', () => {
  it.each(PAIRS.map(([upper, lower]) => ({ name: `${upper.name} over ${lower.name}`, upper, lower })))(
    '($name) takes away nothing that the lower one has whole, and is named',
    async ({ upper, lower }) => {
      await fc.assert(
        fc.asyncProperty(anyCorpus, anyHits(levelsOf(upper)), async (corpus, hits) => {
          using folder = tempFolder()
          lower.write(folder.path, corpus)
          upper.write(folder.path, corpus)
          const names = textsOf(upper, corpus)
          const places = hits.map(placeOf).filter((place) => names.has(nameOf(place)))
          const damaged = places.map((place, at) => upper.damage(folder.path, corpus, place, broken(hits[at], place)))
          await using sessions = await openSessions({ data: folder.path })
          expect(await textsIn(sessions)).toEqual(names)
          expect(await loadedTexts(sessions)).toEqual(new Map([...names].filter(([name]) => name.includes('/'))))
          expect(await replaced(sessions)).toEqual(new Set(places.map(nameOf)))
          const { stores } = await verifyStores(sessions)
          const found = stores.flatMap((store) => store.damaged.flatMap(({ path, key }) => [path, key]))
          expect(damaged.filter((name) => !found.includes(name))).toEqual([])
        }),
        RUNS,
      )
    },
  )

  it.each(PAIRS.map(([upper, lower]) => ({ name: `${upper.name} over ${lower.name}`, upper, lower })))(
    '($name) of a record that is damaged in both takes away that one alone',
    async ({ upper, lower }) => {
      await fc.assert(
        fc.asyncProperty(anyCorpus, anyHits(['message']), async (corpus, hits) => {
          using folder = tempFolder()
          lower.write(folder.path, corpus)
          upper.write(folder.path, corpus)
          const names = new Map(textsOf(upper, corpus))
          const places = hits.map(placeOf).filter((place) => names.has(nameOf(place)))
          for (const [at, place] of places.entries()) {
            for (const layout of [upper, lower]) layout.damage(folder.path, corpus, place, broken(hits[at], place))
            names.delete(nameOf(place))
            // Parts of era B and V1 are records of their own, and stay where their store is the upper one; in V2 they go with the message.
          }
          await using sessions = await openSessions({ data: folder.path })
          const given = await textsIn(sessions)
          for (const [name, text] of names) {
            const lost = !upper.partLeaves && places.some((place) => name.startsWith(`${nameOf(place)}/`))
            if (!lost) expect([name, given.get(name)]).toEqual([name, text])
          }
        }),
        RUNS,
      )
    },
  )
})

/** In a database the rows of sessions are columns: none of them can be damaged as a whole. */
function levelsOf(layout: Layout): readonly Hit['level'][] {
  if (!layout.partLeaves) return ['message']
  return layout === V1 ? ['message', 'part'] : ['session', 'message', 'part']
}

/** Damage that no reading survives. */
function broken(hit: Hit | undefined, place: ReturnType<typeof placeOf>): Uint8Array {
  const bytes = hit?.bytes(wholeBytes(place)) ?? new Uint8Array()
  return isBroken(bytes) ? bytes : bytes.subarray(0, bytes.length - 1)
}

function isBroken(bytes: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf8', { fatal: true }).decode(bytes))
    return typeof value !== 'object' || value === null || Array.isArray(value)
  } catch {
    return true
  }
}

/** Title, role, or text of every record of the corpus. A question of OpenCode 2 has one text, whatever it had before. */
function textsOf(upper: Layout, corpus: Corpus): ReadonlyMap<string, unknown> {
  const texts = new Map<string, unknown>()
  for (const { id, info, messages } of corpus) {
    texts.set(id, info.title)
    for (const { id: message, data, parts } of messages) {
      texts.set(`${id}/${message}`, data.role)
      if (upper.partLeaves) for (const part of parts) texts.set(`${id}/${message}/${part.id}`, part.data.text)
    }
  }
  return texts
}

async function textsIn(sessions: Sessions): Promise<ReadonlyMap<string, unknown>> {
  const texts = new Map<string, unknown>()
  for await (const result of runSessionFlow(sessions, { all: true })) {
    const { key, session, messages } = resultOf(result)
    if (session !== undefined) texts.set(key.session, session.title)
    addTexts(texts, messages, sessions.index.session(key)?.source.kind !== 'opencode-v2')
  }
  return texts
}

async function loadedTexts(sessions: Sessions): Promise<ReadonlyMap<string, unknown>> {
  const texts = new Map<string, unknown>()
  for (const { key, source } of sessions.index.sessionsByTime()) addTexts(texts, await loadMessages(sessions, key), source.kind !== 'opencode-v2')
  return texts
}

function addTexts(texts: Map<string, unknown>, messages: readonly Pick<MessageNode, 'key' | 'message' | 'parts'>[], withParts: boolean): void {
  for (const { key, message, parts } of messages) {
    const name = `${key.session}/${key.message}`
    if (message !== undefined) texts.set(name, message.role)
    if (withParts) for (const part of parts) texts.set(`${name}/${part.id}`, part.type === 'text' ? part.text : part.type)
  }
}

/** The records that came from a lower copy, by the issues that say so. */
async function replaced(sessions: Sessions): Promise<ReadonlySet<string>> {
  const issues = [...sessions.issues]
  for await (const result of runSessionFlow(sessions, { all: true })) issues.push(...issuesIn(result))
  return new Set(issues.flatMap(({ code, key }) => (code === 'RECORD_FROM_LOWER_COPY' && key !== undefined ? [keyName(key)] : [])))
}

function keyName(key: EntityKey): string {
  if (key.kind === 'session') return nameOf({ session: key.session })
  return nameOf({ session: key.session, message: key.message, ...(key.kind === 'part' && { part: key.part }) })
}
