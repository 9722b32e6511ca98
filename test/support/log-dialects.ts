/** How each agent writes the corpus of log-sayings.ts to its logs. */
import type { Agent } from '../../src/core/keys.js'
import type { LogKind } from '../../src/storage/jsonl/open-logs.js'
import { claude, claudeByBlock, pi, piOne } from './log-dialects-chained.js'
import { codex, jcodeJournal, jcodeSnapshot } from './log-dialects-linear.js'
import type { SaidSession } from './log-sayings.js'

export interface RenderedLog {
  /** Relative to the root that the store opens. */
  readonly path: string
  readonly form: 'lines' | 'document'
  /** Without their ends; of a document one. */
  readonly lines: readonly string[]
}

export interface LogDialect {
  readonly name: string
  readonly kind: LogKind
  readonly agent: Agent
  /** Messages may follow any earlier one. */
  readonly hasTree: boolean
  /** Messages are named by what the log says. */
  readonly hasIds: boolean
  readonly provider: string
  readonly version: string
  /** Which field of a session names the one that it comes from. */
  readonly origin: 'parentID' | 'forkSessionID'
  /** Under which id a session is read. */
  idOf(session: SaidSession): string
  /** In the order of the store's files; a session that goes on adds lines to the last one, unless that is a document. */
  render(session: SaidSession): readonly RenderedLog[]
}

export const DIALECTS: readonly LogDialect[] = [pi, piOne, claude, claudeByBlock, codex, jcodeSnapshot, jcodeJournal]

/** The bytes of a rendered log, with what the session asks for: its line ends, a mark before it, blank lines in it. */
export function bytesOf({ form, lines }: RenderedLog, { newline = '\n', mark = false, blanks = false }: SaidSession): Buffer {
  if (form === 'document') return Buffer.from(lines.join(''))
  const text = lines.map((line, at) => `${line}${newline}${blanks && at % 2 === 1 ? ` \t${newline}${newline}` : ''}`).join('')
  return Buffer.from(`${mark ? '\ufeff' : ''}${text}`)
}
