/**
 * Mending: a record that is damaged in the copy that is shown gives way to an intact one of another copy.
 *
 * A session without damage is not touched, and nothing more is opened for it. A mended message keeps its signature: that names
 * the version that is damaged, so a tail reads it again when that changes, and not before.
 * `readSpan` and its like are raw: they give the bytes of the copy that is shown.
 */
import { StorageError } from '../../core/errors.js'
import { compareText, type PartId } from '../../core/ids.js'
import { type EntityKey, encodeKey, type MessageKey, type SessionKey } from '../../core/keys.js'
import type { Part } from '../../core/parts.js'
import type { Message, SessionRecord } from '../../core/records.js'
import type { StageIssue, StageReport } from '../../core/stage.js'
import type { MergedSession, SessionCopy } from '../../storage/merged.js'
import { isSameStore } from '../../storage/precedence.js'
import { Slab } from '../../storage/slab.js'
import type { Store } from '../../storage/store.js'
import type { Sessions } from '../sessions/sessions.js'
import type { MessageNode, MessageRefNode, SessionHydratedTree, SessionRefTree } from '../types.js'
import { CopyReader } from './reader.js'

/** The issue of a damaged record that was replaced. */
export function fromCopy({ code: _, transient: __, ...issue }: StageIssue, { kind }: Store): StageIssue {
  return { ...issue, code: 'RECORD_FROM_LOWER_COPY', reason: `${issue.reason}; the record is that of ${kind}` }
}

/** The issue of a damaged session record that was rebuilt. */
export function rebuiltInstead(damage: StageIssue): StageIssue {
  return { ...damage, code: 'SESSION_RECORD_DAMAGED' }
}

/** A hydrated tree with its issues. */
export interface Mended {
  readonly tree: SessionHydratedTree
  readonly issues: readonly StageIssue[]
  /** What was read of other copies; missing when nothing was. */
  readonly report?: StageReport
}

/** `refs` are the spans that `tree` was hydrated from. */
export async function mendTree(
  sessions: Sessions,
  refs: SessionRefTree,
  tree: SessionHydratedTree,
  issues: readonly StageIssue[],
  signal: AbortSignal | undefined,
): Promise<Mended> {
  const damage = damageIn(tree, issues)
  if (damage.size === 0) return { tree, issues }
  const started = sessions.clock.monotonic()
  const shown = await located(sessions, tree.key)
  if (shown === undefined) return { tree, issues }
  const patches: Patches = { session: undefined, messages: new Map(), parts: new Map(), from: new Map(), issues: [] }
  const count = { files: 0, rows: 0, bytes: 0, records: 0 }
  for (const copy of [shown, ...shown.hidden]) {
    const wanted = [...damage].filter(([name]) => !patches.from.has(name)).map(([, { key }]) => key)
    if (wanted.length === 0) break
    if (isSameStore(copy.store, tree.source)) continue
    using slab = new Slab(sessions.slabs)
    const reader = new CopyReader(copy, slab, signal)
    await readPatches(reader, copy, wanted, refs, patches)
    for (const name of ['files', 'rows', 'bytes', 'records'] as const) count[name] += reader.count[name]
  }
  const mended = patched(tree, refs, patches)
  const session = mended.session ?? shown.record
  return {
    tree: session === undefined ? mended : { ...mended, session },
    issues: [...issues.map((issue) => replaced(issue, damage, patches, session)), ...patches.issues],
    ...(count.files + count.rows > 0 && { report: { stage: 'resolve', durationMs: sessions.clock.monotonic() - started, ...count } }),
  }
}

/** Undefined for a session that was removed while it was read. */
async function located(sessions: Sessions, key: SessionKey): Promise<MergedSession | undefined> {
  try {
    return await sessions.locate(key)
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

interface Damage {
  readonly key: EntityKey
  readonly issue: StageIssue
}

/** The records that the tree lacks, by encoded key. A folder that cannot be read has an issue too, with the key of a record that is there. */
function damageIn(tree: SessionHydratedTree, issues: readonly StageIssue[]): ReadonlyMap<string, Damage> {
  const damage = new Map<string, Damage>()
  let lost: ReadonlySet<string> | undefined
  for (const issue of issues) {
    const { code, key, transient } = issue
    if (key === undefined || transient === true || (code !== 'CORRUPT_RECORD' && code !== 'UNREADABLE_RECORD')) continue
    lost ??= new Set(tree.messages.flatMap(({ message, key }) => (message === undefined ? [key.message] : [])))
    const isLost = key.kind === 'part' || (key.kind === 'message' ? lost.has(key.message) : tree.session === undefined)
    if (isLost) damage.set(encodeKey(key), { key, issue })
  }
  return damage
}

interface MessagePatch {
  readonly message: Message
  /** Those that take the place of parts that the damaged message may have held. */
  readonly parts: readonly Part[]
  readonly damagedParts: number
}

/** What takes the place of damaged records. Messages and parts by message id. */
interface Patches {
  session: SessionRecord | undefined
  readonly messages: Map<string, MessagePatch>
  readonly parts: Map<string, Part[]>
  /** The store of each, by encoded key. */
  readonly from: Map<string, Store>
  readonly issues: StageIssue[]
}

/** A copy whose store cannot be read mends nothing. */
async function readPatches(
  reader: CopyReader,
  { store }: SessionCopy,
  wanted: readonly EntityKey[],
  refs: SessionRefTree,
  patches: Patches,
): Promise<void> {
  try {
    const found = await reader.records(wanted)
    // A message without part records may have had its parts inside, and lost them with itself.
    const bare = new Set(refs.messages.flatMap(({ key, parts }) => (parts.length === 0 ? [key.message] : [])))
    const messages = wanted.filter((key): key is MessageKey => key.kind === 'message' && bare.has(key.message) && found.has(encodeKey(key)))
    const beside = store.supports.partLeaves && messages.length > 0 ? await reader.partsOf(messages) : []
    for (const key of wanted) {
      const copied = found.get(encodeKey(key))
      if (copied === undefined) continue
      patches.from.set(encodeKey(key), store)
      if (copied.kind === 'session') patches.session = copied.record
      if (copied.kind === 'part') add(patches.parts, copied.record)
      if (copied.kind !== 'message' || key.kind !== 'message') continue
      const { parts = [], issues = [] } = beside[messages.indexOf(key)] ?? {}
      patches.messages.set(key.message, { message: copied.record.message, parts: [...copied.record.parts, ...parts], damagedParts: issues.length })
      patches.issues.push(...issues)
    }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
  }
}

function add(parts: Map<string, Part[]>, part: Part): void {
  const others = parts.get(part.messageID)
  if (others === undefined) parts.set(part.messageID, [part])
  else others.push(part)
}

function patched(tree: SessionHydratedTree, refs: SessionRefTree, patches: Patches): SessionHydratedTree {
  const refOf = new Map(refs.messages.map((ref) => [ref.key.message, ref]))
  const messages = tree.messages.map((node) => {
    const ref = refOf.get(node.key.message)
    return ref === undefined ? node : patchedNode(node, ref, patches, refs)
  })
  if (patches.messages.size > 0) {
    const place = ({ key, message }: MessageNode): number => {
      const ref = refOf.get(key.message)
      return ref?.order ?? (message === undefined || message.role === 'unknown' ? (ref?.created ?? 0) : message.time.created)
    }
    messages.sort((a, b) => place(a) - place(b) || compareText(a.key.message, b.key.message))
  }
  return { ...tree, session: tree.session ?? patches.session, messages }
}

function patchedNode(node: MessageNode, ref: MessageRefNode, patches: Patches, { kinds }: SessionRefTree): MessageNode {
  const whole = patches.messages.get(node.key.message)
  const single = patches.parts.get(node.key.message) ?? []
  if (whole === undefined && single.length === 0) return node
  const place = new Map<PartId, number>(ref.parts.map(({ key }, at) => [key.part, at]))
  const inside = whole !== undefined && ref.parts.length === 0 ? whole : undefined
  const added = [...(inside?.parts ?? []), ...single].filter((part) => kinds === undefined || kinds.includes(part.type))
  const placeOf = ({ id }: Part): number => place.get(id) ?? -1
  return {
    ...node,
    message: node.message ?? whole?.message,
    parts: [...node.parts, ...added].sort((a, b) => placeOf(a) - placeOf(b)),
    damagedParts: node.damagedParts - single.length + (inside?.damagedParts ?? 0),
  }
}

function replaced(issue: StageIssue, damage: ReadonlyMap<string, Damage>, { from }: Patches, session: SessionRecord | undefined): StageIssue {
  const name = issue.key && encodeKey(issue.key)
  if (name === undefined || damage.get(name)?.issue !== issue) return issue
  const store = from.get(name)
  if (store !== undefined) return fromCopy(issue, store)
  return issue.key?.kind === 'session' && session !== undefined ? rebuiltInstead(issue) : issue
}
