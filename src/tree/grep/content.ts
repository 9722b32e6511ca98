/** Texts that stand inside other things: blocks of a tool's answer, objects of a call, `data:` URLs. Never what is encoded or encrypted. */
import { isDocument } from '../../core/documents.js'

/** Strings of blocks that tell what they are, and what only their provider reads; objects and lists of these names are as any other. */
const NO_TEXT = new Set(['type', 'id', 'tool_use_id', 'media_type', 'mime', 'mimeType', 'mime_type', 'signature', 'blob'])
const ENCRYPTED = /^encrypted_/
/** A short one without padding is a word. */
const BASE64 = /^(?:[\w+/-]{4,}={1,2}|[\w+/-]{32,})$/

/** Every text of content blocks, in its order: titles and addresses of what was found, texts of resources and documents. */
export function* textsOfBlocks(blocks: unknown): Generator<string> {
  // A stack, not recursion: the depth of what a tool answers has no limit.
  const pending: unknown[] = [blocks]
  while (pending.length > 0) {
    const next = pending.pop()
    if (typeof next === 'string') {
      const text = next.startsWith('data:') ? textOfUrl(next) : next
      if (text !== undefined) yield text
    } else if (Array.isArray(next)) pushAll(pending, next)
    else if (isDocument(next)) {
      const told = Object.entries(next).filter(([name, value]) =>
        typeof value === 'string' ? isText(name, value, next.type) : name !== 'cache_control',
      )
      pushAll(
        pending,
        told.map(([, value]) => value),
      )
    }
  }
}

/** `type`: of the block that it stands in. */
function isText(name: string, value: string, type: unknown): boolean {
  if (name === 'data') return type === 'text' || (type !== 'base64' && !isEncoded(value))
  return !NO_TEXT.has(name) && !ENCRYPTED.test(name)
}

function isEncoded(value: string): boolean {
  return BASE64.test(value.replace(/[\r\n]+/g, ''))
}

/**
 * Every text of an object that a tool is called with, in its order. The names in it that are no parameters' are texts too: paths of files by
 * which contents are given, variables of an environment; not those of the object itself, nor those of objects in a list.
 */
export function* textsOfInput(input: unknown): Generator<string> {
  const pending: { readonly value: unknown; readonly named: boolean }[] = [{ value: input, named: false }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { value, named } = next
    if (typeof value === 'string') yield value
    else if (Array.isArray(value))
      pushAll(
        pending,
        value.map((item) => ({ value: item, named: false })),
      )
    else if (isDocument(value)) {
      const inside = Object.entries(value).flatMap(([name, item]) => [...(named ? [{ value: name, named }] : []), { value: item, named: true }])
      pushAll(pending, inside)
    }
  }
}

function pushAll<T>(stack: T[], items: readonly T[]): void {
  for (let at = items.length - 1; at >= 0; at--) stack.push(items[at] as T)
}

/** What a `data:` URL of a text holds; undefined for every other URL. */
export function textOfUrl(url: string): string | undefined {
  const head = /^data:text\/[^,]*,/i.exec(url)?.[0]
  if (head === undefined) return undefined
  const body = url.slice(head.length)
  return /;base64,$/i.test(head) ? Buffer.from(body, 'base64').toString() : unescaped(body)
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
