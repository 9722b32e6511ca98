/** The sink on a Chroma server, for teams and for more documents than one file is good for. */
import { StorageError } from '../../core/errors.js'
import { checkNumber, withDefaults } from '../../core/options.js'
import type { HeldDocument, Sink, SinkFilter, SinkHit, SinkRow } from '../ports.js'
import { collectionName, isAnswer, SpaceCollection } from './chroma-collection.js'
import { chromaFilter } from './chroma-filter.js'
import { matchingIn } from './chroma-matching.js'
import { cosinesIn, nearestIn } from './chroma-nearest.js'
import { batchesOf, chromaMetadata, pagesOf, toMetadata, wellFormed } from './chroma-rows.js'
import { ChromaServer } from './chroma-server.js'
import { checkVectors } from './vectors.js'

export interface ChromaSinkOptions {
  /** `http:` or `https:`, a host and a port; no path. */
  readonly url: string
  /** How the names of the collections begin: each space has one of its own, `<collection>__<id of the space>`. */
  readonly collection: string
  /** The space of the embedder. */
  readonly space: string
  /** @default 'default_tenant' */
  readonly tenant?: string
  /** @default 'default_database' */
  readonly database?: string
  /** Sent as `x-chroma-token` and as a bearer token. @default '' (none) */
  readonly token?: string
  /** Sent with each request. @default none */
  readonly headers?: Readonly<Record<string, string>>
  /** How long one request may take, in milliseconds. @default 30_000 */
  readonly timeoutMs?: number
}

const chromaDefaults: Required<ChromaSinkOptions> = {
  url: '',
  collection: '',
  space: '',
  tenant: 'default_tenant',
  database: 'default_database',
  token: '',
  headers: {},
  timeoutMs: 30_000,
}

/**
 * A server that does not answer is no obstacle: the collection is checked as soon as it does, before anything is read or written.
 * The collection is made by the first write.
 * @throws StorageError INVALID_OPTION, CHROMA_CLIENT_MISSING, SINK_REFUSED, SINK_MISMATCH, STORE_UNSUPPORTED (another program's), STATE_TOO_NEW
 */
export async function openChromaSink(options: ChromaSinkOptions): Promise<Sink> {
  const { collection, space, tenant, database, token, headers, timeoutMs, url: address } = withDefaults(chromaDefaults, options)
  const url = addressOf(address)
  if (space === '') throw new StorageError('INVALID_OPTION', { reason: 'the Chroma sink needs the space of the embedder' })
  checkNumber('timeoutMs', timeoutMs, 1, 2 ** 31 - 1)
  const name = collectionName(collection, space)
  const credentials = token === '' ? {} : { 'x-chroma-token': token, authorization: `Bearer ${token}` }
  const server = await ChromaServer.load({ url, tenant, database, headers: { ...credentials, ...headers }, timeoutMs: Math.ceil(timeoutMs) })
  const found = new SpaceCollection(server, name, space)
  try {
    await found.find()
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'SINK_UNAVAILABLE') throw asFailure(error)
  }
  return new ChromaSink(server, found, { space, url })
}

/** @throws StorageError INVALID_OPTION */
function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain =
    url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (url === undefined || !isPlain)
    throw new StorageError('INVALID_OPTION', { reason: 'the address of Chroma must be like http://localhost:8000, without a password' })
  if (url.pathname !== '/')
    throw new StorageError('INVALID_OPTION', { reason: 'the address of Chroma must have no path, its client cannot send one' })
  return url
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** Chroma Cloud takes and gives no more records at a time. */
const CLOUD_PAGE = 300
const PAGE = 1000
const MATCHING = { page: 500, idPage: 20_000, idsPerWord: 20_000, candidates: 1000 }
const CLOUD_MATCHING = { page: CLOUD_PAGE, idPage: CLOUD_PAGE, idsPerWord: 1500, candidates: 600 }
const MOST_NEIGHBOURS = 20_000

class ChromaSink implements Sink {
  readonly name = 'chroma'
  readonly space: string
  readonly remote: boolean
  readonly #server: ChromaServer
  readonly #collection: SpaceCollection
  readonly #isCloud: boolean
  #open = true

  constructor(server: ChromaServer, collection: SpaceCollection, { space, url }: { readonly space: string; readonly url: URL }) {
    this.#server = server
    this.#collection = collection
    this.space = space
    this.remote = !isLoopback(url)
    this.#isCloud = server.isCloud
  }

  async upsert(rows: readonly SinkRow[], { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#begin(signal)
    if (rows.length === 0) return
    checkVectors(rows)
    const most = await this.#mostRecords(signal)
    await this.#writeAll(batchesOf(rows, most), signal)
  }

  async delete(ids: readonly string[], { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#begin(signal)
    if (ids.length === 0) return
    const most = Math.min(PAGE, await this.#mostRecords(signal))
    for (const page of pagesOf([...new Set(ids)], most)) {
      await this.#attempt(this.#collection.erase(async (documents) => void (await documents.delete({ ids: page })), signal))
    }
  }

  async count(): Promise<number> {
    this.#begin()
    return (await this.#attempt(this.#collection.read((documents) => documents.count()))) ?? 0
  }

  /**
   * In pages, in the order in which documents were first stored. A page begins with the last document of the one before: when that one
   * is not there any more, some before it were deleted meanwhile and others moved up, so the pages are read again from further ahead.
   */
  async *ids(filter: SinkFilter = {}): AsyncIterable<HeldDocument> {
    const { where, passes } = chromaFilter(filter)
    const seen = new Set<string>()
    for (let offset = 0; ; ) {
      this.#begin()
      const from = Math.max(0, offset - 1)
      const options = { include: ['metadatas' as const], limit: this.#page, offset: from, ...(where === undefined ? {} : { where }) }
      const found = await this.#attempt(this.#collection.read((documents) => documents.get(options)))
      const page = found ?? { ids: [], metadatas: [] }
      const [first] = page.ids
      if (from > 0 && (first === undefined || !seen.has(first))) {
        offset = Math.max(0, from - this.#page)
        continue
      }
      for (const [i, id] of page.ids.entries()) {
        if (seen.has(id)) continue
        seen.add(id)
        const metadata = toMetadata(page.metadatas[i])
        if (passes === undefined || passes(metadata)) yield { id, text_hash: metadata.text_hash, rev: metadata.rev }
      }
      if (page.ids.length < this.#page) return
      offset = from + page.ids.length
    }
  }

  /** Scored by cosine. */
  async nearest(vector: Float32Array, limit: number, filter: SinkFilter = {}): Promise<readonly SinkHit[]> {
    this.#begin()
    if (limit < 1) return []
    const limits = { page: this.#page, neighbours: this.#isCloud ? CLOUD_PAGE : MOST_NEIGHBOURS }
    return this.#attempt(nearestIn(this.#collection, vector, Math.floor(limit), filter, limits))
  }

  /** Scored by BM25, the more the better. Beyond a thousand texts with the words of the query, the rarest words and the newest texts decide which are ranked. */
  async matching(query: string, limit: number, filter: SinkFilter = {}): Promise<readonly SinkHit[]> {
    this.#begin()
    const limits = this.#isCloud ? CLOUD_MATCHING : MATCHING
    return this.#attempt(matchingIn(this.#collection, query, Math.floor(limit), filter, limits))
  }

  async cosines(vector: Float32Array, ids: readonly string[]): Promise<readonly (number | undefined)[]> {
    this.#begin()
    return this.#attempt(cosinesIn(this.#collection, vector, ids))
  }

  async drop(): Promise<void> {
    if (!this.#open) return
    await this.#attempt(this.#collection.drop())
    this.#open = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false
  }

  get #page(): number {
    return this.#isCloud ? CLOUD_PAGE : PAGE
  }

  async #mostRecords(signal: AbortSignal | undefined): Promise<number> {
    const most = await this.#attempt(this.#server.maxBatch(signal))
    return this.#isCloud ? Math.min(most, CLOUD_PAGE) : most
  }

  /** All documents but those that are refused are stored, and the first of these is named. */
  async #writeAll(batches: Iterable<readonly SinkRow[]>, signal: AbortSignal | undefined): Promise<void> {
    let refused: unknown
    for (const batch of batches) {
      try {
        await this.#write(batch, signal)
      } catch (error) {
        if (!isRefusedDocument(error)) throw error
        refused ??= error
      }
    }
    if (refused !== undefined) throw refused
  }

  /** A request that is refused is sent in halves, down to the documents at fault. */
  async #write(batch: readonly SinkRow[], signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#send(batch, signal)
    } catch (error) {
      if (!isAnswer(error, 'invalid')) throw asFailure(error)
      if (batch.length === 1) throw new StorageError('SINK_REFUSED', { reason: 'Chroma does not take the document', key: batch[0]?.id })
      await this.#writeAll(pagesOf(batch, Math.ceil(batch.length / 2)), signal)
    }
  }

  async #send(batch: readonly SinkRow[], signal: AbortSignal | undefined): Promise<void> {
    const records = {
      ids: batch.map(({ id }) => id),
      documents: batch.map(({ text }) => wellFormed(text)),
      metadatas: batch.map(({ metadata }) => chromaMetadata(metadata)),
      embeddings: batch.map(({ vector }) => Array.from(vector)),
    }
    await this.#collection.write((documents) => documents.upsert(records), signal)
  }

  #begin(signal?: AbortSignal): void {
    signal?.throwIfAborted()
    if (!this.#open) throw new StorageError('SINK_FAILED', { reason: 'the sink is closed' })
  }

  async #attempt<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw asFailure(error)
    }
  }
}

function isRefusedDocument(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'SINK_REFUSED' && error.key !== undefined
}

/** An answer that no document can be blamed for. */
function asFailure(error: unknown): unknown {
  if (!isAnswer(error, 'invalid') && !isAnswer(error, 'exists') && !isAnswer(error, 'not-found')) return error
  return new StorageError('SINK_FAILED', { reason: 'Chroma does not take the request' })
}
