/**
 * Plan: which leaves a request needs, in order, and what reading them will cost. Opens no content.
 *
 * The tail: of messages that the caller holds, the *hot* ones (unsettled, among the last eight, young, or all with `deep`)
 * are checked by stat or `time_updated`; *cold* ones are trusted. So work follows the tail, and an old edit in a cold
 * message is seen with `deep` only.
 */
import { StorageError } from '../core/errors.js'
import type { MessageId, PartId } from '../core/ids.js'
import { encodeKey, type MessageKey, messageKey, type PartKey, partKey, type SessionKey } from '../core/keys.js'
import { fail, type StageIssue, type StageReport, type StageResult, settle } from '../core/stage.js'
import { fingerprint } from '../storage/fingerprint.js'
import type { Generation } from '../storage/generation.js'
import type { MergedSession } from '../storage/merged.js'
import type { MessageEntry, Price, Read } from '../storage/store.js'
import { checkRequest } from './check-request.js'
import type { Sessions } from './sessions/sessions.js'
import type { PlannedMessage, ReadLimit, SessionTreePlan, TreeRequest } from './types.js'

/** The last messages of a session are always hot, and so are those younger than this, in milliseconds. */
const HOT_COUNT = 8
const HOT_WINDOW_MS = 10 * 60 * 1000
/** Marks the signature of a message that was still being written. */
const UNSETTLED = '~'
const UNSETTLED_CODE = UNSETTLED.charCodeAt(0)
/** The signature of a message that could not be read: it is looked at however old, and nothing has it. */
export const UNREAD = UNSETTLED

/**
 * @throws StorageError INVALID_OPTION, NOT_FOUND (the session, or the message that bounds a window), AMBIGUOUS_ID
 * A plan above the limit, or a store that cannot be read, is a failed result.
 */
export async function planSessionTree(sessions: Sessions, request: TreeRequest): Promise<StageResult<SessionTreePlan>> {
  return planTree(sessions, request, true)
}

/** A reading without a window, and without what the caller holds, is whole: then a cursor says where it ended. */
export function isWhole({ messages, known }: TreeRequest): boolean {
  return messages === undefined && known === undefined
}

/** Plans a session that is read straight through, without prices; leaves of it may come along with its list of messages. */
export async function planStraight(sessions: Sessions, request: TreeRequest): Promise<StageResult<SessionTreePlan>> {
  return planTree(sessions, request, false, true)
}

/** Without `price` neither sizes nor parts are looked up: for reading everything straight through. */
export async function planTree(sessions: Sessions, request: TreeRequest, price: boolean, along = false): Promise<StageResult<SessionTreePlan>> {
  checkRequest(request)
  request.signal?.throwIfAborted()
  const started = sessions.clock.monotonic()
  const report = (records: number, plan?: SessionTreePlan): StageReport => ({
    stage: 'plan',
    durationMs: sessions.clock.monotonic() - started,
    files: plan?.files ?? 0,
    rows: plan?.rows ?? 0,
    bytes: plan?.bytes ?? 0,
    records,
  })
  const session = await sessions.locate(request.session)
  try {
    const { entries, issues, cursor, opener } = await sessions.listMessages(session, {
      anew: request.deep === true,
      cursor: price && isWhole(request),
      passing: !price,
      along,
      native: request.native,
      signal: request.signal,
    })
    request.signal?.throwIfAborted()
    const chosen = selectWindow(entries, request, session)
    const draft = price
      ? await priced(sessions, session, chosen, entries, request)
      : { messages: unpriced(session, chosen), unchanged: 0, issues: [] }
    const plan = { ...(await complete(session, draft, request, price)), ...(cursor && { cursor }), ...(opener && { opener }) }
    refuseAbove(request.limit, plan)
    return settle(plan, [...issues, ...draft.issues], report(plan.messages.length, plan))
  } catch (error) {
    request.signal?.throwIfAborted()
    if (error instanceof StorageError && error.code === 'NOT_FOUND') throw error
    return fail(error, report(0))
  }
}

/** Every read of a plan, flat and in order: the session, then each message with its parts. */
export function planReads(plan: SessionTreePlan): readonly Read[] {
  return [plan.session, ...plan.messages.flatMap((message) => [message.read, ...(message.parts ?? [])])]
}

/** The signature of a message that was hydrated before it settled. */
export function unsettledSignature(signature: string): string {
  return UNSETTLED + signature
}

function selectWindow(entries: readonly MessageEntry[], { messages = {} }: TreeRequest, { entry }: MergedSession): readonly MessageEntry[] {
  const place = (id: string): number => {
    const at = entries.findIndex((other) => other.id === id)
    if (at >= 0) return at
    throw new StorageError('NOT_FOUND', { reason: `the session has no message ${JSON.stringify(id)}`, key: encodeKey(entry.key) })
  }
  const from = messages.after === undefined ? 0 : place(messages.after) + 1
  const to = messages.before === undefined ? entries.length : place(messages.before)
  const within = from === 0 && to === entries.length ? entries : entries.slice(from, to)
  return messages.last === undefined ? within : within.slice(Math.max(0, within.length - messages.last))
}

interface Draft {
  readonly messages: readonly PlannedMessage[]
  readonly unchanged: number
  readonly issues: readonly StageIssue[]
}

function unpriced({ entry }: MergedSession, chosen: readonly MessageEntry[]): readonly PlannedMessage[] {
  return chosen.map(({ id, created, order, log }) => {
    const key = messageKey(entry.key, id)
    return { key, created, order, log, read: { kind: 'message', key }, parts: undefined, signature: undefined, changed: undefined }
  })
}

/** A message is cold that stands before `place` and was created before `time` (epoch ms). */
interface HotSince {
  readonly place: number
  readonly time: number
}

function hotSince(sessions: Sessions, { store }: MergedSession, all: readonly MessageEntry[], { deep }: TreeRequest): HotSince {
  const eighthLast = all.at(-HOT_COUNT)
  // Of a log every message was looked at with its lines: nothing needs to be trusted.
  const place = deep === true || store.supports.lines === true || eighthLast === undefined ? Number.NEGATIVE_INFINITY : placeOf(eighthLast)
  return { place, time: sessions.clock.now() - HOT_WINDOW_MS }
}

interface Looked {
  readonly key: MessageKey
  readonly listed: MessageEntry
}

/**
 * All but the cold messages that the caller holds; `held` gets the signatures of the hot ones.
 * The one loop that every tail spends on every message of its session, hence so plain.
 */
function looksAt(
  session: SessionKey,
  chosen: readonly MessageEntry[],
  { place, time }: HotSince,
  known: TreeRequest['known'],
  held: Map<string, string>,
): readonly Looked[] {
  const looked: Looked[] = []
  for (const listed of chosen) {
    const key = messageKey(session, listed.id)
    const signature = known === undefined ? undefined : known(key)
    if (signature !== undefined) {
      const unsettled = signature.charCodeAt(0) === UNSETTLED_CODE
      if (placeOf(listed) < place && listed.created < time && !unsettled) continue
      held.set(listed.id, unsettled ? signature.slice(1) : signature)
    }
    looked.push({ key, listed })
  }
  return looked
}

async function priced(
  sessions: Sessions,
  session: MergedSession,
  chosen: readonly MessageEntry[],
  all: readonly MessageEntry[],
  request: TreeRequest,
): Promise<Draft> {
  const { entry, store } = session
  const held = new Map<string, string>()
  const looked = looksAt(entry.key, chosen, hotSince(sessions, session, all, request), request.known, held)
  let unchanged = chosen.length - looked.length
  const reads = looked.map(({ key }): Read => ({ kind: 'message', key }))
  const prices = await store.price(reads)
  request.signal?.throwIfAborted()
  const parts = await store.parts(
    entry.key,
    looked.map(({ key }) => key.message),
    { price: true, signal: request.signal },
  )
  request.signal?.throwIfAborted()
  const issues = [...parts.issues]
  const messages: PlannedMessage[] = []
  for (const [at, { key, listed }] of looked.entries()) {
    const price = prices[at]
    if (price === undefined) {
      issues.push({ code: 'STALE_SPAN', key, path: store.path, reason: 'the message was removed while it was planned', transient: true })
      continue
    }
    const partReads = (parts.entries[at] ?? []).map(({ id, price }): Read => ({ kind: 'part', key: partKey(key, id), ...(price && { price }) }))
    const planned = plannedMessage(key, listed, price, partReads)
    if (held.get(key.message) === planned.signature) unchanged++
    else messages.push(planned)
  }
  return { messages, unchanged, issues }
}

/** Names the versions of a message and of its parts, or of its further lines, and where the active leaf went after it. */
export function signatureOf(
  message: Generation,
  parts: readonly { readonly part: PartId; readonly generation: Generation | undefined }[],
  leaf?: MessageId | null,
): string {
  const versions = parts.map(({ part, generation }) => `${part}=${generation}`).join(' ')
  return fingerprint(leaf === undefined ? `${message} ${versions}` : `${message} ${versions} -> ${leaf}`)
}

/** What the messages of a session are ordered by: its own order where the store keeps one, else the time. */
function placeOf({ order, created }: MessageEntry): number {
  return order ?? created
}

function plannedMessage(key: MessageKey, { created, order, log }: MessageEntry, price: Price, parts: readonly Read[]): PlannedMessage {
  const changed = parts.reduce((latest, part) => Math.max(latest, part.price?.changed ?? 0), price.changed)
  const versions = parts.map(({ key: part, price: own }) => ({ part: (part as PartKey).part, generation: own?.generation }))
  const signature = signatureOf(price.generation, versions, log?.leaf)
  return { key, created, order, log, read: { kind: 'message', key, price }, parts, signature, changed }
}

async function complete({ entry, store }: MergedSession, draft: Draft, request: TreeRequest, price: boolean): Promise<SessionTreePlan> {
  const read: Read = { kind: 'session', key: entry.key }
  const [own] = price ? await store.price([read]) : []
  let leaves = 1
  let bytes = own?.bytes ?? 0
  for (const message of draft.messages) {
    leaves += 1 + (message.parts?.length ?? 0)
    bytes += message.read.price?.bytes ?? 0
    for (const part of message.parts ?? []) bytes += part.price?.bytes ?? 0
  }
  return {
    key: entry.key,
    project: entry.project,
    format: store.format,
    source: { kind: store.kind, path: store.path },
    session: own === undefined ? read : { ...read, price: own },
    messages: draft.messages,
    unchanged: draft.unchanged,
    kinds: request.parts?.kinds,
    ...(request.native === true && { native: true }),
    // The lines of a log stand in one file, or in the two of a snapshot and its journal.
    files: store.supports.rows ? 0 : store.supports.lines === true ? 1 : leaves,
    rows: store.supports.rows ? leaves : 0,
    bytes,
  }
}

/** @throws StorageError PLAN_TOO_LARGE */
function refuseAbove(limit: ReadLimit | undefined, plan: SessionTreePlan): void {
  for (const name of ['bytes', 'files', 'rows'] as const) {
    const most = limit?.[name]
    if (most === undefined || plan[name] <= most) continue
    const reason = `the plan needs ${plan[name]} ${name}, the limit is ${most}`
    throw new StorageError('PLAN_TOO_LARGE', { reason, path: plan.source.path, key: encodeKey(plan.key) })
  }
}
