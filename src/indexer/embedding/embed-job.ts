/** One request for vectors: which texts are its own to embed, and which it waits for. */
import { StorageError } from '../../core/errors.js'
import { faultOf } from '../faults.js'
import type { Failure } from '../state/rows.js'
import { cutInHalves } from '../text/chunk.js'
import { embedPage, type Outcome, probe } from './embed-page.js'
import type { Embedded, EmbedShared, EmbedSignals, Flight, Piece } from './embedding.js'
import { orAborted } from './turn.js'

/** Beyond so many, those that were found too long are found so again. */
const MOST_TOO_LONG = 10_000

/** What ended the embedding of texts that are out. */
export const EXCLUDED = new StorageError('NOT_FOUND', { reason: 'the session was excluded while it was embedded' })

/** It embeds all that is its own before it waits for others, so no two jobs wait for each other. */
export class EmbedJob {
  readonly #shared: EmbedShared
  readonly #signals: EmbedSignals
  readonly #outcomes = new Map<string, Outcome>()
  readonly #halves = new Map<string, readonly [string, string]>()
  readonly #own: string[] = []
  /** Of the texts of its own that have no outcome yet. */
  readonly #flights = new Map<string, Flight>()
  readonly #theirs = new Map<string, Flight>()
  #computed = 0

  constructor(shared: EmbedShared, signals: EmbedSignals) {
    this.#shared = shared
    this.#signals = signals
  }

  async run(texts: readonly string[]): Promise<Embedded> {
    const { signal, stopping } = this.#signals
    let ended: Embedded['ended']
    try {
      for (const text of texts) this.#place(text)
      await this.#work()
    } catch (error) {
      signal.throwIfAborted()
      if (!stopping.aborted && error !== EXCLUDED && faultOf(error) !== 'service') throw error
      ended = { reason: error }
    } finally {
      for (const text of [...this.#flights.keys()]) this.#land(text, undefined)
    }
    if (ended === undefined) this.#acquit()
    return { pieces: this.#piecesOf(texts), keys: this.#keys(), computed: this.#computed, ended }
  }

  #keys(): string[] {
    return [...this.#outcomes.keys()].map(this.#shared.keyOf)
  }

  /** What is put aside now may be tried again one day. */
  #acquit(): void {
    this.#shared.strikes.forget(this.#keys())
  }

  async #work(): Promise<void> {
    for (;;) {
      if (this.#own.length > 0) await this.#embed(this.#nextPage())
      else if (this.#theirs.size > 0) await this.#wait()
      else return
    }
  }

  #place(text: string): void {
    if ([this.#outcomes, this.#halves, this.#flights, this.#theirs].some((known) => known.has(text))) return
    if (this.#isTooLong(text) && this.#cut(text)) return
    const { cache, embedder, inFlight, strikes, keyOf } = this.#shared
    const vector = cache?.get(keyOf(text))
    const flight = inFlight.get(text)
    const failure = strikes.verdict(keyOf(text))
    if (vector?.length === embedder.dimensions) this.#outcomes.set(text, { vector })
    else if (failure !== undefined) this.#outcomes.set(text, { failure })
    else if (flight !== undefined) this.#theirs.set(text, flight)
    else this.#take(text)
  }

  #isTooLong(text: string): boolean {
    const { embedder, tooLong, keyOf } = this.#shared
    return text.length > (embedder.maxCharacters ?? Number.POSITIVE_INFINITY) || tooLong.has(keyOf(text))
  }

  #cut(text: string): boolean {
    const both = cutInHalves(text)
    if (both === undefined) return false
    this.#halves.set(text, both)
    for (const half of both) this.#place(half)
    return true
  }

  #take(text: string): void {
    const flight = newFlight()
    this.#flights.set(text, flight)
    this.#shared.inFlight.set(text, flight)
    this.#own.push(text)
  }

  #nextPage(): readonly string[] {
    const { batchSize, embedder } = this.#shared
    const struck = Math.max(...this.#own.slice(0, batchSize).map((text) => this.#strikesOf(text)))
    const page = this.#own.slice(0, Math.max(1, Math.floor(batchSize / 2 ** struck)))
    const size = embedder.batch?.(page) ?? page.length
    return this.#own.splice(0, Math.max(1, Math.min(size, page.length)))
  }

  #strikesOf(text: string): number {
    const { strikes, keyOf } = this.#shared
    return strikes.of(keyOf(text))
  }

  #embed(page: readonly string[]): Promise<void> {
    const { turn, cache, keyOf, strikes, breaker, embedder } = this.#shared
    const { signal, stopping, isOut } = this.#signals
    const calls = {
      ...this.#shared,
      keep: async (vectors: ReadonlyMap<string, Float32Array>): Promise<void> => {
        this.#computed += vectors.size
        strikes.up([...vectors.keys()].map(keyOf))
        await cache?.put([...vectors].map(([text, vector]) => ({ key: keyOf(text), vector })))
      },
      settle: (text: string, outcome: Outcome): void => {
        this.#land(text, outcome)
        this.#learn(text, outcome)
      },
      strike: (texts: readonly string[], failure: Failure): void => strikes.down(texts.map(keyOf), failure),
    }
    return turn(async () => {
      stopping.throwIfAborted()
      if (isOut?.()) throw EXCLUDED
      if (strikes.health() === 'down') {
        await breaker.run(() => probe(embedder, signal), signal)
        strikes.up([])
      }
      await embedPage(calls, page, signal)
    }, signal)
  }

  async #wait(): Promise<void> {
    const waiting = [...this.#theirs]
    const outcomes = await orAborted(Promise.all(waiting.map(([, { promise }]) => promise)), this.#signals.signal)
    this.#theirs.clear()
    for (const [i, [text]] of waiting.entries()) {
      const outcome = outcomes[i]
      if (outcome === undefined) this.#place(text)
      else this.#learn(text, outcome)
    }
  }

  #land(text: string, outcome: Outcome | undefined): void {
    this.#shared.inFlight.delete(text)
    this.#flights.get(text)?.land(outcome)
    this.#flights.delete(text)
  }

  #learn(text: string, outcome: Outcome): void {
    if ('failure' in outcome && outcome.failure.code === 'TEXT_TOO_LONG' && this.#cut(text)) this.#noteTooLong(text)
    else this.#outcomes.set(text, outcome)
  }

  #noteTooLong(text: string): void {
    const { tooLong, keyOf } = this.#shared
    if (tooLong.size >= MOST_TOO_LONG) tooLong.clear()
    tooLong.add(keyOf(text))
  }

  #piecesOf(texts: readonly string[]): Embedded['pieces'] {
    const pieces = new Map<string, readonly Piece[]>()
    for (const text of texts) {
      const whole = this.#piecesOfOne(text)
      if (whole !== undefined) pieces.set(text, whole)
    }
    return pieces
  }

  /** Undefined while any part of the text has no outcome. */
  #piecesOfOne(text: string): readonly Piece[] | undefined {
    const outcome = this.#outcomes.get(text)
    if (outcome !== undefined) return ['failure' in outcome ? outcome : { text, key: this.#shared.keyOf(text), vector: outcome.vector }]
    const [first, second] = (this.#halves.get(text) ?? []).map((half) => this.#piecesOfOne(half))
    return first && second && [...first, ...second]
  }
}

function newFlight(): Flight {
  let land: Flight['land'] = () => undefined
  const promise = new Promise<Outcome | undefined>((resolve) => {
    land = resolve
  })
  return { promise, land }
}
