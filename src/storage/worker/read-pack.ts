/** Reads and prices on their way between threads, in columns: they come by the hundred, and objects are dear to copy. */
import { type EntityKey, encodeKey, messageKey, partKey, sessionKey } from '../../core/keys.js'
import type { Generation } from '../generation.js'
import type { Price, Read } from '../store.js'

/** A kind and a key as one text. */
export function encodeKind(kind: string, key: EntityKey): string {
  return kind + JOINT + encodeKey(key)
}

/** Undefined for a text that is none. What an id may be is for the store to say. */
export function decodeKind(text: string): { readonly kind: string; readonly key: EntityKey } | undefined {
  const [kind, agent, session, message, part] = text.split(JOINT)
  if (kind === undefined || session === undefined) return undefined
  const parent = sessionKey(agent as EntityKey['agent'], session as EntityKey['session'])
  if (message === undefined) return { kind, key: parent }
  const owner = messageKey(parent, message as Parameters<typeof messageKey>[1])
  return { kind, key: part === undefined ? owner : partKey(owner, part as Parameters<typeof partKey>[1]) }
}

const JOINT = '\u0001'
/** No id and no key holds it, as little as the joint of keys. */
const GAP = '\u0002'

/** Undefined stands for what is gone. */
export interface PackedPrices {
  readonly generations: readonly (Generation | undefined)[]
  /** Bytes and time of the change, of one after the other. */
  readonly numbers: Float64Array
}

export interface PackedReads {
  /** One text for all: many small ones are dear to copy, too. */
  readonly names: string
  /** Missing: of none of the reads. */
  readonly prices?: PackedPrices | undefined
}

export function packPrices(prices: readonly (Price | undefined)[]): PackedPrices {
  const numbers = new Float64Array(2 * prices.length)
  for (const [at, price] of prices.entries()) {
    numbers[2 * at] = price?.bytes ?? 0
    numbers[2 * at + 1] = price?.changed ?? 0
  }
  return { generations: prices.map((price) => price?.generation), numbers }
}

export function unpackPrices({ generations, numbers }: PackedPrices): readonly (Price | undefined)[] {
  return generations.map((generation, at) => generation && { generation, bytes: numbers[2 * at] ?? 0, changed: numbers[2 * at + 1] ?? 0 })
}

export function packReads(reads: readonly Read[], isPriced: boolean): PackedReads {
  const names = reads.map(({ kind, key }) => encodeKind(kind, key)).join(GAP)
  return isPriced && reads.some(({ price }) => price !== undefined) ? { names, prices: packPrices(reads.map(({ price }) => price)) } : { names }
}

export function unpackReads({ names, prices }: PackedReads): readonly Read[] {
  if (names === '') return []
  const priced = prices && unpackPrices(prices)
  const reads: Read[] = []
  for (const [at, name] of names.split(GAP).entries()) {
    const named = decodeKind(name)
    if (named === undefined) throw new RangeError(`${JSON.stringify(name)} names no record`)
    const [kind, key, price] = [named.kind as Read['kind'], named.key, priced?.[at]]
    reads.push(price === undefined ? { kind, key } : { kind, key, price })
  }
  return reads
}
