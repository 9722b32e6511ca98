/**
 * Texts to vectors: from the cache, from a call that is under way for the same text, else from the embedder.
 *
 * There is one call of the embedder at a time, of at most `batchSize` texts, and each answer is in the cache before anything else is done.
 * A text that is too long for the embedder is cut in halves; one that it refuses is put aside, and everything else goes on.
 */
import type { Breaker } from './breaker.js'
import { cutInHalves } from './chunk.js'
import { type EmbedCache, embeddingKey } from './embed-cache.js'
import { embedPage, type Outcome } from './embed-page.js'
import { faultOf } from './faults.js'
import type { Embedder } from './ports.js'
import type { Failure } from './state-rows.js'
import { createTurn, orAborted } from './turn.js'

export interface EmbeddedPiece {
  readonly text: string
  /** See `embeddingKey`. */
  readonly key: string
  readonly vector: Float32Array
}

export interface RefusedPiece {
  readonly failure: Failure
}

export interface Embedded {
  /** What became of each text, in order: one piece, or several when it was too long. Texts that `ended` left over are missing. */
  readonly pieces: ReadonlyMap<string, readonly (EmbeddedPiece | RefusedPiece)[]>
  /** Vectors that the embedder was called for. */
  readonly computed: number
  /** What ended it before the last text: a service that is down, or a stop. */
  readonly ended: { readonly reason: unknown } | undefined
}

export interface Embedding {
  /**
   * Once `stopping` is aborted no call is begun; the one under way ends. `signal` ends that one too.
   * @throws the reason of `signal`
   */
  embed(texts: readonly string[], signals: { readonly signal: AbortSignal; readonly stopping: AbortSignal }): Promise<Embedded>
}

export interface EmbeddingOptions {
  readonly embedder: Embedder
  readonly cache: EmbedCache | undefined
  readonly breaker: Breaker
  readonly batchSize: number
  readonly failpoint: (name: string) => void
}

/** Settled with undefined when its owner gave it up. */
interface Flight {
  readonly promise: Promise<Outcome | undefined>
  readonly land: (outcome: Outcome | undefined) => void
}

/** Beyond so many, those that were found too long are found so again. */
const MOST_TOO_LONG = 10_000

export function createEmbedding(options: EmbeddingOptions): Embedding {
  const { embedder, cache, batchSize } = options
  const turn = createTurn()
  const inFlight = new Map<string, Flight>()
  const tooLong = new Set<string>()
  const keyOf = (text: string): string => embeddingKey(embedder.space, 'document', text)

  const isTooLong = (text: string): boolean => text.length > (embedder.maxCharacters ?? Number.POSITIVE_INFINITY) || tooLong.has(keyOf(text))
  const noteTooLong = (text: string): void => {
    if (tooLong.size >= MOST_TOO_LONG) tooLong.clear()
    tooLong.add(keyOf(text))
  }

  const nextPage = (own: string[]): string[] => {
    const page = own.slice(0, batchSize)
    const size = embedder.batch?.(page) ?? page.length
    return own.splice(0, Math.max(1, Math.min(size, page.length)))
  }

  return {
    async embed(texts, { signal, stopping }) {
      const outcomes = new Map<string, Outcome>()
      const halves = new Map<string, readonly [string, string]>()
      const own: string[] = []
      const theirs = new Map<string, Flight>()
      const flights = new Map<string, Flight>()
      let computed = 0

      const place = (text: string): void => {
        if (outcomes.has(text) || halves.has(text) || flights.has(text) || theirs.has(text)) return
        if (isTooLong(text) && cut(text)) return
        const vector = cache?.get(keyOf(text))
        const flight = inFlight.get(text)
        if (vector?.length === embedder.dimensions) outcomes.set(text, { vector })
        else if (flight !== undefined) theirs.set(text, flight)
        else {
          const mine = newFlight()
          flights.set(text, mine)
          inFlight.set(text, mine)
          own.push(text)
        }
      }
      const cut = (text: string): boolean => {
        const both = cutInHalves(text)
        if (both === undefined) return false
        halves.set(text, both)
        both.forEach(place)
        return true
      }
      const learn = (text: string, outcome: Outcome): void => {
        if (!('failure' in outcome) || outcome.failure.code !== 'TEXT_TOO_LONG' || !cut(text)) outcomes.set(text, outcome)
        else noteTooLong(text)
      }
      const land = (text: string, outcome: Outcome | undefined): void => {
        inFlight.delete(text)
        flights.get(text)?.land(outcome)
        flights.delete(text)
      }
      const calls = {
        ...options,
        async keep(vectors: ReadonlyMap<string, Float32Array>) {
          computed += vectors.size
          await cache?.put([...vectors].map(([text, vector]) => ({ key: keyOf(text), vector })))
        },
        settle(text: string, outcome: Outcome) {
          land(text, outcome)
          learn(text, outcome)
        },
      }
      const embedOwn = (page: readonly string[]): Promise<void> =>
        turn(async () => {
          stopping.throwIfAborted()
          await embedPage(calls, page, signal)
        }, signal)
      const awaitTheirs = async (text: string, flight: Flight): Promise<void> => {
        const outcome = await orAborted(flight.promise, signal)
        theirs.delete(text)
        if (outcome === undefined) place(text)
        else learn(text, outcome)
      }

      let ended: Embedded['ended']
      try {
        texts.forEach(place)
        for (;;) {
          const [other] = theirs
          if (own.length > 0) await embedOwn(nextPage(own))
          else if (other !== undefined) await awaitTheirs(...other)
          else break
        }
      } catch (error) {
        signal.throwIfAborted()
        if (!stopping.aborted && faultOf(error) !== 'service') throw error
        ended = { reason: error }
      } finally {
        for (const text of [...flights.keys()]) land(text, undefined)
      }
      return { pieces: piecesOf(texts, { outcomes, halves, keyOf }), computed, ended }
    },
  }
}

function newFlight(): Flight {
  let land: Flight['land'] = () => undefined
  const promise = new Promise<Outcome | undefined>((resolve) => {
    land = resolve
  })
  return { promise, land }
}

interface Found {
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly halves: ReadonlyMap<string, readonly [string, string]>
  readonly keyOf: (text: string) => string
}

function piecesOf(texts: readonly string[], found: Found): Embedded['pieces'] {
  const pieces = new Map<string, readonly (EmbeddedPiece | RefusedPiece)[]>()
  for (const text of texts) {
    const whole = piecesOfOne(text, found)
    if (whole !== undefined) pieces.set(text, whole)
  }
  return pieces
}

/** Undefined while any part of the text has no outcome. */
function piecesOfOne(text: string, found: Found): readonly (EmbeddedPiece | RefusedPiece)[] | undefined {
  const outcome = found.outcomes.get(text)
  if (outcome !== undefined) return ['failure' in outcome ? outcome : { text, key: found.keyOf(text), vector: outcome.vector }]
  const both = found.halves.get(text)?.map((half) => piecesOfOne(half, found))
  return both?.every((half) => half !== undefined) ? both.flat() : undefined
}
