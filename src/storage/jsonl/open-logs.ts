/** Opens the logs of an agent as a store. */
import type { Store } from '../store.js'
import { claudeAdapter } from './claude-log.js'
import { codexAdapter } from './codex-log.js'
import { jcodeAdapter } from './jcode-log.js'
import type { LogAdapter } from './log-adapter.js'
import { LogStore, type LogStoreOptions } from './log-store.js'
import { piAdapter } from './pi-log.js'

/** The kinds of stores that are logs. */
export const LOG_KINDS = ['pi-jsonl', 'claude-jsonl', 'codex-jsonl', 'jcode-journal'] as const
export type LogKind = (typeof LOG_KINDS)[number]

const ADAPTERS: Readonly<Record<LogKind, LogAdapter>> = {
  'pi-jsonl': piAdapter,
  'claude-jsonl': claudeAdapter,
  'codex-jsonl': codexAdapter,
  'jcode-journal': jcodeAdapter,
}

/** `path`: the root of the agent's sessions, or one log. Nothing is read until it is asked for. */
export function openLogStore(kind: LogKind, path: string, options: LogStoreOptions): Store {
  return new LogStore(ADAPTERS[kind], path, options)
}
