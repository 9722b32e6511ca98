import { parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, partKey } from '../../src/core/keys.js'
import { Slab } from '../../src/storage/slab.js'
import { parseSpan } from '../../src/storage/span.js'
import type { CensusEntry, Leaf, Read, Store } from '../../src/storage/store.js'
import { type Corpus, type CorpusSession, sampleCorpus } from '../support/corpus.js'
import type { StoreFixture } from '../support/store-fixtures.js'
import { keyOf } from '../support/trees.js'
export const CORPUS = sampleCorpus()
export const [FIRST, ACROSS] = CORPUS as [CorpusSession, CorpusSession]

export interface World extends AsyncDisposable {
  readonly fixture: StoreFixture
  readonly store: Store
}

export type MakeWorld = (corpus?: Corpus) => Promise<World>

export async function censusOf(store: Store): Promise<CensusEntry[]> {
  const entries: CensusEntry[] = []
  const slab = new Slab()
  for await (const entry of store.census(() => slab)) entries.push(entry)
  return entries
}

/** Every message and part of a session, with prices, messages first. */
export async function pricedReads(store: Store, session: CorpusSession): Promise<Read[]> {
  const key = keyOf(session.id)
  const bare = session.messages.flatMap((message): Read[] => {
    const owner = messageKey(key, parseMessageId(message.id))
    return [{ kind: 'message', key: owner }, ...message.parts.map((part): Read => ({ kind: 'part', key: partKey(owner, parsePartId(part.id)) }))]
  })
  const prices = await store.price([{ kind: 'session', key: { ...key, session: parseSessionId(session.id) } }, ...bare])
  return bare.map((read, at) => {
    const price = prices[at + 1]
    return price === undefined ? read : { ...read, price }
  })
}

export function places({ id, messages }: CorpusSession): { session: string; message: string; part?: string }[] {
  return messages.flatMap((message) => [
    { session: id, message: message.id },
    ...message.parts.map((part) => ({ session: id, message: message.id, part: part.id })),
  ])
}

export function allDocuments({ messages }: CorpusSession): [string, object][] {
  return messages.flatMap((message): [string, object][] => [
    [message.id, message.data],
    ...message.parts.map((part): [string, object] => [part.id, part.data]),
  ])
}

/** A fixed shuffle. */
export function mixed<T>(items: readonly T[]): T[] {
  return items
    .map((item, at) => ({ item, at: (at * 7919) % 101 }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

export function idIn({ key }: Read): string {
  return key.kind === 'part' ? key.part : key.kind === 'message' ? key.message : key.session
}

export function parsed(leaf: Leaf): unknown {
  return leaf.span === undefined ? leaf.issue : parseSpan(leaf.span)
}

export function never(): never {
  throw new Error('the corpus lacks what this test needs')
}
