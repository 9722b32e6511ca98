/** A home in which five agents keep a session each, as they write them: small, with a branch, a subagent, and secrets beside. */
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { conversation, corpusSession } from './corpus.js'
import { jsonFixture } from './store-fixtures.js'
import { tempFolder } from './temp.js'

/** The session of pi and that of Claude Code. */
export const SHARED_ID = '4c6896e8-c09d-4a07-a043-211982967ba0'
export const CODEX_ID = '5f079974-60c2-431f-aa88-b711cab0dbbc'
export const JCODE_ID = 'session_fox_1767571244376'
const START = Date.parse('2026-01-05T00:00:00.000Z')

const at = (minute: number): string => new Date(START + minute * 60_000).toISOString()

const PI = [
  { type: 'session', version: 3, id: SHARED_ID, timestamp: at(0), cwd: '/srv/sky' },
  { type: 'model_change', id: 'aaaaaaa0', parentId: null, timestamp: at(0), provider: 'anthropic', modelId: 'claude-opus-4-5' },
  piMessage('aaaaaaa1', 'aaaaaaa0', 1, { role: 'user', content: 'Which star is this?' }),
  piMessage('aaaaaaa2', 'aaaaaaa1', 2, piAnswer('The first answer.')),
  piMessage('aaaaaaa3', 'aaaaaaa1', 3, piAnswer('Another answer.')),
  { type: 'session_info', id: 'aaaaaaa4', parentId: 'aaaaaaa3', timestamp: at(3), name: 'The star' },
]

function piMessage(id: string, parentId: string, minute: number, message: object): object {
  return { type: 'message', id, parentId, timestamp: at(minute), message: { ...message, timestamp: START + minute * 60_000 } }
}

function piAnswer(text: string): object {
  const usage = { input: 10, output: 5, cacheRead: 0, cacheWrite: 0, totalTokens: 15, cost: { total: 0.01 } }
  return { role: 'assistant', content: [{ type: 'text', text }], provider: 'anthropic', model: 'claude-opus-4-5', usage, stopReason: 'stop' }
}

const CLAUDE = [
  { type: 'summary', summary: 'The moon', leafUuid: 'bbbbbbb2' },
  claudeLine('bbbbbbb1', null, 11, 'user', { role: 'user', content: 'Which moon is this?' }),
  claudeLine('bbbbbbb2', 'bbbbbbb1', 12, 'assistant', {
    id: 'msg_1',
    role: 'assistant',
    model: 'claude-opus-4-5',
    content: [{ type: 'text', text: 'Io.' }],
    stop_reason: 'end_turn',
    usage: { input_tokens: 10, output_tokens: 5 },
  }),
  claudeLine('bbbbbbb3', null, 13, 'user', { role: 'user', content: 'Look it up.' }, true),
]

function claudeLine(uuid: string, parentUuid: string | null, minute: number, type: string, message: object, isSidechain = false): object {
  return {
    parentUuid,
    isSidechain,
    userType: 'external',
    cwd: '/srv/sky',
    sessionId: SHARED_ID,
    version: '2.1.0',
    type,
    message,
    uuid,
    timestamp: at(minute),
  }
}

const CODEX = [
  codexLine(21, 'session_meta', {
    id: CODEX_ID,
    timestamp: at(21),
    cwd: '/srv/sky',
    originator: 'codex_cli_rs',
    cli_version: '0.80.0',
    source: 'cli',
  }),
  codexLine(21, 'turn_context', { cwd: '/srv/sky', model: 'gpt-5.1-codex' }),
  codexLine(21, 'response_item', { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Which comet is this?' }] }),
  codexLine(22, 'response_item', { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Halley.' }] }),
]

function codexLine(minute: number, type: string, payload: object): object {
  return { timestamp: at(minute), type, payload }
}

const JCODE = {
  id: JCODE_ID,
  parent_id: null,
  title: 'The sun',
  created_at: at(31),
  updated_at: at(32),
  working_dir: '/srv/sky',
  model: 'claude-opus-4-5',
  status: 'Closed',
  saved: true,
  save_label: 'kept',
  messages: [
    { id: 'message_1_1', role: 'user', timestamp: at(31), content: [{ type: 'text', text: 'Which sun is this?' }] },
    { id: 'message_1_2', role: 'assistant', timestamp: at(32), content: [{ type: 'text', text: 'Ours.' }] },
  ],
}

/** Below the home. */
export const LOGS = {
  pi: `.pi/agent/sessions/--srv-sky--/2026-01-05T00-00-00-000Z_${SHARED_ID}.jsonl`,
  claude: `.claude/projects/-srv-sky/${SHARED_ID}.jsonl`,
  codex: `.codex/sessions/2026/01/05/rollout-2026-01-05T00-21-00-${CODEX_ID}.jsonl`,
  jcode: `.jcode/sessions/${JCODE_ID}.json`,
} as const

/** What nobody may open. */
export const SECRETS = [
  '.pi/agent/auth.json',
  '.claude/.credentials.json',
  '.codex/auth.json',
  '.codex/history.jsonl',
  '.jcode/auth.json',
  '.local/share/opencode/auth.json',
] as const

export interface AgentHome extends Disposable {
  readonly path: string
  readonly opencode: string
}

export function agentHome(): AgentHome {
  const folder = tempFolder()
  const write = (name: string, text: string, mode = 0o644): void => {
    const path = join(folder.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    chmodSync(path, mode)
  }
  const lines = (documents: readonly object[]): string => documents.map((document) => `${JSON.stringify(document)}\n`).join('')
  write(LOGS.pi, lines(PI))
  write(LOGS.claude, lines(CLAUDE))
  write(LOGS.codex, lines(CODEX))
  write(LOGS.jcode, JSON.stringify(JCODE))
  for (const name of SECRETS) write(name, '{"token":"do not read"}', 0)
  const session = corpusSession(START + 40 * 60_000, conversation(START + 41 * 60_000, 2))
  using tree = jsonFixture([session])
  cpSync(tree.path, join(folder.path, '.local', 'share', 'opencode', 'storage'), { recursive: true })
  return { path: folder.path, opencode: session.id, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}
