/**
 * Who wrote a log that stands among those of one agent, told by its first lines where no name tells: lines of another agent would be
 * misread.
 */
import type { Agent } from '../core/keys.js'
import { isNamedAs, type LogAgent } from './agent-places.js'
import { agentOfLine } from './log-sniff.js'

/** Lines that are asked. */
const MOST_LINES = 64

export interface Writer {
  /** Shows a line, the first one first. */
  see(bytes: Buffer, start: number, end: number): void
  /** Undefined where a line of the agent itself was among those that were shown, and where none told. */
  readonly other: LogAgent | undefined
}

/** Undefined where the name of the log, or the folder that it stands in, says that it is the agent's own. */
export function writerOf(path: string, own: Agent): Writer | undefined {
  if (isNamedAs(own, path)) return undefined
  let left = MOST_LINES
  let other: LogAgent | undefined
  return {
    see(bytes, start, end) {
      if (left === 0) return
      left--
      const agent = agentOfLine(bytes, start, end)
      if (agent === own) [left, other] = [0, undefined]
      else other ??= agent
    },
    get other() {
      return other
    },
  }
}
