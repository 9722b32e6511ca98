/** Notes what the processes of a model machine did, and what none of them may do; the invariants by their numbers in docs/indexer.md. */
import { encodeKey, messageKey, type SessionKey } from '../../src/core/keys.js'
import { embeddingKey } from '../../src/indexer/embedding/embed-cache.js'
import type { HeldDocument, SinkRow } from '../../src/indexer/ports.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import type { Claim, LedgerEntry, WalRecord } from '../../src/indexer/state/rows.js'
import type { Commit } from '../../src/indexer/state/state.js'
import { documentId } from '../../src/indexer/text/document.js'
import type { Host } from './model-host.js'
import { NAMESPACE, SPACES, vectorOf } from './model-vectors.js'

export class Witness {
  readonly violations: string[] = []
  /** Those that were given, in order. */
  readonly claims: Claim[] = []
  readonly #host: Host
  #token = 0
  /** Text hashes that a sink took, by space and document. */
  readonly #taken = new Map<string, Set<string>>()
  /** Documents that a ledger row, the text of a record, a writing or a reading of the sink ever named, each with its space. */
  readonly #named = new Set<string>()
  /** Records that left the WAL as they may. */
  readonly #left = new Set<number>()
  #pending: ReadonlySet<number> = new Set()
  /** The sessions of texts that a durable record holds, by their embedding key. */
  readonly #durable = new Map<string, SessionKey>()
  /** By session, the last token of those under which what was read is to be written again. */
  readonly #outdated = new Map<string, number>()

  constructor(host: Host) {
    this.#host = host
  }

  #violated(invariant: string, what: string): void {
    this.violations.push(`${invariant}: ${what}`)
  }

  saw(method: string, args: readonly unknown[], result: unknown): void {
    if (method === 'claim' && result !== undefined) this.#claimed(result as Claim)
    if (method === 'walAppend') this.#appended(args[0] as Claim, args[1] as WalRecord)
    if (method === 'commit') this.#committed(args[0] as Claim, args[1] as Commit)
    if (method === 'quarantine') this.#left.add(args[1] as number)
    if (method === 'forget') for (const seq of this.#pending) this.#left.add(seq)
    if (method === 'lost') this.excuse((args[0] as Claim).key)
    if (method === 'retryDead') this.excuse()
    if (method === 'reset') for (const key of args[0] as readonly SessionKey[]) this.outdate(key)
  }

  #claimed(claim: Claim): void {
    const { token, key } = claim
    this.claims.push(claim)
    if (token <= this.#token) this.#violated('I3', `token ${token} for ${key.session} after ${this.#token}`)
    this.#token = token
  }

  /** Without a cache a text that two messages share is embedded for each, and one that is outdated is embedded again. */
  #appended({ key, token }: Claim, { space, rows }: WalRecord): void {
    const { cache } = this.#host.options
    const name = nameOf(space)
    for (const { id } of rows) this.#name(name, id)
    if (!cache && token <= (this.#outdated.get(encodeKey(key)) ?? 0)) return
    for (const { text } of rows) if (cache || text.includes('#')) this.#durable.set(embeddingKey(name, 'document', text), key)
  }

  #committed({ key, space: own }: Claim, { wal, unlogged, space = own, ledger = [] }: Commit): void {
    if (wal !== undefined) this.#left.add(wal.seq)
    for (const record of [wal?.record, unlogged]) if (record !== undefined) this.#nameAll(record.space, key, record.ledger)
    this.#nameAll(space, key, ledger)
  }

  #nameAll(space: string, key: SessionKey, ledger: readonly LedgerEntry[]): void {
    for (const { message, row } of ledger) {
      for (const chunk of row.chunks.keys()) this.#name(nameOf(space), documentId(NAMESPACE, messageKey(key, message), chunk))
    }
  }

  #name(space: string, id: string): void {
    this.#named.add(`${space} ${id}`)
  }

  /** A request may take effect and fail all the same. */
  upserts(space: string, rows: readonly SinkRow[]): void {
    for (const { id } of rows) this.#name(space, id)
  }

  upserted(space: string, rows: readonly SinkRow[]): void {
    for (const { id, text, vector, metadata } of rows) {
      const key = `${space} ${id}`
      const taken = this.#taken.get(key) ?? new Set()
      this.#taken.set(key, taken.add(metadata.text_hash))
      const expected = vectorOf(space, text)
      if (vector.length !== expected.length || vector.some((value, i) => value !== expected[i]))
        this.#violated('I12', `a vector of ${id} in ${space}`)
    }
  }

  /**
   * I10. What named a document may have gone since: a record of deletions takes the place of one with text, and who was stopped deletes
   * when another has dropped the row. What a record is to delete names nothing, since that is what is checked.
   */
  deletes(space: string, ids: readonly string[]): void {
    for (const id of ids) if (!this.#named.has(`${space} ${id}`)) this.#violated('I10', `${id} of ${space} was deleted, which nothing named`)
  }

  async *reading(space: string, ids: AsyncIterable<HeldDocument>): AsyncIterable<HeldDocument> {
    for await (const document of ids) {
      this.#name(space, document.id)
      yield document
    }
  }

  /** I7. */
  embedded(space: string, texts: readonly string[]): void {
    for (const text of texts) {
      if (this.#durable.has(embeddingKey(space, 'document', text))) this.#violated('I7', `"${text}" was embedded again for ${space}`)
    }
  }

  /** What these sessions, or all, have may be embedded again, unless a cache holds it. */
  excuse(session?: SessionKey): void {
    if (this.#host.options.cache) return
    for (const [text, key] of this.#durable) {
      if (session === undefined || encodeKey(key) === encodeKey(session)) this.#durable.delete(text)
    }
  }

  /** All that the session shows is to be written again, also what was read under a claim of before and is put down after this. */
  outdate(session: SessionKey): void {
    this.#outdated.set(encodeKey(session), this.#token)
    this.excuse(session)
  }

  /** What was asked for before the process was stopped may be answered now. */
  resumed(): void {
    this.#durable.clear()
  }

  /** These left the cache. */
  uncached(keys: readonly string[]): void {
    for (const key of keys) this.#durable.delete(key)
  }

  /** I5. */
  checkLedger(space: string, spaceId: string): void {
    for (const key of this.#host.knownKeys()) {
      for (const [message, { chunks, textHash, signature }] of this.#host.observer.ledger(key, spaceId)) {
        if (textHash === '') continue
        for (const [chunk, embedding] of chunks.entries()) {
          const id = documentId(NAMESPACE, messageKey(key, message), chunk)
          if (embedding !== '' && this.#taken.get(`${space} ${id}`)?.has(textHash) !== true)
            this.#violated('I5', `the ledger has ${message} (${signature}), which ${space} never took`)
        }
      }
    }
  }

  /** I9. */
  checkRecords(pending: ReadonlySet<number>): void {
    for (const seq of this.#pending) if (!pending.has(seq) && !this.#left.has(seq)) this.#violated('I9', `record ${seq} vanished`)
    this.#pending = pending
  }
}

function nameOf(id: string): string {
  return SPACES.find((name) => spaceIdOf(name) === id) ?? ''
}
