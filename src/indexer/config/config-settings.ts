/** The settings of the index: one table, from which come the variables, the config file, their checks and docs/configuration.md. */

interface Common {
  /** Of the environment. */
  readonly variable: string
  /** One sentence. */
  readonly about: string
}

export interface WordSetting extends Common {
  readonly type: 'word'
  readonly words: readonly [string, ...string[]]
  readonly default: string
}

export interface FlagSetting extends Common {
  readonly type: 'flag'
  readonly default: boolean
}

/** A whole number. */
export interface NumberSetting extends Common {
  readonly type: 'number'
  readonly min: number
  readonly max: number
  readonly default: number
}

export interface TextSetting extends Common {
  readonly type: 'text'
  readonly format: TextFormat
  readonly default: string | undefined
  /** Never shown. */
  readonly secret?: true
}

export type TextFormat = 'address' | 'ollama-address' | 'model' | 'collection' | 'name' | 'namespace' | 'token'
export type Setting = WordSetting | FlagSetting | NumberSetting | TextSetting

const DAY_MS = 86_400_000

/** The key is the name in the config file. */
export const SETTINGS = {
  embedder: {
    variable: 'SPANLEAF_EMBEDDER',
    type: 'word',
    words: ['hash', 'ollama'],
    default: 'hash',
    about: 'What turns texts into vectors: `hash` is lexical and needs no service, `ollama` asks a model of an Ollama server.',
  },
  sink: {
    variable: 'SPANLEAF_SINK',
    type: 'word',
    words: ['local', 'chroma'],
    default: 'local',
    about: "Where documents and vectors are kept: `local` is a file in spanleaf's folder, `chroma` a Chroma server.",
  },
  redact: {
    variable: 'SPANLEAF_REDACT',
    type: 'flag',
    default: true,
    about: 'Takes known kinds of secrets out of every text before a service sees it; what stays on this machine is left as it is.',
  },
  namespace: {
    variable: 'SPANLEAF_NAMESPACE',
    type: 'text',
    format: 'namespace',
    default: 'local',
    about: 'Begins every document id; give each machine its own where several share a Chroma collection. Fixed once something is indexed.',
  },
  autoIndex: {
    variable: 'SPANLEAF_AUTO_INDEX',
    type: 'flag',
    default: false,
    about: '`search` first indexes what is new.',
  },
  ollamaUrl: {
    variable: 'OLLAMA_API_BASE',
    type: 'text',
    format: 'ollama-address',
    default: 'http://localhost:11434',
    about: 'The address of Ollama, with or without `/api`.',
  },
  ollamaModel: {
    variable: 'OLLAMA_EMBED_MODEL',
    type: 'text',
    format: 'model',
    default: 'qwen3-embedding:8b',
    about: 'The embedding model, as `ollama list` names it.',
  },
  ollamaNumCtx: {
    variable: 'OLLAMA_EMBED_NUM_CTX',
    type: 'number',
    min: 128,
    max: 1_048_576,
    default: 32_768,
    about: 'The context that the model is loaded with, in tokens.',
  },
  ollamaTruncate: {
    variable: 'OLLAMA_EMBED_TRUNCATE',
    type: 'flag',
    default: false,
    about: 'Lets Ollama cut texts that exceed the context, and counts them; without it they are split, and nothing is lost.',
  },
  chromaUrl: {
    variable: 'CHROMA_URL',
    type: 'text',
    format: 'address',
    default: 'http://localhost:8000',
    about: 'The address of Chroma; `https:` uses TLS.',
  },
  chromaCollection: {
    variable: 'CHROMA_COLLECTION_SESSIONS',
    type: 'text',
    format: 'collection',
    default: 'opencode_sessions',
    about: 'How the names of the collections begin; there is one for each embedding space, `NAME__` and 8 hex digits.',
  },
  chromaTenant: {
    variable: 'CHROMA_TENANT',
    type: 'text',
    format: 'name',
    default: 'default_tenant',
    about: 'The tenant on the Chroma server.',
  },
  chromaDatabase: {
    variable: 'CHROMA_DATABASE',
    type: 'text',
    format: 'name',
    default: 'default_database',
    about: 'The database of the tenant.',
  },
  chromaToken: {
    variable: 'CHROMA_TOKEN',
    type: 'text',
    format: 'token',
    default: undefined,
    secret: true,
    about: 'Sent to Chroma as `x-chroma-token` and as a bearer token; never shown.',
  },
  pollMs: {
    variable: 'INDEX_POLL_MS',
    type: 'number',
    min: 10,
    max: DAY_MS,
    default: 2000,
    about: 'Milliseconds between two looks for work of `index --watch`.',
  },
  listRefreshMs: {
    variable: 'INDEX_SESSION_LIST_REFRESH_MS',
    type: 'number',
    min: 10,
    max: DAY_MS,
    default: 3000,
    about: 'Milliseconds between two listings of the sessions.',
  },
  listPage: {
    variable: 'INDEX_REFRESH_SCAN_LIMIT',
    type: 'number',
    min: 1,
    max: 256,
    default: 200,
    about: 'Sessions per page of a listing; every listing is taken to its end.',
  },
  batchSize: {
    variable: 'INDEX_BATCH_SIZE',
    type: 'number',
    min: 1,
    max: 1024,
    default: 32,
    about: 'Texts per call of the embedder; what it answered is cached at once.',
  },
  sessionsPerTick: {
    variable: 'INDEX_MAX_SESSIONS_PER_TICK',
    type: 'number',
    min: 1,
    max: 100_000,
    default: 10,
    about: 'Claims of one `tick()` of the library; `index` and `index --watch` work until nothing is left.',
  },
  quantum: {
    variable: 'INDEX_MAX_NEW_MESSAGES_PER_SESSION',
    type: 'number',
    min: 1,
    max: 100_000,
    default: 200,
    about: 'Messages written per turn of a session; the rest goes to the tail of the queue.',
  },
  slowScanIntervalMs: {
    variable: 'INDEX_SLOW_SCAN_INTERVAL_MS',
    type: 'number',
    min: 1,
    max: 365 * DAY_MS,
    default: 120_000,
    about: 'A session that did not seem to change is looked at again at most this often, in milliseconds.',
  },
  slowScanBatch: {
    variable: 'INDEX_SLOW_SCAN_BATCH',
    type: 'number',
    min: 0,
    max: 10_000,
    default: 3,
    about: 'Sessions that each poll takes from those that were looked at longest ago; 0 switches the slow scan off.',
  },
  leaseMs: {
    variable: 'INDEX_LEASE_MS',
    type: 'number',
    min: 100,
    max: DAY_MS,
    default: 300_000,
    about: 'Milliseconds for which a session belongs to a process that may still live; that of a dead one is free at once.',
  },
  sweepPage: {
    variable: 'INDEX_INFLIGHT_SWEEP_LIMIT',
    type: 'number',
    min: 1,
    max: 256,
    default: 200,
    about: 'Leases per page of a look for those that ended; every look goes to the end.',
  },
  backoffBaseMs: {
    variable: 'INDEX_BACKOFF_BASE_MS',
    type: 'number',
    min: 1,
    max: DAY_MS,
    default: 2000,
    about: 'The longest wait after a first failure of a session, in milliseconds; it doubles with each.',
  },
  backoffMaxMs: {
    variable: 'INDEX_BACKOFF_MAX_MS',
    type: 'number',
    min: 1,
    max: DAY_MS,
    default: 120_000,
    about: 'The longest wait after any failure, in milliseconds.',
  },
  walEnabled: {
    variable: 'INDEX_WAL_ENABLED',
    type: 'flag',
    default: true,
    about: 'Keeps embeddings on disk until the sink has them. Without it the index stays exact, but a crash may repeat embeddings.',
  },
  walRecoverLimit: {
    variable: 'INDEX_WAL_RECOVER_LIMIT',
    type: 'number',
    min: 1,
    max: 100_000,
    default: 25,
    about: 'Records of the write-ahead log that one `walRecover()` or `tick()` of the library sends.',
  },
} as const satisfies Readonly<Record<string, Setting>>

export type SettingName = keyof typeof SETTINGS

type ValueOf<S> = S extends { readonly words: readonly (infer W)[] }
  ? W
  : S extends { readonly type: 'flag' }
    ? boolean
    : S extends { readonly type: 'number' }
      ? number
      : S extends { readonly default: undefined }
        ? string | undefined
        : string

/** A value for every setting. */
export type IndexConfig = { readonly [N in SettingName]: ValueOf<(typeof SETTINGS)[N]> }

/** The settings in the order of the table, as the wider type. */
export function settings(): readonly (readonly [SettingName, Setting])[] {
  return Object.entries(SETTINGS) as [SettingName, Setting][]
}
