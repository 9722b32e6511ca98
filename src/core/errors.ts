/**
 * One error class, one table. A code is API and never changes its meaning; the advice is text for people.
 * `retryable` means: the same call may succeed later without anybody changing anything.
 * `docs/errors.md` is generated from this table.
 */
const ERRORS = {
  // the caller's mistakes
  INVALID_ID: { retryable: false, advice: 'Use an id read from a store; ids hold no separators, control characters or "..".' },
  INVALID_KEY: { retryable: false, advice: 'Use a key made by this library; this text encodes none.' },
  INVALID_OPTION: { retryable: false, advice: 'Check the name, the type and the range of the option.' },
  NOT_FOUND: { retryable: false, advice: 'List what exists (`spanleaf ls --all`) and use one of those ids.' },
  AMBIGUOUS_ID: { retryable: false, advice: 'Several agents have this id; pass a key that names the agent.' },
  PLAN_TOO_LARGE: { retryable: false, advice: 'Raise the limit, or ask for fewer messages or part kinds.' },
  SET_CLOSED: { retryable: false, advice: 'Open the sessions anew.' },
  SPAN_DISPOSED: { retryable: false, advice: 'Read or copy the bytes before the scope of the span ends.' },
  // stores
  STORE_MISSING: { retryable: false, advice: 'Check the path, or leave it out: then stores are looked for where the agents keep them.' },
  STORE_UNREADABLE: { retryable: false, advice: 'Check the permissions of the path and of its folder.' },
  STORE_UNSUPPORTED: { retryable: false, advice: 'The store is of another program or version; spanleaf leaves it alone.' },
  STORE_NOT_READY: { retryable: true, advice: 'OpenCode is creating, replacing or upgrading the store; try again in a moment.' },
  STORE_BUSY: { retryable: true, advice: 'A writer holds the database; try again.' },
  STORE_DAMAGED: { retryable: false, advice: 'The database is damaged; check it with `PRAGMA integrity_check` on a copy.' },
  STORE_TOO_LARGE_TO_COPY: { retryable: false, advice: 'Make the folder writable for SQLite, or use a Node version that has node:sqlite.' },
  WORKER_LOST: { retryable: true, advice: 'The thread that reads the stores is replaced by another one; try again.' },
  SQLITE_DRIVER_MISSING: { retryable: false, advice: 'Use Node >= 22.13, or install the optional peer: npm i better-sqlite3@12.' },
  CATALOG_UNAVAILABLE: { retryable: true, advice: 'The catalog only saves time: without it every session is read from its store, as it is.' },
  WATCH_LOST: { retryable: true, advice: 'No change is missed: the store is looked at again and again instead, which takes a little longer.' },
  // records
  STALE_SPAN: { retryable: true, advice: 'The record changed after planning; plan again.' },
  CORRUPT_RECORD: { retryable: false, advice: 'The record is damaged; everything else is returned intact.' },
  SESSION_RECORD_DAMAGED: {
    retryable: false,
    advice: 'The record of the session is damaged; its messages are all here, and what they tell stands in for it.',
  },
  RECORD_FROM_LOWER_COPY: {
    retryable: false,
    advice: 'The record is damaged in the store it belongs to; an older store holds it intact, and that copy is returned.',
  },
  UNREADABLE_RECORD: { retryable: false, advice: 'The record could not be read; check the permissions of its path.' },
  FOREIGN_LOG: {
    retryable: false,
    advice: 'Another agent wrote this log, so it is not read here; name the log itself, or a folder with logs of that agent alone.',
  },
  UNEXPECTED_SHAPE: {
    retryable: false,
    advice: 'The record is of a known kind but of an unknown shape; it is kept raw, or what does not fit stands in its `odd`.',
  },
  // indexer
  STATE_TOO_NEW: { retryable: false, advice: 'The index state was written by a newer spanleaf; use that version, or another --home.' },
  STATE_DAMAGED: { retryable: false, advice: 'The index state is damaged; move its folder away and index again.' },
  STATE_UNAVAILABLE: { retryable: true, advice: 'The index state could not be opened or written; free disk space or check permissions.' },
  NETWORK_FILESYSTEM: { retryable: false, advice: 'Keep the index state on a local disk (--home), memory maps break on network mounts.' },
  EXCLUSIONS_DAMAGED: { retryable: false, advice: 'Mend the line; nothing is indexed until the list of exclusions can be read.' },
  KEY_TOO_LONG: { retryable: false, advice: 'The ids of this session are too long for the index; it is left out.' },
  LEASE_LOST: { retryable: true, advice: 'Another process took the session over; its work counts.' },
  WAL_DAMAGED: { retryable: false, advice: 'The record was put aside, not deleted; see `spanleaf status`.' },
  TEXT_REFUSED: { retryable: false, advice: 'The text was put aside, everything else is indexed; `spanleaf retry` tries it again.' },
  CRASHED_INDEXER: {
    retryable: false,
    advice: 'The message was put aside, everything else is indexed; `spanleaf retry` tries it again once the cause is mended.',
  },
  TEXT_TOO_LONG: { retryable: false, advice: 'The text does not fit the context of the model even in parts; raise its num_ctx.' },
  REDACTION_FAILED: { retryable: true, advice: 'The redactor failed, so nothing of the session was sent; it is tried again later.' },
  EMBEDDING_INVALID: { retryable: false, advice: 'The embedder returned another number of vectors, another length, or values that are not finite.' },
  EMBEDDER_FAILED: { retryable: true, advice: 'The embedder failed; the session is tried again later.' },
  EMBEDDER_UNAVAILABLE: { retryable: true, advice: 'The embedder does not answer or is busy; what waits for it goes on by itself once it does.' },
  EMBEDDER_REFUSED: { retryable: false, advice: 'Check the name of the model (`ollama pull`), the address and the credentials.' },
  EMBEDDER_CHANGED: {
    retryable: false,
    advice: 'The model behind this name is another one now; open the index again, which builds it anew beside the old one.',
  },
  SINK_UNAVAILABLE: { retryable: true, advice: 'The sink does not answer or is busy; the embeddings are kept and sent once it does.' },
  SINK_REFUSED: { retryable: false, advice: 'The sink refuses the document or the credentials; the embeddings are kept.' },
  CHROMA_CLIENT_MISSING: { retryable: false, advice: 'Install the optional peer: npm i chromadb@3.' },
  SINK_FAILED: { retryable: true, advice: 'The sink failed; the embeddings are kept and sent again later.' },
  SINK_MISMATCH: { retryable: false, advice: 'Vectors of two embedders are never mixed; nothing was changed.' },
} as const satisfies Record<string, { retryable: boolean; advice: string }>

export type ErrorCode = keyof typeof ERRORS

/** One row of the error table. */
export interface ErrorRow {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly advice: string
}

/** Every code with its advice, in the order of the table. */
export function errorTable(): readonly ErrorRow[] {
  return (Object.keys(ERRORS) as ErrorCode[]).map((code) => ({ code, ...ERRORS[code] }))
}

/** What happened, in the words of the place where it happened. */
export interface ErrorDetails {
  /** One clause, no full stop: what was found or attempted. */
  readonly reason: string
  /** The file, folder or database concerned. */
  readonly path?: string | undefined
  /** The encoded key or the id concerned. */
  readonly key?: string | undefined
  /** Byte offset inside the record, where it is known. */
  readonly offset?: number | undefined
  /** A sentence, with its full stop: what to do, where more is known than the table says. */
  readonly advice?: string | undefined
}

/** The only error class of this library. Switch on `code`; the message is for people. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: ErrorCode
  readonly reason: string
  readonly path: string | undefined
  readonly key: string | undefined
  readonly offset: number | undefined
  /** What to do, for people. */
  readonly advice: string

  constructor(code: ErrorCode, details: ErrorDetails, options?: ErrorOptions) {
    const where = details.path === undefined ? '' : ` (${details.path})`
    const advice = details.advice ?? ERRORS[code].advice
    super(`${details.reason}${where}. ${advice}`, options)
    this.code = code
    this.advice = advice
    this.reason = details.reason
    this.path = details.path
    this.key = details.key
    this.offset = details.offset
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }
}

/** @param path Of the store that was asked, where one was. */
export function setClosed(path?: string): StorageError {
  return new StorageError('SET_CLOSED', { reason: 'the set of sessions was closed', path })
}

/** The code of a Node system error (`ENOENT`, `EACCES`, ...), if it is one. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
