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
export const REVIEWS: Reason = { reason: 'marks of reviews' }
const NOTES: Reason = { reason: 'notes on letters between agents' }
const COMPACTIONS: Reason = { reason: 'copies of compactions as events' }
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

export type EventKind =
  | 'user'
  | 'agent'
  | 'thought'
  | 'item'
  | 'review'
  | 'usage'
  | 'started'
  | 'complete'
  | 'aborted'
  | 'error'
  | 'rolled back'
  | Reason

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

/** What the program tells whoever shows the session, and what it asks of them. */
const notices = [
  ...['session_configured', 'shutdown_complete', 'background_event', 'warning', 'guardian_warning', 'deprecation_notice', 'stream_error'],
  ...['model_reroute', 'model_verification', 'turn_diff', 'plan_update', 'plan_delta', 'raw_response_item', 'item_started'],
  ...['agent_message_delta', 'agent_message_content_delta', 'agent_reasoning_delta', 'agent_reasoning_section_break'],
  ...['agent_reasoning_raw_content_delta', 'reasoning_content_delta', 'reasoning_raw_content_delta', 'turn_moderation_metadata'],
  ...['mcp_startup_update', 'mcp_startup_complete', 'mcp_list_tools_response', 'list_custom_prompts_response', 'list_skills_response'],
  ...['list_remote_skills_response', 'remote_skill_downloaded', 'skills_update_available', 'get_history_entry_response'],
  ...['conversation_path', 'undo_started', 'undo_completed', 'hook_started', 'hook_completed', 'thread_settings_applied'],
  ...['exec_approval_request', 'apply_patch_approval_request', 'request_permissions', 'request_user_input', 'elicitation_request'],
  ...['guardian_assessment', 'realtime_conversation_started', 'realtime_conversation_realtime', 'realtime_conversation_closed'],
  ...['realtime_conversation_sdp', 'realtime_conversation_list_voices_response'],
]

export const EVENT_KINDS = new Words<EventKind>({
  ...Object.fromEntries(notices.map((name) => [name, EVENTS])),
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
  error: 'error',
  item_completed: 'item',
  thread_rolled_back: 'rolled back',
  context_compacted: COMPACTIONS,
  thread_name_updated: { reason: 'names of the session' },
  exec_command_output_delta: TOOLS,
  terminal_interaction: TOOLS,
  dynamic_tool_call_request: TOOLS,
  dynamic_tool_call_response: TOOLS,
  patch_apply_updated: TOOLS,
  entered_review_mode: REVIEWS,
  exited_review_mode: 'review',
  thread_goal_updated: { reason: 'goals of the session' },
})

/** What `item_completed` is of: a text, a copy of something that is told elsewhere, or what a tool did. */
export const EVENT_ITEMS = new Words<'plan' | 'agent' | Reason>({
  Plan: 'plan',
  AgentMessage: 'agent',
  UserMessage: COPIES,
  Reasoning: COPIES,
  HookPrompt: COPIES,
  ContextCompaction: COMPACTIONS,
  CommandExecution: TOOLS,
  FileChange: TOOLS,
  McpToolCall: TOOLS,
  DynamicToolCall: TOOLS,
  CollabAgentToolCall: TOOLS,
  SubAgentActivity: TOOLS,
  WebSearch: TOOLS,
  ImageView: TOOLS,
  ImageGeneration: TOOLS,
  Extension: TOOLS,
})
