/** Which agent wrote a log, told by the fields of its first lines. Nothing is parsed. */
import { closeSync, openSync, readSync } from 'node:fs'
import type { LogAgent } from './agent-places.js'
import { Skim } from './jsonl/skim.js'

/** So much of a file is looked at, in bytes. A line that is longer tells by what stands before. */
const HEAD = 64 * 1024

/** Undefined when no line tells. @throws the system's error when it cannot be read */
export function agentOfLog(path: string): LogAgent | undefined {
  const bytes = headOf(path)
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start)
    const end = newline < 0 ? bytes.length : newline
    const agent = agentOfLine(bytes, start, end)
    if (agent !== undefined) return agent
    start = end + 1
  }
  return undefined
}

/** True of the snapshot of a session of jcode: one object with messages, under an id of jcode's. @throws as `agentOfLog` does */
export function isSnapshot(path: string): boolean {
  const bytes = headOf(path)
  SNAPSHOT.run(bytes, startOf(bytes), bytes.length)
  const id = SNAPSHOT.text(0)
  return id?.startsWith('session_') === true && (SNAPSHOT.has(1) || SNAPSHOT.has(2))
}

const SNAPSHOT = new Skim({ id: 0, messages: 1, created_at: 2 })

/** The first bytes of a file, `most` at most. @throws the system's error when it cannot be read */
export function headOf(path: string, most = HEAD): Buffer {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(most)
    let length = 0
    for (let read = -1; read !== 0 && length < most; length += read) read = readSync(file, bytes, length, most - length, length)
    return bytes.subarray(0, length)
  } finally {
    closeSync(file)
  }
}

/** Behind a byte order mark. */
function startOf(bytes: Buffer): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
}

const TOP = [
  'type',
  'id',
  'parentId',
  'uuid',
  'parentUuid',
  'sessionId',
  'leafUuid',
  'payload',
  'record_type',
  'call_id',
  'role',
  'instructions',
] as const
const INNER = ['role', 'usage'] as const
type Field = (typeof TOP)[number] | `message.${(typeof INNER)[number]}` | 'append_messages'
const FIELDS: readonly Field[] = [...TOP, ...INNER.map((name) => `message.${name}` as const), 'append_messages']

const slotOf = (name: Field): number => FIELDS.indexOf(name)

const LINE = new Skim({
  ...Object.fromEntries(TOP.map((name) => [name, slotOf(name)])),
  message: Object.fromEntries(INNER.map((name) => [name, slotOf(`message.${name}`)])),
  append_messages: slotOf('append_messages'),
})

/** Types of lines that one agent alone writes. */
const TYPES: ReadonlyMap<string, LogAgent> = new Map([
  ...(['session', 'model_change', 'thinking_level_change', 'branch_summary'] as const).map((type) => [type, 'pi'] as const),
  ...(['user', 'assistant', 'summary', 'file-history-snapshot', 'queue-operation', 'attachment'] as const).map((type) => [type, 'claude'] as const),
  ...(['session_meta', 'turn_context', 'response_item', 'event_msg', 'function_call', 'function_call_output'] as const).map(
    (type) => [type, 'codex'] as const,
  ),
])

/** The agent that alone writes such a line; undefined where it does not tell. */
export function agentOfLine(bytes: Buffer, start: number, end: number): LogAgent | undefined {
  LINE.run(bytes, start === 0 ? startOf(bytes) : start, end)
  const has = (...names: readonly Field[]): boolean => names.some((name) => LINE.has(slotOf(name)))
  if (has('append_messages')) return 'jcode'
  // Lines of Codex before 0.32 stand bare, without an envelope, below a header with the instructions.
  if (has('payload', 'record_type', 'call_id') || (has('id') && has('instructions'))) return 'codex'
  if (has('sessionId', 'uuid', 'parentUuid', 'leafUuid')) return 'claude'
  const type = LINE.text(slotOf('type'))
  if (type === 'message') return has('message.role', 'parentId') ? 'pi' : has('role') ? 'codex' : undefined
  if (has('id') && has('parentId')) return 'pi'
  return (type === undefined ? undefined : TYPES.get(type)) ?? (has('message.usage') ? 'claude' : undefined)
}
