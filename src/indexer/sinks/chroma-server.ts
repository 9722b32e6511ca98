/** A Chroma server as the `chromadb` client sees it. The only importer of that client: each request has its own deadline, its failures say whose they are. */
import type { ChromaClient, Collection } from 'chromadb'
import { StorageError } from '../../core/errors.js'

export type { Collection as ChromaCollection, Where, WhereDocument } from 'chromadb'

export interface ChromaServerOptions {
  readonly url: URL
  readonly tenant: string
  readonly database: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

/** What a request came to nothing for, where only the caller knows what that means. Carries no word of the server. */
export class ChromaAnswer extends Error {
  readonly kind: 'not-found' | 'exists' | 'invalid'

  constructor(kind: ChromaAnswer['kind']) {
    super(`the answer of Chroma was: ${kind}`)
    this.kind = kind
  }
}

type Checks = NonNullable<ChromaClient['preflightChecks']>
type Arguments = ConstructorParameters<typeof ChromaClient>[0]

/** Of a server that names none. */
const SMALLEST_BATCH = 100

export class ChromaServer {
  readonly #options: ChromaServerOptions
  readonly #create: (args: Arguments, checks: Checks | undefined) => ChromaClient
  #checks: Checks | undefined

  constructor(options: ChromaServerOptions, create: (args: Arguments, checks: Checks | undefined) => ChromaClient) {
    this.#options = options
    this.#create = create
  }

  /** @throws StorageError CHROMA_CLIENT_MISSING */
  static async load(options: ChromaServerOptions): Promise<ChromaServer> {
    const { ChromaClient } = await loadClient()
    /** A client that need not ask for what is known of the server. */
    class KnowingClient extends ChromaClient {
      constructor(args: Arguments, checks: Checks | undefined) {
        super(args)
        if (checks !== undefined) this.preflightChecks = checks
      }
    }
    return new ChromaServer(options, (args, checks) => new KnowingClient(args, checks))
  }

  /** Chroma Cloud, which has limits and an index of its own. */
  get isCloud(): boolean {
    return /(?:^|\.)trychroma\.com$/.test(this.#options.url.hostname)
  }

  /**
   * Runs one request, with a client of its own: a client has one abort signal for all it does.
   * @throws StorageError SINK_UNAVAILABLE, SINK_REFUSED, SINK_MISMATCH; ChromaAnswer; the reason of the signal
   */
  async request<T>(work: (client: ChromaClient) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    const { timeoutMs, url } = this.#options
    const end = new AbortController()
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      end.abort()
    }, timeoutMs)
    const onAbort = (): void => end.abort()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await work(this.#client(end.signal))
    } catch (error) {
      signal?.throwIfAborted()
      if (isLate) throw unavailable(url, `gave no answer within ${timeoutMs} ms`)
      throw failureOf(error, url)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #client(signal: AbortSignal): ChromaClient {
    const { url, tenant, database, headers } = this.#options
    const ssl = url.protocol === 'https:'
    const port = url.port === '' ? (ssl ? 443 : 80) : Number(url.port)
    // a redirect would carry the token to another host
    const fetchOptions = { signal, redirect: 'error' } as const
    return this.#create({ host: url.hostname, port, ssl, tenant, database, headers: { ...headers }, fetchOptions }, this.#checks)
  }

  async inCollection<T>(id: string, work: (collection: Collection) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.request((client) => work(client.collection(id)), signal)
  }

  /** How many records one write may have. */
  async maxBatch(signal?: AbortSignal): Promise<number> {
    if (this.#checks === undefined) {
      const checks = await this.request((client) => client.getPreflightChecks(), signal)
      const most = Number(checks.max_batch_size ?? 0)
      this.#checks = { ...checks, max_batch_size: most > 0 ? most : SMALLEST_BATCH }
    }
    const { max_batch_size: most = SMALLEST_BATCH } = this.#checks
    return most ?? SMALLEST_BATCH
  }
}

async function loadClient(): Promise<typeof import('chromadb')> {
  try {
    return await import('chromadb')
  } catch (cause) {
    throw new StorageError('CHROMA_CLIENT_MISSING', { reason: 'the client of Chroma could not be loaded' }, { cause })
  }
}

function unavailable({ origin }: URL, what: string): StorageError {
  return new StorageError('SINK_UNAVAILABLE', { reason: `the Chroma server at ${origin} ${what}` })
}

/**
 * The client tells failures apart by the names of its errors, and quotes the server in their messages: those are looked at, never repeated.
 */
function failureOf(error: unknown, url: URL): unknown {
  if (error instanceof StorageError || error instanceof ChromaAnswer || !(error instanceof Error)) return error
  const { name, message } = error
  switch (name) {
    case 'ChromaConnectionError':
      return unavailable(url, 'cannot be reached')
    case 'ChromaRateLimitError':
      return unavailable(url, 'is busy')
    case 'ChromaAuthError':
    case 'ChromaUnauthorizedError':
      return new StorageError('SINK_REFUSED', { reason: 'the Chroma server does not accept the token' })
    case 'ChromaForbiddenError':
      return new StorageError('SINK_REFUSED', { reason: 'the Chroma server does not permit this with the token' })
    case 'ChromaServerError':
      return /^413\b/.test(message) ? new ChromaAnswer('invalid') : unavailable(url, 'failed')
    case 'ChromaQuotaExceededError':
      if (/billing|number of (?:records|collections)/i.test(message))
        return new StorageError('SINK_REFUSED', { reason: 'a quota of the Chroma account is used up' })
      return new ChromaAnswer('invalid')
    case 'ChromaClientError':
      return /\bdimension/i.test(message)
        ? new StorageError('SINK_MISMATCH', { reason: 'the collection holds vectors of another length' })
        : new ChromaAnswer('invalid')
    case 'ChromaValueError':
    case 'InvalidArgumentError':
      return new ChromaAnswer('invalid')
    case 'ChromaNotFoundError':
    case 'InvalidCollectionError':
      return new ChromaAnswer('not-found')
    case 'ChromaUniqueError':
      return new ChromaAnswer('exists')
    default:
      // what the client could not read as an answer of Chroma
      return unavailable(url, `gave an answer that is none of Chroma's (${name})`)
  }
}
