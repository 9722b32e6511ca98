/** What holds of one view over any stores, whatever they hold and whatever is damaged in them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeKey } from '../../src/core/keys.js'
import type { MemoryStore } from '../../src/storage/memory-store.js'
import type { StoreKind } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { SessionHydratedTree } from '../../src/tree/types.js'
import { memoryCopy } from '../support/copies.js'
import { type CorpusSession, conversation, corpusSession } from '../support/corpus.js'
import { issuesIn, keyOf, plain, resultOf, setOf } from '../support/trees.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const KINDS: readonly StoreKind[] = ['opencode-v2', 'opencode-sqlite', 'opencode-json', 'opencode-era-a']
const TALK = conversation(START, 3)
const SESSIONS = [0, 1, 2].map((at) => corpusSession(START + at, TALK))

/** A session in a store: which messages of the talk it has, when its record was touched, whether that is damaged. */
interface Copy {
  readonly session: number
  readonly messages: readonly number[]
  readonly touched: number
  readonly parent: number | null
  readonly damaged: boolean
}

const copy: fc.Arbitrary<Copy> = fc.record({
  session: fc.nat(SESSIONS.length - 1),
  messages: fc.subarray([...TALK.keys()]),
  touched: fc.nat(3),
  parent: fc.option(fc.nat(SESSIONS.length - 1)),
  damaged: fc.boolean(),
})

/** Stores of any kind, several of one kind among them, each with its own copies; every text says which. */
const world = fc.array(fc.record({ kind: fc.constantFrom(...KINDS), copies: fc.uniqueArray(copy, { selector: ({ session }) => session }) }), {
  minLength: 1,
  maxLength: 4,
})
type World = readonly { readonly kind: StoreKind; readonly copies: readonly Copy[] }[]

function storesOf(spec: World): MemoryStore[] {
  return spec.map(({ kind, copies }, at) => {
    const path = `/${at}/${at === 0 ? 'opencode' : `opencode-${at}`}.db`
    const store = memoryCopy(
      kind,
      path,
      copies.map((one) => sessionOf(one, `${at}`)),
    )
    for (const { session, damaged } of copies) if (damaged) store.put({ session: SESSIONS[session]?.id ?? '' }, '{', START)
    return store
  })
}

function sessionOf({ session, messages, touched, parent }: Copy, mark: string): CorpusSession {
  const told = messages.flatMap((at) => {
    const message = TALK[at]
    if (message === undefined) return []
    return [{ ...message, parts: message.parts.map((part) => ({ ...part, data: { ...part.data, text: `${mark} ${part.data.text}` } })) }]
  })
  const base = SESSIONS[session] ?? corpusSession(START, [])
  const parentID = parent === null ? undefined : SESSIONS[parent]?.id
  return { ...base, messages: told, updated: START + 1000 + touched, info: { ...base.info, title: mark, ...(parentID && { parentID }) } }
}

/** Everything that the set says, as plain data. */
async function view(set: Sessions): Promise<unknown> {
  const trees = []
  for (const meta of set.index.sessionsByTime()) {
    const result = await runSessionTreeFlow(set, { session: meta.key })
    const children = set.index.children(meta.key).map(({ id }) => id)
    trees.push({ meta, children, revision: await set.index.revision(meta.key), tree: plain(resultOf(result)), issues: issuesIn(result) })
  }
  return { trees, issues: set.issues.map((issue) => JSON.stringify(issue)).sort() }
}

describe('the merged view', () => {
  it('is the same in whatever order the stores are found', async () => {
    const orders = world.chain((spec) => fc.tuple(fc.constant(spec), fc.shuffledSubarray([...spec.keys()], { minLength: spec.length })))
    await fc.assert(
      fc.asyncProperty(orders, async ([spec, order]) => {
        const stores = storesOf(spec)
        const shuffled = order.map((at) => stores[at] as MemoryStore)
        expect(await view(await setOf(...shuffled))).toEqual(await view(await setOf(...stores)))
      }),
      { numRuns: 60 },
    )
  })

  it('has each session once, and every copy of it by name', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (spec) => {
        const stores = storesOf(spec)
        const set = await setOf(...stores)
        const held = await Promise.all(stores.map(async (store) => (await store.sessions()).entries.map(({ key }) => `${key.session} ${store.path}`)))
        const told = set.index.sessionsByTime().flatMap(({ id, source, hides }) => [source, ...hides].map(({ path }) => `${id} ${path}`))
        expect(told.sort()).toEqual(held.flat().sort())
        const ids = set.index.sessionsByTime().map(({ key }) => encodeKey(key))
        expect(new Set(ids).size).toBe(ids.length)
      }),
      { numRuns: 60 },
    )
  })

  it('loses no session when a store comes, and shows no shorter end of one', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (spec) => {
        const stores = storesOf(spec)
        const ends = async (some: readonly MemoryStore[]): Promise<Map<string, number>> => {
          const set = await setOf(...some)
          const metas = set.index.sessionsByTime()
          return new Map(await Promise.all(metas.map(async ({ id, key }) => [id, (await set.index.messages(key)).at(-1)?.created ?? 0] as const)))
        }
        const all = await ends(stores)
        for (const [id, end] of await ends(stores.slice(1))) expect(all.get(id)).toBeGreaterThanOrEqual(end)
      }),
      { numRuns: 60 },
    )
  })

  it('lacks no record for the damage of one: a copy that has it gives it, and an issue names it', async () => {
    const damage = fc.record({ at: fc.nat(), text: fc.constantFrom('', '{', '\0', '[]', 'null', '"x"') })
    const intact = world.map((spec) => spec.map((store) => ({ ...store, copies: store.copies.map((one) => ({ ...one, damaged: false })) })))
    await fc.assert(
      fc.asyncProperty(intact, damage, async (spec, { at, text }) => {
        const before = await setOf(...storesOf(spec))
        const stores = storesOf(spec)
        const records = recordsShown(before, spec)
        const record = records[at % records.length]
        if (record === undefined) return
        const { place, path } = record
        stores.find((store) => store.path === path)?.put(place, text, START)
        const after = await setOf(...stores)
        const key = keyOf(place.session)
        const [whole, mended] = [await runSessionTreeFlow(before, { session: key }), await runSessionTreeFlow(after, { session: key })]
        const [wanted, given] = [idsOf(resultOf(whole)), idsOf(resultOf(mended))]
        const missing = wanted.filter((id) => !given.includes(id))
        const others = spec.flatMap(({ copies }, index) => (stores[index]?.path === path ? [] : copies)).map((one) => sessionOf(one, ''))
        const isElsewhere = others.some((other) => other.id === place.session && recordIds(other).includes(record.id))
        if (after.index.session(key)?.source.path === path) {
          expect(missing.filter((id) => isElsewhere || id !== record.id)).toEqual([])
        } else {
          // It was shown for the time in the very record that is damaged now.
          expect(place.message).toBe(undefined)
        }
        const issues = [...after.issues, ...issuesIn(mended)]
        expect(issues.some((issue) => issue.path === path && issue.key !== undefined && encodeKey(issue.key).includes(record.id))).toBe(true)
      }),
      { numRuns: 200 },
    )
  })
})

interface Shown {
  readonly id: string
  readonly path: string
  readonly place: { readonly session: string; readonly message?: string; readonly part?: string }
}

/** Every record of the copies that are shown. */
function recordsShown(set: Sessions, spec: World): Shown[] {
  return set.index.sessionsByTime().flatMap(({ id, source }) => {
    const at = Number(source.path.split('/')[1])
    const copy = spec[at]?.copies.find(({ session }) => SESSIONS[session]?.id === id)
    if (copy === undefined) return []
    const { messages } = sessionOf(copy, '')
    return [
      { id, path: source.path, place: { session: id } },
      ...messages.flatMap((message) => [
        { id: message.id, path: source.path, place: { session: id, message: message.id } },
        ...message.parts.map((part) => ({ id: part.id, path: source.path, place: { session: id, message: message.id, part: part.id } })),
      ]),
    ]
  })
}

/** As far as the session has them; equal in all of its copies. */
function recordIds({ id, messages }: CorpusSession): string[] {
  return [id, ...messages.flatMap((message) => [message.id, ...message.parts.map((part) => part.id)])]
}

function idsOf(tree: SessionHydratedTree): string[] {
  const session = tree.session === undefined ? [] : [tree.session.id]
  return [
    ...session,
    ...tree.messages.flatMap(({ message, parts }) => [...(message === undefined ? [] : [message.id]), ...parts.map((part) => part.id)]),
  ]
}
