/** A session as people read it. */
import type { MessageNode, Part, SessionMeta, SessionOrigin, StageIssue, Usage } from '../index.js'
import { clip, count, formatTime, plain } from './output.js'
import type { Copies, Links } from './show-json.js'

const TOOL_OUTPUT_LINES = 12

export function sessionText(meta: SessionMeta, usage: Usage, total: number, shown: number, parent: Links['parent'], copies: Copies): string {
  const { cost, tokens } = usage
  const lines = [
    clip(meta.title || '(no title)', 200),
    `${meta.id}  ·  ${clip(meta.directory)}`,
    `${formatTime(meta.created)} to ${formatTime(meta.updated)}  ·  ${count(total, 'message')}${shown === total ? '' : `, the last ${shown} shown`}` +
      `  ·  $${cost.toFixed(4)}, ${tokens.input.toLocaleString('en')} in, ${tokens.output.toLocaleString('en')} out`,
    `${meta.source.kind}: ${clip(meta.source.path)}`,
    ...meta.hides.map((origin) => copyText(origin, copies)),
  ]
  if (parent !== undefined) lines.push(`started by ${clip(parent.id)}${parent.missing ? ', which no store holds' : ''}`)
  if (meta.damaged) lines.push("! The session's own record is damaged; what stands above is of a hidden copy, or told by the messages.")
  return `${lines.join('\n')}\n`
}

function copyText({ kind, path }: SessionOrigin, copies: Copies): string {
  const line = `also in: ${kind} (${clip(path)}), hidden`
  const copy = copies?.find(({ source }) => source.kind === kind && source.path === path)
  if (copy === undefined) return line
  const { onlyIn, conflicts } = copy
  const told = [
    ...(onlyIn.messages.length > 0 ? [`${count(onlyIn.messages.length, 'message')} only there`] : []),
    ...(onlyIn.parts.length > 0 ? [`${count(onlyIn.parts.length, 'part')} only there`] : []),
    ...(conflicts.length > 0 ? [`${count(conflicts.length, 'record')} different there`] : []),
  ]
  return `${line}: ${told.length === 0 ? 'it holds nothing else' : told.join(', ')}`
}

/** The sessions that this one started; '' for none. */
export function linksText({ children }: Links): string {
  return children.map(({ session, missing }) => `└ started ${clip(session)}${missing ? ', which no store holds' : ''}`).join('\n')
}

/** The path of a file names its record; that of a database does not. */
export function issueText({ code, reason, path = '', key }: StageIssue): string {
  const id = key === undefined ? '' : key.kind === 'part' ? key.part : key.kind === 'message' ? key.message : key.session
  const place = path.includes(id) ? path : `${path} ${id}`
  return `! ${code}: ${clip(reason)} (${clip(place)})`
}

export function messageText({ key, message, parts, damagedParts }: MessageNode): string {
  const time = message === undefined || message.role === 'unknown' ? '' : formatTime(message.time.created)
  const author = message === undefined ? 'damaged message' : message.role === 'assistant' ? `assistant ${message.modelID ?? ''}`.trim() : message.role
  const body = parts.map(partText).filter((text) => text !== '')
  if (message?.role === 'assistant' && message.error !== undefined)
    body.push(`! ${clip(message.error.name, 80)}: ${clip(errorMessage(message.error.data), 300)}`)
  if (damagedParts > 0) body.push(`! ${count(damagedParts, 'damaged part')}`)
  return `── ${clip(author, 120)}  ${time}  ${key.message}\n${body.join('\n')}\n`
}

function partText(part: Part): string {
  switch (part.type) {
    case 'text':
      return plain(part.text).trimEnd()
    case 'reasoning':
      return plain(part.text).trim().replace(/^/gm, '  ~ ')
    case 'tool':
      return toolText(part)
    case 'file':
      return `[file ${clip(part.filename ?? part.mime, 200)}]`
    case 'patch':
      return part.files.map((file) => `[changed ${clip(file, 200)}]`).join('\n')
    case 'subtask':
      return `[subtask ${clip(part.description ?? '', 200)}] ${plain(part.prompt)}`
    case 'agent':
      return `[agent ${clip(part.name, 200)}]`
    case 'retry':
      return `[retry ${clip(part.attempt, 20)}]`
    case 'compaction':
      return '[the conversation was compacted here]'
    case 'unknown':
      return `[part of the unknown kind ${clip(JSON.stringify(part.raw.type), 80)}]`
    default:
      return ''
  }
}

function toolText(part: Extract<Part, { type: 'tool' }>): string {
  const { state } = part
  const title = state.status === 'completed' || state.status === 'running' ? (state.title ?? '') : ''
  const head = `[${clip(part.tool, 80)}: ${state.status}] ${clip(title || JSON.stringify(state.input ?? ''), 160)}`
  const result = state.status === 'completed' ? state.output : state.status === 'error' ? state.error : ''
  const lines = plain(result).trimEnd().split('\n')
  const more = lines.length > TOOL_OUTPUT_LINES ? [`  … ${count(lines.length - TOOL_OUTPUT_LINES, 'more line')}`] : []
  return [
    head,
    ...lines
      .slice(0, TOOL_OUTPUT_LINES)
      .filter((line) => line !== '')
      .map((line) => `  ${clip(line, 300)}`),
    ...more,
  ].join('\n')
}

function errorMessage(data: unknown): string {
  return typeof data === 'object' && data !== null && 'message' in data ? String(data.message) : ''
}
