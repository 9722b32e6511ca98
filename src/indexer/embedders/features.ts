/** The lexical features of a text, counted in a hash table that is kept from text to text. */
import { pairsOf, piecesOf, windowsOf, wordsOf } from '../text/words.js'

/** How much one feature of a kind counts. Tuned on finding a text by four of its words, as written and misspelt. */
const WEIGHT = { word: 1, piece: 0.7, neighbours: 0.3, trigram: 0.4, symbol: 0.5 } as const
const SEED = { word: 0x01, neighbours: 0x02, trigram: 0x03, symbol: 0x04 } as const
export const textSeed = 0x05

/** Words so common that they say nothing of a text: what rarity would tell, were it known. */
const COMMON = new Set(
  (
    'a about after all also an and any are as at be been but by can could did do does for from get had has have he her here how i if in into is it its just ' +
    'like me my no not now of on one or our out she should so some than that the their them then there these they this to up us use was we were what when ' +
    'where which who why will with would you your'
  ).split(' '),
)
const COMMON_WEIGHT = 0.1
/** Longer words are rarer; the full weight begins here. */
const FULL_LENGTH = 5
/** Beyond it a word is a hash or worse, and its spelling says nothing. */
const LONGEST_SPELLED = 40

/** In UTF-16 units: putting marks in their order takes time with the square of their number. */
const NORMALIZED_AT_ONCE = 8192

const FIRST_CAPACITY = 8192

/** Features by hash, in order of first appearance. */
export class FeatureCounts {
  /** Open addressing, at most half full: the place of a feature in the lists below, plus 1; 0 is free. */
  #slots = new Int32Array(FIRST_CAPACITY)
  #lists = emptyLists(FIRST_CAPACITY / 2)
  #size = 0

  /** Forgets the last text and counts this one. */
  count(text: string): void {
    if (this.#slots.length > FIRST_CAPACITY) this.#resize(FIRST_CAPACITY)
    this.#slots.fill(0)
    this.#size = 0
    const normal = windowsOf(text, NORMALIZED_AT_ONCE)
      .map((window) => window.normalize('NFKC'))
      .join('')
    let previous = 0
    for (const written of wordsOf(normal)) previous = this.#word(written, previous)
    if (this.#size === 0) this.#symbols(normal)
  }

  visit(see: (hash: number, weight: number, count: number) => void): void {
    for (let i = 0; i < this.#size; i++) see(this.#lists.hashes[i] ?? 0, this.#lists.weights[i] ?? 0, this.#lists.counts[i] ?? 0)
  }

  /** Counts a word and what is in it; gives its hash, for the next word to be its neighbour. */
  #word(written: string, previous: number): number {
    const word = written.toLowerCase()
    const hash = hashText(word, SEED.word)
    const weight = wordWeight(word)
    this.#add(hash, weight * WEIGHT.word)
    if (previous !== 0) this.#add(mix(Math.imul(previous, 31) ^ hash ^ SEED.neighbours), weight * WEIGHT.neighbours)
    if (weight > COMMON_WEIGHT) this.#spell(word, weight * WEIGHT.trigram)
    for (const piece of piecesOf(written)) this.#piece(piece.toLowerCase())
    for (const pair of pairsOf(word)) this.#piece(pair)
    return hash
  }

  #piece(piece: string): void {
    this.#add(hashText(piece, SEED.word), wordWeight(piece) * WEIGHT.piece)
  }

  /** The character trigrams of the word with its ends marked. */
  #spell(word: string, weight: number): void {
    if (word.length > LONGEST_SPELLED) return
    let first = 1
    let second = word.charCodeAt(0)
    for (let i = 1; i <= word.length; i++) {
      const third = i < word.length ? word.charCodeAt(i) : 1
      this.#add(trigram(first, second, third), weight)
      first = second
      second = third
    }
  }

  /** A text without any word has only its other characters. */
  #symbols(text: string): void {
    for (const symbol of text) if (symbol.trim() !== '') this.#add(hashText(symbol, SEED.symbol), WEIGHT.symbol)
  }

  #add(hash: number, weight: number): void {
    const slot = this.#slotOf(hash)
    const place = (this.#slots[slot] ?? 0) - 1
    if (place >= 0) {
      this.#lists.counts[place] = (this.#lists.counts[place] ?? 0) + 1
      return
    }
    this.#lists.hashes[this.#size] = hash
    this.#lists.weights[this.#size] = weight
    this.#lists.counts[this.#size] = 1
    this.#slots[slot] = ++this.#size
    if (this.#size * 2 === this.#slots.length) this.#resize(this.#slots.length * 2)
  }

  /** The slot that holds the hash, or the free one where it belongs. */
  #slotOf(hash: number): number {
    const mask = this.#slots.length - 1
    let slot = hash & mask
    for (let place = this.#slots[slot] ?? 0; place !== 0 && this.#lists.hashes[place - 1] !== hash; place = this.#slots[slot] ?? 0)
      slot = (slot + 1) & mask
    return slot
  }

  /** Keeps what fits in the new capacity. */
  #resize(capacity: number): void {
    const kept = Math.min(this.#size, capacity / 2)
    const { hashes, weights, counts } = this.#lists
    this.#slots = new Int32Array(capacity)
    this.#lists = emptyLists(capacity / 2)
    this.#lists.hashes.set(hashes.subarray(0, kept))
    this.#lists.weights.set(weights.subarray(0, kept))
    this.#lists.counts.set(counts.subarray(0, kept))
    for (let i = 0; i < kept; i++) this.#slots[this.#slotOf(this.#lists.hashes[i] ?? 0)] = i + 1
  }
}

interface Lists {
  readonly hashes: Int32Array
  readonly weights: Float64Array
  readonly counts: Int32Array
}

function emptyLists(length: number): Lists {
  return { hashes: new Int32Array(length), weights: new Float64Array(length), counts: new Int32Array(length) }
}

function wordWeight(word: string): number {
  return COMMON.has(word) ? COMMON_WEIGHT : Math.min(1, word.length / FULL_LENGTH)
}

/** FNV-1a over UTF-16 units, mixed so that every bit depends on every unit. */
function hashText(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

function trigram(first: number, second: number, third: number): number {
  return mix(Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca77) ^ Math.imul(third, 0xc2b2ae3d) ^ SEED.trigram)
}

/** The finalizer of MurmurHash3. */
export function mix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
