/** The kinds of lines in Codex's logs, as their bytes tell them, and why some say nothing of the conversation. */
import type { Fields } from './line-fields.js'
import { Words } from './words.js'

/** What is left out says why. */
export interface Reason {
  readonly reason: string
}

export const COPIES: Reason = { reason: 'copies of messages as events' }
export const COUNTS: Reason = { reason: 'token counts' }
export const TURNS: Reason = { reason: 'marks of turns' }
export const ROLLBACKS: Reason = { reason: 'marks of turns that were taken back' }
export const EVENTS: Reason = { reason: 'events' }
export const HEAD: Reason = { reason: 'the head of the log' }
const NOTES: Reason = { reason: 'notes on letters between agents' }
const TOOLS: Reason = { reason: 'events of tools' }
const SNAPSHOTS: Reason = { reason: 'snapshots of files' }

export type LineKind = 'item' | 'event' | 'context' | 'head' | 'compacted' | 'letter' | Reason

export const LINES = new Words<LineKind>({
  response_item: 'item',
  event_msg: 'event',
  turn_context: 'context',
  session_meta: 'head',
  compacted: 'compacted',
  world_state: { reason: 'states of the surroundings' },
  ghost_snapshot: SNAPSHOTS,
  token_usage_record: COUNTS,
  security_risk_score: { reason: 'scores of risk' },
  retained_context: { reason: 'what a compaction kept' },
  rollout_reference: { reason: 'references to other logs' },
  inter_agent_communication: 'letter',
  inter_agent_communication_metadata: NOTES,
})

/** Where the type stands in a line that begins as Codex writes it: `{"timestamp":"2026-01-20T15:03:49.065Z","type":"event_msg"`. */
const TYPE_START = 48
const LETTER_E = 0x65

/** A look that costs nothing, and may err. */
export function mayBeEvent(bytes: Buffer, start: number): boolean {
  return bytes[start + TYPE_START] === LETTER_E
}

/** 'call' and 'output' go by their call_id; 'model' is what the model says besides; a 'letter' comes from another agent. */
export type ItemKind = 'message' | 'model' | 'call' | 'output' | 'compaction' | 'letter' | Reason

const ITEMS = new Words<ItemKind>({
  message: 'message',
  reasoning: 'model',
  function_call: 'call',
  custom_tool_call: 'call',
  local_shell_call: 'call',
  web_search_call: 'call',
  tool_search_call: 'call',
  image_generation_call: 'call',
  function_call_output: 'output',
  custom_tool_call_output: 'output',
  tool_search_output: 'output',
  agent_message: 'letter',
  compaction: 'compaction',
  compaction_summary: 'compaction',
  context_compaction: 'compaction',
  ghost_snapshot: SNAPSHOTS,
  additional_tools: { reason: 'tools on offer' },
})

/** Undefined: an item of a kind that is not known. */
export function itemKind(found: Fields, slot: number): ItemKind | undefined {
  const known = found.word(ITEMS, slot)
  if (known !== undefined) return known
  const name = found.text(slot)
  return name?.endsWith('_call') ? 'call' : name?.endsWith('_output') ? 'output' : undefined
}

export type Role = 'user' | 'assistant' | 'told'

export const ROLES = new Words<Role>({ user: 'user', assistant: 'assistant', developer: 'told', system: 'told' })

export type EventKind = 'user' | 'agent' | 'thought' | 'usage' | 'started' | 'complete' | 'aborted' | 'rolled back' | Reason

const toolEvents = [
  'exec_command',
  'patch_apply',
  'mcp_tool_call',
  'web_search',
  'image_generation',
  'collab_agent_spawn',
  'collab_agent_interaction',
]
const collabEvents = ['collab_waiting', 'collab_close', 'collab_resume', 'sub_agent_activity', 'view_image_tool_call']
const toolWords = [
  ...toolEvents.flatMap((name) => [`${name}_begin`, `${name}_end`]),
  ...collabEvents.flatMap((name) => [name, `${name}_begin`, `${name}_end`]),
]

/** What is no known word is counted among the events. */
export const EVENT_KINDS = new Words<EventKind>({
  ...Object.fromEntries(toolWords.map((name) => [name, TOOLS])),
  user_message: 'user',
  agent_message: 'agent',
  agent_reasoning: 'thought',
  agent_reasoning_raw_content: COPIES,
  token_count: 'usage',
  task_started: 'started',
  turn_started: 'started',
  task_complete: 'complete',
  turn_complete: 'complete',
  turn_aborted: 'aborted',
  thread_rolled_back: 'rolled back',
  context_compacted: { reason: 'copies of compactions as events' },
  thread_name_updated: { reason: 'names of the session' },
  exec_command_output_delta: TOOLS,
  patch_apply_updated: TOOLS,
  entered_review_mode: { reason: 'marks of reviews' },
  exited_review_mode: { reason: 'marks of reviews' },
  thread_goal_updated: { reason: 'goals of the session' },
})
