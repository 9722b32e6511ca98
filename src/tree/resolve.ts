/** Resolve: the bytes of a plan as spans. Does I/O, parses nothing. A leaf that changed since the plan is planned anew, once. */
import type { MessageKey } from '../core/keys.js'
import { checkSignal, refuseUnknown } from '../core/options.js'
import { fail, type StageIssue, type StageReport, type StageResult, settle } from '../core/stage.js'
import type { MergedSession } from '../storage/merged.js'
import { Slab } from '../storage/slab.js'
import type { Leaf, Opener, PartLeaf, Read, ReadOptions } from '../storage/store.js'
import type { Sessions } from './sessions/sessions.js'
import type { MessageRefNode, PlannedMessage, SessionRefTree, SessionTreePlan } from './types.js'

/** Messages per call of the store; between calls other work of the caller gets its turn. A log is asked once: to open a packed one is to unpack it from its start. */
const BATCH = 256

/**
 * The caller owns the tree and disposes it; its spans end with it.
 * A store that cannot be read is a failed result; a leaf that cannot be read is a leaf with an issue.
 * @throws StorageError INVALID_OPTION
 */
export async function resolveSessionTree(
  sessions: Sessions,
  plan: SessionTreePlan,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<StageResult<SessionRefTree>> {
  refuseUnknown(options, ['signal'])
  checkSignal('signal', options.signal)
  options.signal?.throwIfAborted()
  const started = sessions.clock.monotonic()
  const count = { files: 0, rows: 0, bytes: 0, records: 0 }
  const report = (): StageReport => ({ stage: 'resolve', durationMs: sessions.clock.monotonic() - started, ...count })
  const slab = new Slab(sessions.slabs)
  try {
    const session = await sessions.locate(plan.key)
    const issues: StageIssue[] = []
    const opener = plan.opener?.store === session.store ? plan.opener : session.store
    const reader = new Reader(session, opener, slab, issues, { signal: options.signal, native: plan.native })
    const [own] = await reader.open([plan.session])
    const messages: MessageRefNode[] = []
    const size = session.store.supports.lines === true ? plan.messages.length : BATCH
    for (let at = 0; at < plan.messages.length; at += size) {
      for (const node of await reader.messages(plan.messages.slice(at, at + size))) messages.push(node)
    }
    Object.assign(count, reader.total)
    const tree: SessionRefTree = {
      key: plan.key,
      project: plan.project,
      format: plan.format,
      source: plan.source,
      session: { key: plan.key, leaf: own ?? { issue: { code: 'STALE_SPAN', key: plan.key, reason: 'it was not read' } } },
      messages,
      kinds: plan.kinds,
      ...(plan.native === true && { native: true }),
      [Symbol.dispose]: () => slab[Symbol.dispose](),
    }
    return settle(tree, issues, report())
  } catch (error) {
    slab[Symbol.dispose]()
    return fail(error, report())
  }
}

class Reader {
  readonly count = { files: 0, rows: 0, bytes: 0, records: 0 }
  readonly #session: MergedSession
  readonly #store: Opener
  readonly #slab: Slab
  readonly #issues: StageIssue[]
  readonly #options: ReadOptions
  /** Each is one file, however many of its lines are read. */
  readonly #logs = new Set<string>()
  /** The one of the last line. */
  #log: string | undefined

  constructor(session: MergedSession, store: Opener, slab: Slab, issues: StageIssue[], options: ReadOptions) {
    this.#session = session
    this.#store = store
    this.#slab = slab
    this.#issues = issues
    this.#options = options
  }

  get total(): Reader['count'] {
    return { ...this.count, files: this.count.files + this.#logs.size }
  }

  async messages(planned: readonly PlannedMessage[]): Promise<readonly MessageRefNode[]> {
    this.#options.signal?.throwIfAborted()
    const listed = planned[0]?.parts !== undefined
    return listed ? this.#listed(planned) : this.#unlisted(planned)
  }

  /** One leaf per read; a stale one after a second plan of it alone. Issues are collected beside. */
  async open(reads: readonly Read[]): Promise<readonly Leaf[]> {
    return this.#noted(reads, await this.#store.open(reads, this.#slab, this.#options))
  }

  async #noted(reads: readonly Read[], opened: readonly Leaf[]): Promise<readonly Leaf[]> {
    const leaves = opened.some(isStale) ? await this.#openStaleAgain(reads, opened) : opened
    for (const leaf of leaves) this.#note(leaf)
    return leaves
  }

  async #openStaleAgain(reads: readonly Read[], opened: readonly Leaf[]): Promise<readonly Leaf[]> {
    const leaves = [...opened]
    for (const [at, leaf] of opened.entries()) {
      const read = reads[at]
      if (isStale(leaf) && read !== undefined) leaves[at] = await this.#openAgain(read, leaf)
    }
    return leaves
  }

  async #openAgain(read: Read, leaf: Leaf): Promise<Leaf> {
    const [price] = await this.#store.price([read])
    if (price === undefined) return leaf
    const [again] = await this.#store.open([{ ...read, price }], this.#slab, this.#options)
    return again ?? leaf
  }

  async #listed(planned: readonly PlannedMessage[]): Promise<readonly MessageRefNode[]> {
    const leaves = await this.open(planned.flatMap(({ read, parts }) => [read, ...(parts ?? [])]))
    let next = 0
    const take = (): Leaf => leaves[next++] as Leaf
    return planned.map(({ key, created, order, log, signature, changed, parts }) => {
      const leaf = take()
      return {
        key,
        created,
        order,
        log,
        signature,
        changed,
        leaf,
        parts: (parts ?? []).map((read) => ({ key: read.key as PartLeaf['key'], leaf: take() })),
      }
    })
  }

  async #unlisted(planned: readonly PlannedMessage[]): Promise<readonly MessageRefNode[]> {
    const keys = planned.map(({ key }) => key)
    const reads = planned.map(({ read }) => read)
    const whole = await this.#store.openWhole?.(this.#session.entry.key, keys, this.#slab, this.#options)
    const leaves =
      whole === undefined
        ? await this.open(reads)
        : await this.#noted(
            reads,
            whole.map(({ leaf }) => leaf),
          )
    const parts = whole === undefined ? await this.#openParts(keys) : whole.map((message) => message.parts)
    for (const list of parts) for (const { leaf } of list) this.#note(leaf)
    return planned.map(({ key, created, order, log }, at) => ({
      key,
      created,
      order,
      log,
      signature: undefined,
      changed: undefined,
      leaf: leaves[at] as Leaf,
      parts: parts[at] ?? [],
    }))
  }

  async #openParts(messages: readonly MessageKey[]): Promise<readonly (readonly PartLeaf[])[]> {
    const { entries, issues } = await this.#store.openParts(this.#session.entry.key, messages, this.#slab, this.#options)
    this.#issues.push(...issues)
    return entries
  }

  #note({ span, issue }: Leaf): void {
    if (span === undefined) {
      this.#issues.push(issue)
      return
    }
    this.count.records++
    this.count.bytes += span.length
    const { table, line, path } = span.source
    if (table !== undefined) this.count.rows++
    else if (line === undefined) this.count.files++
    else if (path !== this.#log) {
      this.#log = path
      this.#logs.add(path)
    }
  }
}

function isStale({ issue }: Leaf): boolean {
  return issue?.code === 'STALE_SPAN'
}
