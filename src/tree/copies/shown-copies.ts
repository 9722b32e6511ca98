/** What the shown copies of sessions hold, for telling what only a hidden copy has. */
import { encodeKey, type MessageKey, type PartKey, sessionOf } from '../../core/keys.js'
import type { Sessions } from '../sessions/sessions.js'

/** Ids that are held at most; the least recently used session goes first, and is listed again when it is met again. */
const HELD_IDS = 300_000

interface ShownCopy {
  readonly messages: ReadonlySet<string>
  /** Undefined where parts stand inside their messages. */
  readonly parts: ReadonlySet<string> | undefined
}

export class ShownCopies {
  readonly #sessions: Sessions
  readonly #limit: number
  readonly #copies = new Map<string, ShownCopy>()
  #ids = 0

  constructor(sessions: Sessions, limit = HELD_IDS) {
    this.#sessions = sessions
    this.#limit = limit
  }

  /** Parts that stand inside their messages have no ids of their own: such a part is there when its message is. */
  async has(key: MessageKey | PartKey): Promise<boolean> {
    const { messages, parts } = await this.#copyOf(key)
    if (key.kind === 'message' || parts === undefined) return messages.has(key.message)
    return parts.has(key.part)
  }

  async #copyOf(key: MessageKey | PartKey): Promise<ShownCopy> {
    const session = sessionOf(key)
    const name = encodeKey(session)
    const held = this.#copies.get(name)
    const copy = held ?? (await this.#list(session))
    this.#copies.delete(name)
    this.#copies.set(name, copy)
    if (held === undefined) this.#shrink(copy)
    return copy
  }

  async #list(session: Parameters<Sessions['locate']>[0]): Promise<ShownCopy> {
    const { entry, store } = await this.#sessions.locate(session)
    const ids = (await store.messages(entry.key)).entries.map(({ id }) => id)
    const messages = new Set<string>(ids)
    if (!store.supports.partLeaves) return { messages, parts: undefined }
    const { entries } = await store.parts(entry.key, ids)
    return { messages, parts: new Set(entries.flatMap((parts) => parts.map(({ id }) => id))) }
  }

  #shrink(added: ShownCopy): void {
    this.#ids += sizeOf(added)
    for (const [name, copy] of this.#copies) {
      if (this.#ids <= this.#limit || copy === added) return
      this.#copies.delete(name)
      this.#ids -= sizeOf(copy)
    }
  }
}

function sizeOf({ messages, parts }: ShownCopy): number {
  return messages.size + (parts?.size ?? 0)
}
