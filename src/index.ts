/** spanleaf: read coding-agent sessions in stages. The index of sessions for search is in 'spanleaf/indexer'. */

export { type Clock, systemClock } from './core/clock.js'
export type { DirtyTracker, GenerationClock } from './core/dirty-tracker.js'
export { type ErrorCode, type ErrorRow, errorTable, StorageError } from './core/errors.js'
export { folderName, isWithinFolder } from './core/folders.js'
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
export type { Part, PartKind, Tokens, ToolState, UnknownPart } from './core/parts.js'
export type { AssistantMessage, FileDiff, Message, ProjectRecord, SessionRecord, TodoItem, UnknownMessage, UserMessage } from './core/records.js'
// results, errors, time
export { issuesOf, type StageIssue, type StageName, type StageReport, type StageResult, unwrap } from './core/stage.js'
// open
export { type OpenOptions, openSessions } from './open.js'
export { type Cursor, isCursor, type LogCursor, type SignatureCursor } from './storage/cursor.js'
export type { MapOption } from './storage/file-maps.js'
export type { Generation } from './storage/generation.js'
export { MappedSpan } from './storage/mapped-span.js'
export { type MemoryPlace, MemoryStore } from './storage/memory-store.js'
// places
export { opencodeDataDir, spanleafHome } from './storage/paths.js'
export { parseSpan, SlabSpan, type Span, type SpanSource } from './storage/span.js'
export { SpanCache } from './storage/span-cache.js'
export type {
  Leaf,
  LeafKind,
  ListedBefore,
  Listing,
  ListOptions,
  LogPosition,
  Price,
  Read,
  SessionEntry,
  Store,
  StoreKind,
  StoreSupports,
  StoreWork,
} from './storage/store.js'
export type { WatchBackend } from './storage/watch.js'
export { activePath, type PlacedMessages } from './tree/active-path.js'
export { type ChildLink, childLinks } from './tree/children.js'
export { type CopyComparison, compareCopies } from './tree/copies.js'
export { type FlowOptions, type FlowScope, runSessionFlow, runSessionTreeFlow } from './tree/flow.js'
export { type FollowOptions, type FollowUpdate, followSession } from './tree/follow.js'
export { findSessionsContaining, type GrepHit, type GrepOptions, type GrepProgress, grepSessions } from './tree/grep.js'
export type { GrepKind } from './tree/grep-text.js'
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
  type SessionTree,
} from './tree/loader.js'
// stages
export { planReads, planSessionTree } from './tree/plan.js'
// spans and stores
export { readDiffSpan, readMessageSpan, readPartSpan, readSessionSpan, readSpan, readTodoSpan } from './tree/read-span.js'
export type { RecordDamage, RecordFlaw } from './tree/record-check.js'
export { resolveSessionTree } from './tree/resolve.js'
export { cursorAfter, pageSessions, type SessionPage, type SessionQuery, type SessionSort } from './tree/session-page.js'
export { createSessionSet, type SessionSetOptions } from './tree/session-set.js'
export type { RefreshOptions, RefreshReport, SessionChanges, Sessions } from './tree/sessions.js'
export { describeStores, type OtherCopies, type StoreDescription, type StoresDescription, storeEras } from './tree/stores.js'
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
export { type SessionWatch, type WatchOptions, watchSessions } from './tree/watch.js'
export type { ChangeKind, SessionChange } from './tree/watch-feed.js'
