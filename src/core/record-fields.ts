/** The optional fields of sessions, messages, projects, todos and file diffs, with what they may hold. */
import { document, type Field, type Fields, fieldsOf, flag, list, number, object, text, tokens, whole } from './fields.js'

const fileDiff = whole({ additions: 0, deletions: 0 }, { file: text, path: text, before: text, after: text, patch: text, status: text })
const snapshot = object({}, { start: text, end: text, files: list(text) })

export const DIFF_ITEM: Field = fileDiff
export const TODO_ITEM: Field = whole({ content: '', status: '', priority: '' }, { id: text })

export const SESSION_FIELDS: Fields = fieldsOf({
  slug: text,
  workspaceID: text,
  path: text,
  forkSessionID: text,
  forkBoundary: text,
  forkMessageID: text,
  summary: object({}, { additions: number, deletions: number, files: number, diffs: list(fileDiff) }),
  share: object({ url: 'string' }),
  cost: number,
  tokens,
  agent: text,
  model: object({ id: 'string', providerID: 'string' }, { variant: text }),
  metadata: document,
  permission: list(document),
  revert: object({ messageID: 'string' }, { partID: text, snapshot: text, diff: text }),
  idleOutcome: text,
  resumeAttempts: number,
  entries: number,
  label: text,
  tag: text,
  prompt: text,
})

export const SESSION_TIME_FIELDS: Fields = fieldsOf({ compacting: number, archived: number, idle: number, viewed: number, suspended: number })

export const USER_FIELDS: Fields = fieldsOf({
  agent: text,
  model: object({ providerID: 'string', modelID: 'string' }, { variant: text }),
  summary: object({}, { title: text, body: text, diffs: list(fileDiff) }),
  system: text,
  tools: document,
  type: text,
  description: text,
  skill: text,
  name: text,
  metadata: document,
})

export const ASSISTANT_FIELDS: Fields = fieldsOf({
  time: object({}, { completed: number, streamed: number }),
  parentID: text,
  modelID: text,
  providerID: text,
  mode: text,
  agent: text,
  path: object({ cwd: 'string', root: 'string' }),
  cost: number,
  tokens,
  summary: flag,
  finish: text,
  error: object({ name: 'string' }, { data: document }),
  variant: text,
  system: list(text),
  type: text,
  rawFinish: text,
  snapshot,
  retry: document,
  providerState: document,
  metadata: document,
  status: text,
  reason: text,
  recent: text,
})

export const PROJECT_FIELDS: Fields = fieldsOf({ vcs: text, name: text, icon: document, commands: document, sandboxes: list(text) })
