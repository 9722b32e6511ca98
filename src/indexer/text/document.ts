/** Who a document is, and what tells that its text changed. */
import { createHash } from 'node:crypto'
import { StorageError } from '../../core/errors.js'
import { encodeKey, type MessageKey } from '../../core/keys.js'

/** What begins the id of a document. */
export const NAMESPACE = /^[A-Za-z0-9._-]{1,64}$/
/** RFC 4648, in lower case: safe in every sink, and 26 characters carry 130 bits. */
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const KEY_CHARACTERS = 26

/**
 * `<namespace>~<hash of agent, session and message>~<chunk>`: at most 128 bytes, ASCII, never parsed.
 * The hash covers the whole key, since message ids repeat across sessions, forks and agents.
 * @throws StorageError INVALID_OPTION
 */
export function documentId(namespace: string, key: MessageKey, chunk: number): string {
  if (!NAMESPACE.test(namespace)) {
    throw new StorageError('INVALID_OPTION', { reason: 'a namespace is 1 to 64 letters, digits, dots, underscores or hyphens' })
  }
  if (!Number.isSafeInteger(chunk) || chunk < 0) throw new StorageError('INVALID_OPTION', { reason: `a chunk is no ${chunk}` })
  return `${namespace}~${base32(createHash('sha256').update(encodeKey(key)).digest())}~${chunk}`
}

function base32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = ((held & 31) << 8) | byte
    for (bits += 8; bits >= 5 && text.length < KEY_CHARACTERS; bits -= 5) text += BASE32.charAt((held >>> (bits - 5)) & 31)
    if (text.length === KEY_CHARACTERS) break
  }
  return text
}

/** Part of every text hash: raised when the projection or the chunker would give other chunks for the same message. */
export const PROJECTION_VERSION = 1

/** 16 bytes in hex. Covers the version and every chunk with its length, so moved boundaries count as a change. */
export function textHashOf(chunks: readonly string[]): string {
  const hash = createHash('sha256').update(`${PROJECTION_VERSION}:${chunks.length}`)
  for (const chunk of chunks) hash.update(`|${Buffer.byteLength(chunk)}:`).update(chunk)
  return hash.digest('hex').slice(0, 32)
}
