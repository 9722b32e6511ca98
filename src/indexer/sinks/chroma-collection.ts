/** The collection of one space: found by its name, checked, and made when there is none and something is to be written. */
import { StorageError } from '../../core/errors.js'
import { spaceIdOf } from '../space.js'
import { ChromaAnswer, type ChromaCollection, type ChromaServer } from './chroma-server.js'

/** In the metadata of the collection: that it is this library's, and how documents are laid out in it. */
const SCHEMA_VERSION = 1
/** In letters. Servers before 1.0 took 63, and say so. */
const LONGEST_NAME = 512

/**
 * `<base>__<id of the space>`.
 * @throws StorageError INVALID_OPTION when Chroma would refuse the name
 */
export function collectionName(base: string, space: string): string {
  const name = `${base}__${spaceIdOf(space)}`
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(base) && !base.includes('..') && name.length <= LONGEST_NAME) return name
  const longest = LONGEST_NAME - (name.length - base.length)
  const reason = `a collection is named by 1 to ${longest} letters, digits, dots, underscores and hyphens, the first a letter or a digit, no two dots in a row`
  throw new StorageError('INVALID_OPTION', { reason })
}

/** More than Chroma's 100: a search takes as long, and finds 96 % of the nearest of random vectors instead of 66 %. */
const NEIGHBOURS_LOOKED_AT = 400

type Work<T> = (collection: ChromaCollection) => Promise<T>

export class SpaceCollection {
  readonly #server: ChromaServer
  readonly #name: string
  readonly #space: string
  /** Of the collection, once it was found and checked. Somebody may delete it and another may come in its place. */
  #id: string | undefined

  constructor(server: ChromaServer, name: string, space: string) {
    this.#server = server
    this.#name = name
    this.#space = space
  }

  /** Undefined while there is no collection. */
  async read<T>(work: Work<T>): Promise<T | undefined> {
    return this.#attempt(async () => this.find(), work)
  }

  /** Makes the collection when there is none. */
  async write(work: Work<void>, signal?: AbortSignal): Promise<void> {
    await this.#attempt(async () => (await this.find(signal)) ?? this.#make(signal), work, signal)
  }

  /** What is to leave the collection has left it when there is none. */
  async erase(work: Work<void>, signal?: AbortSignal): Promise<void> {
    await this.#attempt(async () => this.find(signal), work, signal)
  }

  /** @throws StorageError SINK_MISMATCH, STORE_UNSUPPORTED, STATE_TOO_NEW when the collection of that name is not one to work with */
  async find(signal?: AbortSignal): Promise<string | undefined> {
    if (this.#id !== undefined) return this.#id
    try {
      const found = await this.#server.request((client) => client.getCollection({ name: this.#name }), signal)
      this.#check(found)
      this.#id = found.id
      return found.id
    } catch (error) {
      if (isAnswer(error, 'not-found')) return undefined
      // no document was sent, so none is at fault
      if (isAnswer(error, 'invalid')) throw new StorageError('SINK_REFUSED', { reason: 'the Chroma server does not take the name of the collection' })
      throw error
    }
  }

  async drop(): Promise<void> {
    if ((await this.find()) === undefined) return
    try {
      await this.#server.request((client) => client.deleteCollection({ name: this.#name }))
    } catch (error) {
      if (!isAnswer(error, 'not-found')) throw error
    }
    this.#id = undefined
  }

  /** Once more when the collection was deleted since it was found. */
  async #attempt<T>(find: () => Promise<string | undefined>, work: Work<T>, signal?: AbortSignal): Promise<T | undefined> {
    for (let isSecond = false; ; isSecond = true) {
      const id = await find()
      if (id === undefined) return undefined
      try {
        return await this.#server.inCollection(id, work, signal)
      } catch (error) {
        if (!isAnswer(error, 'not-found')) throw error
        this.#id = undefined
        if (isSecond) throw new StorageError('SINK_UNAVAILABLE', { reason: 'the collection is deleted again and again' })
      }
    }
  }

  async #make(signal: AbortSignal | undefined): Promise<string | undefined> {
    const metadata = { spanleaf: SCHEMA_VERSION, space: this.#space }
    const configuration = { hnsw: { space: 'cosine' as const, ...(this.#server.isCloud ? {} : { ef_search: NEIGHBOURS_LOOKED_AT }) } }
    try {
      await this.#server.request((client) => client.createCollection({ name: this.#name, configuration, metadata, embeddingFunction: null }), signal)
    } catch (error) {
      if (isAnswer(error, 'not-found') || isAnswer(error, 'invalid')) {
        throw new StorageError('SINK_REFUSED', { reason: 'the Chroma server makes no collection in this tenant and database' })
      }
      if (!isAnswer(error, 'exists')) throw error
    }
    // what was made may be another process's
    return this.find(signal)
  }

  #check({ metadata, configuration }: Pick<ChromaCollection, 'metadata' | 'configuration'>): void {
    const { spanleaf, space } = metadata ?? {}
    if (typeof spanleaf !== 'number') throw new StorageError('STORE_UNSUPPORTED', { reason: `the collection ${this.#name} is another program's` })
    if (spanleaf > SCHEMA_VERSION) {
      const reason = `the collection ${this.#name} has schema version ${spanleaf}, this program knows ${SCHEMA_VERSION}`
      throw new StorageError('STATE_TOO_NEW', { reason })
    }
    if (space !== this.#space) {
      throw new StorageError('SINK_MISMATCH', { reason: `the collection ${this.#name} holds vectors of ${String(space)}, not of ${this.#space}` })
    }
    const metric = configuration.hnsw?.space ?? configuration.spann?.space
    if (metric !== 'cosine') {
      throw new StorageError('SINK_MISMATCH', { reason: `the collection ${this.#name} compares by ${String(metric)}, not by cosine` })
    }
  }
}

export function isAnswer(error: unknown, kind: ChromaAnswer['kind']): boolean {
  return error instanceof ChromaAnswer && error.kind === kind
}
