/** The records of a log as its bytes tell, worked out without the library: what a plan, a flow and a census must account for, each once. */
import { readFileSync } from 'node:fs'
import type { RenderedLog } from './log-dialects.js'

export interface LogPiece {
  readonly path: string
  /** Bytes from the start of the file, without what ends it. */
  readonly offset: number
  readonly length: number
  /** Counted from 1; in a document the place of the message. */
  readonly line: number
  /** Undefined: it is no whole object. */
  readonly document: Readonly<Record<string, unknown>> | undefined
}

/** The lines of a file that are not blank; NULs before a line are a piece of their own. Of a document its messages. */
export function piecesOf(path: string, form: RenderedLog['form'] = 'lines'): readonly LogPiece[] {
  const bytes = readFileSync(path)
  return form === 'document' ? messagesIn(path, bytes) : linePieces(path, bytes)
}

function linePieces(path: string, bytes: Buffer): readonly LogPiece[] {
  const pieces: LogPiece[] = []
  let line = 0
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start)
    const after = newline < 0 ? bytes.length : newline
    line++
    pieces.push(...piecesInLine(path, bytes, start, after, line))
    start = after + 1
  }
  return pieces
}

function piecesInLine(path: string, bytes: Buffer, from: number, to: number, line: number): readonly LogPiece[] {
  const end = to > from && bytes[to - 1] === 0x0d ? to - 1 : to
  let start = from
  while (start < end && bytes[start] === 0) start++
  const nuls = start > from ? [{ path, offset: from, length: start - from, line, document: undefined }] : []
  if (start === 0 && bytes.subarray(0, 3).equals(MARK)) start = 3
  if (/^[ \t\r]*$/.test(bytes.toString('latin1', start, end))) return nuls
  return [...nuls, { path, offset: start, length: end - start, line, document: objectIn(bytes.subarray(start, end)) }]
}

const MARK = Buffer.from([0xef, 0xbb, 0xbf])
const STRICT = new TextDecoder('utf-8', { fatal: true })

/** Of bytes that are one JSON object in UTF-8; a mark before it does no harm. */
export function objectIn(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(STRICT.decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Found by what they say: the writer of these documents puts no blanks between things. */
function messagesIn(path: string, bytes: Buffer): readonly LogPiece[] {
  const messages = (objectIn(bytes)?.messages ?? []) as readonly Record<string, unknown>[]
  let from = 0
  return messages.map((document, at) => {
    const text = Buffer.from(JSON.stringify(document))
    const offset = bytes.indexOf(text, from)
    from = offset + text.length
    return { path, offset, length: text.length, line: at + 1, document }
  })
}

/** So many records a census counts of a piece: an entry of jcode's journal is one for each message that it appends. */
export function recordsIn({ document }: LogPiece): number {
  const appended = document?.append_messages
  return Array.isArray(appended) ? Math.max(1, appended.length) : 1
}
