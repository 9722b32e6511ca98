/** Reads sessions for a search: in pages of few bytes, parsing only what may hold the pattern, and giving others their turn. */
import { setImmediate } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import { FORMATS, type FormatName } from '../../core/formats.js'
import { encodeKey, type MessageKey, type PartKey, partKey, type SessionKey } from '../../core/keys.js'
import type { Message } from '../../core/records.js'
import { issuesOf, type StageIssue, type StageResult } from '../../core/stage.js'
import type { Leaf } from '../../storage/store.js'
import { hydrateSessionTree } from '../hydrate.js'
import { planStraight } from '../plan.js'
import { resolveSessionTree } from '../resolve.js'
import type { Sessions } from '../sessions/sessions.js'
import type { MessageNode, MessageRefNode, SessionRefTree, SessionTreePlan } from '../types.js'
import { closingOf } from '../watch/told.js'
import { type ByteFilter, mayHide } from './filter.js'
import { type Excerpt, excerptsIn, type GrepKind, type GrepText, type Matcher, textsOfMessage, textsOfPart } from './text.js'
import type { TimeLimit } from './time-limit.js'

export interface GrepSearch {
  readonly find: Matcher
  /** Whatever asks `find` is done by this: how long it may take of one text. */
  readonly limit: TimeLimit
  /** Characters before and behind a match. */
  readonly context: number
  /** Undefined: everything is parsed. */
  readonly filter: ByteFilter | undefined
  /** Undefined: all. */
  readonly kinds: ReadonlySet<GrepKind> | undefined
  /** Of each session the first text is enough. */
  readonly once: boolean
  readonly signal: AbortSignal | undefined
  readonly tell: (issue: StageIssue) => void
}

/** A text, and who said it. */
interface Said extends GrepText {
  readonly message: MessageKey
  readonly part: PartKey | undefined
  readonly kind: GrepKind
  readonly tool: string | undefined
  readonly role: Message['role'] | undefined
  /** Epoch milliseconds. */
  readonly created: number
}

/** A text that holds the pattern. */
export interface FoundText extends Said {
  /** The first places of it, up to `AT_ONCE`. */
  readonly excerpts: readonly Excerpt[]
  readonly rest: Iterator<Excerpt>
}

/** A message that was parsed. */
interface Spoken {
  readonly node: MessageNode
  /** As its store says, epoch milliseconds. */
  readonly created: number
}

/** Places in a text that are looked for in one go. */
export const AT_ONCE = 64
/** Milliseconds after which others get their turn. */
const TURN_MS = 2
/** A page has about so many bytes, as far as the pages before tell, and at most so many messages. */
const PAGE = { bytes: 2 ** 17, messages: 64 }
/** Of logs, whose lines are read in few reads. */
const LOG_PAGE = { bytes: 2 ** 19, messages: 512 }
export class GrepReader {
  readonly read = { messages: 0, bytes: 0 }
  readonly #sessions: Sessions
  readonly #search: GrepSearch
  readonly #closing: AbortSignal | undefined
  /** Messages of the next page, by whether they are of a log. */
  readonly #next = { leaves: 8, lines: 64 }
  #turn = performance.now()

  constructor(sessions: Sessions, search: GrepSearch) {
    this.#sessions = sessions
    this.#search = search
    this.#closing = closingOf(sessions)
  }

  plan(session: SessionKey): Promise<StageResult<SessionTreePlan>> {
    const { signal } = this.#search
    return planStraight(this.#sessions, { session, ...(signal && { signal }) })
  }

  /** The texts of a session that hold the pattern, by page. `planned` gives its plan. @throws StorageError SET_CLOSED */
  async *pages(key: SessionKey, planned = () => this.plan(key)): AsyncGenerator<readonly FoundText[]> {
    const { signal } = this.#search
    // The record of a session is no message, and stands with each page.
    const tell = this.#once()
    const plan = await this.#planned(key, planned, tell)
    const isPacked = plan !== undefined && (await this.#isPacked(plan))
    for (let at = 0; plan !== undefined && at < plan.messages.length; ) {
      signal?.throwIfAborted()
      this.#closing?.throwIfAborted()
      await this.#giveWay()
      const size = isPacked ? plan.messages.length : this.#sizeOf(plan)
      const resolved = await resolveSessionTree(
        this.#sessions,
        { ...plan, messages: plan.messages.slice(at, at + size) },
        { ...(signal && { signal }) },
      )
      if (resolved.status === 'failed') {
        tell(failureOf(resolved.error, key))
        return
      }
      for (const issue of issuesOf(resolved)) tell(issue)
      using refs = resolved.value
      this.#note(plan, refs.messages.length, resolved.report.bytes)
      yield await this.#textsIn(refs, tell)
      at += size
    }
  }

  async #planned(
    session: SessionKey,
    plan: () => Promise<StageResult<SessionTreePlan>>,
    tell: GrepSearch['tell'],
  ): Promise<SessionTreePlan | undefined> {
    try {
      const planned = await plan()
      for (const issue of issuesOf(planned)) tell(issue)
      if (planned.status !== 'failed') return planned.value
      tell(failureOf(planned.error, session))
    } catch (error) {
      // It was removed since the sessions were listed.
      if (!(error instanceof StorageError)) throw error
      tell(failureOf(error, session))
    }
    return undefined
  }

  /** To open a part of a packed log is to unpack it from its start. */
  async #isPacked({ key, format }: SessionTreePlan): Promise<boolean> {
    return isLog(format) && (await this.#sessions.locate(key)).entry.path.endsWith('.zst')
  }

  #sizeOf({ format }: SessionTreePlan): number {
    return this.#next[isLog(format) ? 'lines' : 'leaves']
  }

  #note({ format }: SessionTreePlan, messages: number, bytes: number): void {
    this.read.messages += messages
    this.read.bytes += bytes
    const [kind, most] = isLog(format) ? (['lines', LOG_PAGE] as const) : (['leaves', PAGE] as const)
    const fitting = Math.floor((messages * most.bytes) / Math.max(1, bytes))
    this.#next[kind] = Math.max(1, Math.min(fitting, 2 * this.#next[kind], most.messages))
  }

  async #textsIn(refs: SessionRefTree, tell: GrepSearch['tell']): Promise<readonly FoundText[]> {
    const found: FoundText[] = []
    const issues: StageIssue[] = []
    for (let at = 0; at < refs.messages.length; ) {
      await this.#giveWay()
      const { spoken, end } = this.#stretch(refs, at, issues)
      at = end
      for (const issue of issues.splice(0)) tell(issue)
      // All at once; where that takes long, text by text: each may take its time.
      const texts = this.#search.limit.attempt(() => this.#foundIn(spoken)) ?? (await this.#foundSlowly(spoken))
      for (const text of texts) found.push(text)
      if (this.#search.once && found.length > 0) break
    }
    return found
  }

  /** As many messages as can be parsed between two turns, one at least. */
  #stretch(refs: SessionRefTree, from: number, issues: StageIssue[]): { readonly spoken: readonly Spoken[]; readonly end: number } {
    const spoken: Spoken[] = []
    let at = from
    do {
      const node = refs.messages[at++]
      const worth = node && this.#worthParsing(node, refs.format)
      if (worth === undefined) continue
      const hydrated = hydrateSessionTree({ ...refs, session: { key: refs.key, leaf: notRead(refs.key) }, messages: [worth] })
      issues.push(...issuesOf(hydrated))
      if (hydrated.status === 'failed') continue
      for (const node of hydrated.value.messages) spoken.push({ node, created: worth.created })
    } while (at < refs.messages.length && performance.now() - this.#turn < TURN_MS)
    return { spoken, end: at }
  }

  /** Calls nothing that is the caller's. */
  #foundIn(spoken: readonly Spoken[]): readonly FoundText[] {
    const found: FoundText[] = []
    for (const said of this.#saidIn(spoken)) {
      const text = this.#matched(said)
      if (text !== undefined) found.push(text)
      if (text !== undefined && this.#search.once) break
    }
    return found
  }

  async #foundSlowly(spoken: readonly Spoken[]): Promise<readonly FoundText[]> {
    const { limit, once } = this.#search
    const found: FoundText[] = []
    for (const said of this.#saidIn(spoken)) {
      await this.#giveWay()
      const text = limit.within(() => this.#matched(said))
      if (text !== undefined) found.push(text)
      if (text !== undefined && once) break
    }
    return found
  }

  /** The message with the parts that may hold the pattern; undefined when neither it nor one of them does. */
  #worthParsing(node: MessageRefNode, format: FormatName): MessageRefNode | undefined {
    const own = this.#mayHold(node.leaf, format)
    if (isLog(format)) return own || node.parts.some(({ leaf }) => this.#mayHold(leaf, format)) ? node : undefined
    const parts = node.parts.filter(({ leaf }) => this.#mayHold(leaf, format))
    return own || parts.length > 0 ? { ...node, parts } : undefined
  }

  #mayHold({ span }: Leaf, format: FormatName): boolean {
    if (span === undefined) return false
    const { filter } = this.#search
    if (filter === undefined) return true
    const bytes = span.bytes()
    return filter(bytes) || mayHide(bytes, format)
  }

  *#saidIn(spoken: readonly Spoken[]): Generator<Said> {
    const { kinds } = this.#search
    for (const { node, created } of spoken) {
      const { key, message, parts } = node
      const time = message === undefined || message.role === 'unknown' ? created : message.time.created
      const about = { message: key, role: message?.role, created: time }
      for (const part of parts) {
        if (kinds?.has(part.type) === false) continue
        const tool = part.type === 'tool' ? part.tool : undefined
        for (const text of textsOfPart(part)) yield { ...text, ...about, part: partKey(key, part.id), kind: part.type, tool }
      }
      if (message === undefined || kinds?.has('message') === false) continue
      for (const text of textsOfMessage(message)) yield { ...text, ...about, part: undefined, kind: 'message', tool: undefined }
    }
  }

  #matched(said: Said): FoundText | undefined {
    const { find, context, once } = this.#search
    const rest = excerptsIn(said.text, find, context)
    const excerpts = taken(rest, once ? 1 : AT_ONCE)
    return excerpts.length === 0 ? undefined : { ...said, excerpts, rest }
  }

  /** Where it is time to. */
  async #giveWay(): Promise<void> {
    if (performance.now() - this.#turn < TURN_MS) return
    await setImmediate()
    this.#turn = performance.now()
    this.#search.signal?.throwIfAborted()
  }

  /** What cannot be read once the set is closed is no issue: the search is over, and not at its end. */
  #once(): GrepSearch['tell'] {
    const told = new Set<string>()
    return (issue) => {
      this.#closing?.throwIfAborted()
      const name = `${issue.code} ${issue.key === undefined ? issue.path : encodeKey(issue.key)} ${issue.line ?? ''}`
      if (!told.has(name)) this.#search.tell(issue)
      told.add(name)
    }
  }
}

/** The next ones, so many at most. */
export function taken<T>(items: Iterator<T>, most: number): readonly T[] {
  const list: T[] = []
  while (list.length < most) {
    const { value, done } = items.next()
    if (done === true) break
    list.push(value)
  }
  return list
}

function isLog(format: FormatName): boolean {
  return FORMATS[format].assemble !== undefined
}

/** Stands for the record of the session, which is not looked at. */
function notRead(key: SessionKey): Leaf {
  return { issue: { code: 'STALE_SPAN', key, reason: 'it is not read here' } }
}

function failureOf(error: StorageError, key: SessionKey): StageIssue {
  const { code, reason, path, retryable } = error
  return { code, key, reason, ...(path !== undefined && { path }), ...(retryable && { transient: true }) }
}
