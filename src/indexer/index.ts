/** spanleaf/indexer: keeps a search index of sessions up to date, and searches it. */

// settings

export {
  configFromEnv,
  configFromFlags,
  configPath,
  type PartialConfig,
  type ResolvedConfig,
  readConfigFile,
  resolveConfig,
  type SettingOrigin,
} from './config/config.js'
export { type IndexConfig, type Setting, type SettingName, settings } from './config/config-settings.js'

// the index on this machine

export { addExclusions, type Exclusions, readExclusions, removeExclusions } from './home/exclusions.js'
export { describeSpace } from './home/home-embedder.js'
export { type ForgettingOptions, openHomeToForget } from './home/home-forget.js'
export { type HomeRecord, readHomeRecord, type SinkPlace } from './home/home-record.js'
export { describePlace } from './home/home-sinks.js'
export { hasIndex, type IndexHome, type IndexHomeOptions, indexFolder, openIndexHome, refuseInsideStore } from './home/index-home.js'
export { type IndexReader, type IndexReaderOptions, openIndexReader } from './home/index-reader.js'

// indexing and searching

export type { IndexProgress, Limits } from './engine.js'
export { ancestorFinder, type Exclusion, parentsOf } from './exclusion.js'
export type { ForgetReport } from './forget.js'
export { createIndexer } from './indexer.js'
export type { DrainReport, IndexEvent, Indexer, IndexerOptions, IndexerStatus, TickReport, WalStatus } from './indexer-types.js'
export type { ObserveReport } from './observe.js'
export { comparesVectors, type SearchHit, type SearchOptions, searchIndex } from './search.js'
export type { HitCopy } from './search-copies.js'
export { countDeleted, countStale, indexedIn } from './staleness.js'
export { FAILPOINTS, type FailpointName } from './state/failpoints.js'
export type { DifferenceKind, IndexDifference, VerifyOptions, VerifyReport } from './verify/verify.js'

// ports, and what stands behind them

export { type HashEmbedderOptions, hashEmbedder } from './embedders/hash.js'
export { type OllamaEmbedderOptions, openOllamaEmbedder } from './embedders/ollama.js'
export { type EmbedCache, type EmbedCacheOptions, openEmbedCache } from './embedding/embed-cache.js'
export type { DocumentMetadata, Embedder, HeldDocument, ProjectedMessage, Redactor, Sink, SinkFilter, SinkHit, SinkRow } from './ports.js'
export { noSessions, sessionSource } from './session-source.js'
export { type ChromaSinkOptions, openChromaSink } from './sinks/chroma.js'
export { type LocalSinkOptions, openLocalSink } from './sinks/local.js'
export type { ListedStore, SessionListing, SessionSource, SessionTail, SourceSession } from './source.js'
export { type LmdbStateOptions, openLmdbState } from './state/lmdb/state.js'
export { type MemoryStateOptions, type MemoryStatePlace, memoryState, memoryStatePlace } from './state/memory/state.js'
export type { DeadLetter, LedgerRow, SpaceRow, WalRecord } from './state/rows.js'
export type { IndexStore, LocalIndexStore, PendingSession } from './state/state.js'
export type { BreakerStatus, CounterName, IndexStatus, LeaseStatus } from './state/status.js'
export { secretlintRedactor } from './text/redact-secretlint.js'

// from text to documents

export { documentId, textHashOf } from './text/document.js'
export { type ProjectionOptions, projectMessage } from './text/projection.js'
