/** A session as people read it. */
import type { MessageId, MessageNode, Part, SessionMeta, SessionOrigin, StageIssue, Usage } from '../index.js'
import { clip } from './columns.js'
import { count, formatTime, placeOf, plain } from './output.js'
import type { Copies, Links } from './show-json.js'

const TOOL_OUTPUT_LINES = 12

/** Of all messages those of the active branch, and of these the last ones, as far as not all are shown. */
export interface ShownCount {
  readonly total: number
  readonly branch: number
  readonly shown: number
}

export function sessionText(meta: SessionMeta, usage: Usage, counts: ShownCount, parent: Links['parent'], copies: Copies): string {
  const { cost, tokens } = usage
  const lines = [
    clip(`${meta.label === undefined ? '' : `[${meta.label}] `}${meta.title || '(no title)'}`, 200),
    [meta.id, ...authorOf(meta), clip(meta.directory)].join('  ·  '),
    `${formatTime(meta.created)} to ${formatTime(meta.updated)}  ·  ${countText(counts)}` +
      `  ·  ${costText(meta, cost)}${tokens.input.toLocaleString('en')} in, ${tokens.output.toLocaleString('en')} out`,
    `${meta.source.kind}: ${clip(meta.source.path)}`,
    ...meta.hides.map((origin) => copyText(origin, copies)),
  ]
  if (parent !== undefined) lines.push(`started by ${clip(parent.session)}${parent.missing ? ', which no store holds' : ''}`)
  if (meta.damaged) lines.push("! The session's own record is damaged; what stands above is of a hidden copy, or told by the messages.")
  return `${lines.join('\n')}\n`
}

/** Logs that tell no cost are not of sessions that were free. */
function costText({ key }: SessionMeta, cost: number): string {
  return cost === 0 && key.agent !== 'opencode' ? '' : `$${cost.toFixed(4)}, `
}

/** The agent and its model, where that is not OpenCode. */
function authorOf({ key, model }: SessionMeta): readonly string[] {
  if (key.agent === 'opencode') return []
  return [
    key.agent,
    ...(model === undefined ? [] : [clip([model.providerID, model.id].filter((name) => name !== '' && name !== 'unknown').join('/'), 100)]),
  ]
}

function countText({ total, branch, shown }: ShownCount): string {
  const active = branch === total ? [] : [`${branch.toLocaleString('en')} of them of the active branch`]
  return [count(total, 'message'), ...active, ...(shown === branch ? [] : [`the last ${shown} shown`])].join(', ')
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
export function issueText(issue: StageIssue): string {
  const { code, reason, path = '', key } = issue
  const id = key === undefined ? '' : key.kind === 'part' ? key.part : key.kind === 'message' ? key.message : key.session
  const place = issue.line !== undefined || path.includes(id) ? placeOf(issue) : `${path} ${id}`
  return `! ${code}: ${clip(reason)} (${clip(place)})`
}

/** `active`: the messages of the active branch. */
export function messageText({ key, message, parts, damagedParts, log }: MessageNode, active?: ReadonlySet<MessageId>): string {
  const time = message === undefined || message.role === 'unknown' ? '' : formatTime(message.time.created)
  const author = message === undefined ? 'damaged message' : message.role === 'assistant' ? `assistant ${message.modelID ?? ''}`.trim() : message.role
  const body = parts.map(partText).filter((text) => text !== '')
  if (message?.role === 'assistant' && message.error !== undefined)
    body.push(`! ${clip(message.error.name, 80)}: ${clip(errorMessage(message.error.data), 300)}`)
  if (damagedParts > 0) body.push(`! ${count(damagedParts, 'damaged part')}`)
  const isAside = log !== undefined && log.trait === undefined && active?.has(key.message) === false
  const mark = isAside ? 'other branch' : log?.trait === undefined || log.trait === 'damaged' ? '' : log.trait
  const head = [`── ${clip(author, 120)}`, time, key.message, mark === '' ? '' : `[${mark}]`].filter((word) => word !== '').join('  ')
  return `${head}\n${body.join('\n')}\n`
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
