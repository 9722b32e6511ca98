import type { Document } from '../../src/core/documents.js'
import { parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, partKey } from '../../src/core/keys.js'
import { Slab } from '../../src/storage/slab.js'
import { parseSpan } from '../../src/storage/span.js'
import type { CensusEntry, Leaf, Read, Store } from '../../src/storage/store.js'
import { type Corpus, type CorpusMessage, type CorpusSession, sampleCorpus, userMessage } from './corpus.js'
import type { StoreFixture } from './store-fixtures.js'
import { expectedTree, keyOf, type PlainTree } from './trees.js'

/** What the contract is held against: a corpus in the store's own format, and what it must be read as. */
export interface ContractSubject {
  /** The first session has todos and diffs where the store has them; the second stands across the wrap of ids and has one odd record. */
  readonly corpus: readonly [first: CorpusSession, across: CorpusSession, ...others: CorpusSession[]]
  /** As the store's `supports` says. */
  readonly partLeaves: boolean
  /** False where stores of this kind have neither todo lists nor diffs. */
  readonly documents: boolean
  newMessage(time: number): CorpusMessage
  expectedTree(session: CorpusSession, record: Document): PlainTree
}

export const V1_SUBJECT: ContractSubject = {
  corpus: sampleCorpus(),
  partLeaves: true,
  documents: true,
  newMessage: userMessage,
  expectedTree,
}

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
