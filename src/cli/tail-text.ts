/** A session that goes on, as people read it: of what was shown already only what changed. */
import { crc32 } from 'node:zlib'
import type { FollowUpdate, MessageId, MessageNode } from '../index.js'
import { issueText, messageText } from './show-text.js'

export class TailText {
  /** What was told of every message, by part. */
  readonly #shown = new Map<MessageId, ReadonlyMap<string, number>>()

  /** The paragraphs to print, of the last `last` messages alone. */
  paragraphs({ messages, removed, reread, issues }: FollowUpdate, last: number): readonly string[] {
    const texts: string[] = []
    const from = Math.max(0, messages.length - last)
    const gone = new Set(reread === undefined ? removed : [...this.#shown.keys(), ...removed])
    for (const [at, message] of messages.entries()) {
      gone.delete(message.key.message)
      const text = this.#textOf(message)
      if (at >= from && text !== undefined) texts.push(text)
    }
    for (const id of gone) if (this.#shown.delete(id) || reread === undefined) texts.push(`── removed ${id}\n`)
    return [...texts, ...issues.map(issueText)]
  }

  /** Undefined when nothing of it is new. */
  #textOf(message: MessageNode): string | undefined {
    const { key, parts } = message
    const before = this.#shown.get(key.message)
    const now = sumsOf(message)
    this.#shown.set(key.message, now)
    if (before === undefined) return messageText(message)
    const changed = parts.filter((part, at) => before.get(nameOf(part.id, at)) !== now.get(nameOf(part.id, at)))
    if (changed.length === 0 && before.get(REST) === now.get(REST)) return undefined
    return messageText({ ...message, parts: changed }).replace('\n', '  [goes on]\n')
  }
}

/** Under this name: what a message says beside its parts. */
const REST = ''

function sumsOf({ message, parts, damagedParts }: MessageNode): ReadonlyMap<string, number> {
  const error = message?.role === 'assistant' ? message.error : undefined
  const sums = new Map([[REST, sumOf([message?.role, error, damagedParts])]])
  for (const [at, part] of parts.entries()) sums.set(nameOf(part.id, at), sumOf(part))
  return sums
}

function nameOf(id: unknown, at: number): string {
  return `${String(id)} ${id === undefined ? at : ''}`
}

function sumOf(value: unknown): number {
  return crc32(JSON.stringify(value))
}
