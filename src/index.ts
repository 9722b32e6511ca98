/** spanleaf: read coding-agent sessions in stages. The index of sessions for search is in 'spanleaf/indexer'. */

export { type Clock, systemClock } from './core/clock.js'
export { createDirtyTracker, createGenerationClock, type DirtyTracker, type GenerationClock } from './core/dirty-tracker.js'
export type { Document } from './core/documents.js'
export { type ErrorCode, type ErrorRow, errorTable, StorageError } from './core/errors.js'
export type { OddFields } from './core/fields.js'
export { folderName, isWithinFolder } from './core/folders.js'
export type { FormatName } from './core/formats.js'
// ids, keys, records
export {
  idTime,
  isSafeId,
  type MessageId,
  type PartId,
  type ProjectId,
  parseMessageId,
  parsePartId,
  parseProjectId,
  parseSessionId,
  type SessionId,
} from './core/ids.js'
export {
  AGENTS,
  type Agent,
  childRange,
  decodeKey,
  type EntityKey,
  encodeKey,
  type MessageKey,
  messageKey,
  type PartKey,
  partKey,
  type SessionKey,
  sessionKey,
} from './core/keys.js'
export type {
  AgentPart,
  CompactionPart,
  FilePart,
  KnownPart,
  Part,
  PartKind,
  PatchPart,
  ReasoningPart,
  RetryPart,
  SnapshotPart,
  StepFinishPart,
  StepStartPart,
  SubtaskPart,
  TextPart,
  TimeSpan,
  Tokens,
  ToolPart,
  ToolState,
  UnknownPart,
} from './core/parts.js'
export type {
  AssistantMessage,
  FileDiff,
  Message,
  ProjectRecord,
  SessionRecord,
  SessionTime,
  TodoItem,
  UnknownMessage,
  UserMessage,
} from './core/records.js'
// results, errors, time
export { issuesOf, type StageIssue, type StageName, type StageReport, type StageResult, unwrap } from './core/stage.js'
// open
export { type OpenOptions, openSessions } from './open.js'
export { type Cursor, isCursor, type LogCursor, type SignatureCursor } from './storage/cursor.js'
export type { Generation } from './storage/generation.js'
export type { MapOption } from './storage/maps/file-maps.js'
export { MappedSpan } from './storage/maps/mapped-span.js'
export { type MemoryPlace, MemoryStore } from './storage/memory-store.js'
// places
export type { MergedSession, SessionCopy } from './storage/merged.js'
export { type Environment, opencodeDataDir, spanleafHome } from './storage/paths.js'
export type { Slab, SlabPool } from './storage/slab.js'
export { parseSpan, SlabSpan, type Span, type SpanSource } from './storage/span.js'
export { SpanCache } from './storage/span-cache.js'
export type {
  CensusEntry,
  CensusKind,
  CensusOptions,
  CensusRecord,
  KnownSession,
  Leaf,
  LeafKind,
  ListedBefore,
  Listing,
  ListOptions,
  LogPosition,
  LogTail,
  LogTrait,
  MessageEntry,
  MessageListing,
  Opener,
  OpenerAlong,
  PartEntry,
  PartLeaf,
  Price,
  Read,
  ReadOptions,
  SessionEntry,
  Store,
  StoreKind,
  StoreSupports,
  StoreTotals,
  StoreWork,
  TailMessage,
  WholeMessage,
} from './storage/store.js'
export type { StoreSource } from './storage/store-source.js'
export type { WatchBackend } from './storage/watch/watch.js'
export { activePath, type PlacedMessages } from './tree/active-path.js'
export { type CopyComparison, compareCopies } from './tree/copies/copies.js'
export type { RecordDamage, RecordFlaw } from './tree/copies/record-check.js'
export { type FlowOptions, type FlowScope, runSessionFlow, runSessionTreeFlow } from './tree/flow.js'
export { findSessionsContaining, type GrepHit, type GrepOptions, type GrepProgress, grepSessions } from './tree/grep/grep.js'
export type { GrepKind } from './tree/grep/text.js'
export { hydrateSessionTree } from './tree/hydrate.js'
export { isInsideStore } from './tree/inside-store.js'
export type { DamagedRecord, OrphanCounts, OrphanRecord, RecordPlace, StoreLedger } from './tree/ledger.js'
// just the data
export {
  type LoadedSession,
  listMessages,
  listSessions,
  loadDiffs,
  loadMessages,
  loadMessageWithParts,
  loadParts,
  loadSession,
  loadSessionTree,
  loadTodos,
  type MessageWithParts,
  type SessionRef,
  type SessionTree,
} from './tree/loader.js'
// stages
export { planReads, planSessionTree } from './tree/plan.js'
// spans and stores
export { readDiffSpan, readMessageSpan, readPartSpan, readSessionSpan, readSpan, readTodoSpan } from './tree/read-span.js'
export { resolveSessionTree } from './tree/resolve.js'
export { type ChildLink, childLinks, findChildLinks } from './tree/sessions/children.js'
export { cursorAfter, pageSessions, type SessionPage, type SessionQuery, type SessionSort } from './tree/sessions/session-page.js'
export { createSessionSet, type SessionSetOptions } from './tree/sessions/session-set.js'
export type { RefreshOptions, RefreshReport, SessionChanges, Sessions } from './tree/sessions/sessions.js'
export { describeStores, type OtherCopies, type StoreDescription, type StoresDescription, storeEras } from './tree/sessions/stores.js'
export type {
  FlowEnd,
  FlowResult,
  IndexStats,
  MessageMeta,
  MessageNode,
  MessageRefNode,
  NativeMessage,
  PartRef,
  PartRefNode,
  PlannedMessage,
  ReadLimit,
  SessionHydratedTree,
  SessionIndex,
  SessionMeta,
  SessionOrigin,
  SessionRefNode,
  SessionRefTree,
  SessionTreePlan,
  TreeRequest,
  Usage,
} from './tree/types.js'
export { type LedgerTotal, type Verification, type VerifyOptions, verifyStores } from './tree/verify.js'
export type { ChangeKind, SessionChange } from './tree/watch/feed.js'
export { type FollowOptions, type FollowUpdate, followSession } from './tree/watch/follow.js'
export { type SessionWatch, type WatchOptions, watchSessions } from './tree/watch/watch.js'
