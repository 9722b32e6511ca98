/** Where the logs of agents are looked for, and what a path that somebody names is: told by names, else by first lines. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { logPlaces } from '../../src/storage/agent-places.js'
import { type Discovery, discoverStores, storesAt } from '../../src/storage/paths.js'
import { tempFolder } from '../support/temp.js'

const HOME = '/home/somebody'
const UUID = '4c6896e8-c09d-4a07-a043-211982967ba0'

/** First lines as agents write them, by the name of their case. */
const LINES = {
  pi: '{"type":"session","version":3,"id":"s","timestamp":"2026-01-05T00:00:44.376Z","cwd":"/w"}',
  'pi, an entry': '{"type":"model_change","id":"f7c7091e","parentId":null,"timestamp":"2026-05-12T01:02:27.667Z","provider":"p","modelId":"m"}',
  'pi, version 1': '{"type":"message","timestamp":"2025-12-08T22:41:05.306Z","message":{"role":"user","content":[]}}',
  claude: `{"parentUuid":null,"isSidechain":false,"cwd":"/w","sessionId":"${UUID}","type":"user","message":{"role":"user","content":"x"},"uuid":"u"}`,
  'claude, a title': '{"type":"summary","summary":"Title","leafUuid":"u"}',
  'claude, a snapshot of files': '{"type":"file-history-snapshot","messageId":"m","snapshot":{"payload":{"type":"x"}},"isSnapshotUpdate":false}',
  'claude, usage alone': '{"timestamp":"2026-02-03T08:00:00.000Z","message":{"usage":{"input_tokens":1}}}',
  codex: '{"timestamp":"2026-02-11T05:53:33.335Z","type":"session_meta","payload":{"id":"i","cwd":"/w"}}',
  'codex, before 0.32': '{"id":"i","timestamp":"2025-07-11T05:53:33.335Z","instructions":null,"git":{}}',
  'codex, a bare item': '{"type":"message","role":"user","content":[{"type":"input_text","text":"x"}]}',
  'codex, a bare call': '{"type":"function_call","name":"shell","arguments":"{}","call_id":"c"}',
  'codex, a bare state': '{"record_type":"state"}',
  jcode: '{"meta":{"status":"Active"},"append_messages":[]}',
} as const

const SNAPSHOT = '{"id":"session_fox_1767571244376","parent_id":null,"messages":[]}'

const KIND_OF: Readonly<Record<string, string>> = { pi: 'pi-jsonl', claude: 'claude-jsonl', codex: 'codex-jsonl', jcode: 'jcode-journal' }

/** A folder with these files; a name that ends with a slash is a folder. */
function folderWith(files: Readonly<Record<string, string>>): Disposable & { readonly path: string } {
  const folder = tempFolder()
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder.path, name)
    mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true })
    if (!name.endsWith('/')) writeFileSync(path, text)
  }
  return folder
}

/** Makes a folder that nobody can look into, root neither. */
function close(path: string): void {
  rmSync(path, { recursive: true })
  symlinkSync(path, path)
}

/** Kinds and paths below the folder. */
function namesIn(folder: string, { places, issues }: Discovery): string[] {
  expect(issues).toEqual([])
  return places.map(({ kind, path }) => `${kind} ${path.slice(folder.length + 1)}`.trim())
}

const HOME_FILES = {
  '.pi/agent/sessions/': '',
  '.claude/projects/': '',
  '.config/claude/projects/': '',
  '.codex/sessions/': '',
  '.jcode/sessions/': '',
  '.local/share/opencode/storage/session/': '',
}
const HOME_PLACES = [
  'opencode-json .local/share/opencode/storage',
  'pi-jsonl .pi/agent/sessions',
  'claude-jsonl .claude/projects',
  'claude-jsonl .config/claude/projects',
  'codex-jsonl .codex',
  'jcode-journal .jcode/sessions',
]

describe('where logs are looked for', () => {
  const pathsOf = (env: Readonly<Record<string, string>>, kind: string): string[] =>
    logPlaces(env, HOME).flatMap((place) => (place.kind === kind ? [place.path] : []))

  it('is in the home', () => {
    expect(logPlaces({}, HOME).map(({ path }) => path)).toEqual([
      '/home/somebody/.pi/agent/sessions',
      '/home/somebody/.claude/projects',
      '/home/somebody/.config/claude/projects',
      '/home/somebody/.codex',
      '/home/somebody/.jcode/sessions',
    ])
  })

  it("is where the agents' own variables say instead; an empty one says nothing", () => {
    expect(pathsOf({ PI_CODING_AGENT_DIR: '/pi' }, 'pi-jsonl')).toEqual(['/pi/sessions'])
    expect(pathsOf({ PI_CODING_AGENT_DIR: '~/pi' }, 'pi-jsonl')).toEqual(['/home/somebody/pi/sessions'])
    expect(pathsOf({ PI_CODING_AGENT_SESSION_DIR: '~/s', PI_CODING_AGENT_DIR: '/pi' }, 'pi-jsonl')).toEqual(['/home/somebody/s'])
    expect(pathsOf({ CLAUDE_CONFIG_DIR: '/c' }, 'claude-jsonl')).toEqual(['/c/projects'])
    expect(pathsOf({ CLAUDE_CONFIG_DIR: '/a, /b,,' }, 'claude-jsonl')).toEqual(['/a/projects', '/b/projects'])
    expect(pathsOf({ XDG_CONFIG_HOME: '/x' }, 'claude-jsonl')).toEqual(['/home/somebody/.claude/projects', '/x/claude/projects'])
    expect(pathsOf({ CODEX_HOME: '/codex' }, 'codex-jsonl')).toEqual(['/codex'])
    expect(pathsOf({ JCODE_HOME: '/jcode' }, 'jcode-journal')).toEqual(['/jcode/sessions'])
    const empty = { PI_CODING_AGENT_DIR: '', CLAUDE_CONFIG_DIR: ' ', CODEX_HOME: '', JCODE_HOME: '' }
    expect(logPlaces(empty, HOME)).toEqual(logPlaces({}, HOME))
  })

  it('takes a folder with a comma in its name for one', () => {
    using folder = folderWith({ 'a,b/projects/': '' })
    expect(pathsOf({ CLAUDE_CONFIG_DIR: join(folder.path, 'a,b') }, 'claude-jsonl')).toEqual([join(folder.path, 'a,b', 'projects')])
  })
})

describe('discovery', () => {
  it('finds every agent whose folder is there, and no other', () => {
    using home = folderWith(HOME_FILES)
    expect(namesIn(home.path, discoverStores({}, home.path))).toEqual(HOME_PLACES)
    using one = folderWith({ '.codex/archived_sessions/': '', '.pi/agent/': '', '.claude/': '', '.jcode/sessions': 'a file' })
    expect(namesIn(one.path, discoverStores({}, one.path))).toEqual(['codex-jsonl .codex'])
  })

  it('finds a folder once that two paths lead to', () => {
    using home = folderWith({ '.claude/projects/': '', '.config/': '' })
    symlinkSync(join(home.path, '.claude'), join(home.path, '.config', 'claude'))
    expect(namesIn(home.path, discoverStores({}, home.path))).toEqual(['claude-jsonl .claude/projects'])
  })

  it('looks for the agents alone that are wanted', () => {
    using home = folderWith(HOME_FILES)
    const found = discoverStores({}, home.path, (agent) => agent === 'pi' || agent === 'opencode')
    expect(namesIn(home.path, found)).toEqual(HOME_PLACES.slice(0, 2))
  })

  it('names a folder that cannot be looked into, and finds the others', () => {
    using home = folderWith(HOME_FILES)
    close(join(home.path, '.codex'))
    const found = discoverStores({}, home.path)
    expect(found.places.map(({ kind }) => kind)).toEqual(['opencode-json', 'pi-jsonl', 'claude-jsonl', 'claude-jsonl', 'jcode-journal'])
    expect(found.issues).toMatchObject([{ code: 'STORE_UNREADABLE', path: join(home.path, '.codex') }])
    expect(discoverStores({}, home.path, (agent) => agent === 'pi').issues).toEqual([])
  })
})

describe('a path that somebody names', () => {
  const at = (folder: string, ...names: string[]): string[] => namesIn(folder, storesAt([join(folder, ...names)]))

  it('may be a home with several agents', () => {
    using home = folderWith(HOME_FILES)
    expect(at(home.path)).toEqual(HOME_PLACES)
  })

  it("may be an agent's home, its folder of sessions, or that of a project, whatever is in it", () => {
    using home = folderWith({ ...HOME_FILES, '.pi/agent/sessions/--w--/': '', '.claude/projects/-w/': '' })
    expect(at(home.path, '.pi')).toEqual(['pi-jsonl .pi/agent/sessions'])
    expect(at(home.path, '.pi', 'agent')).toEqual(['pi-jsonl .pi/agent/sessions'])
    expect(at(home.path, '.pi', 'agent', 'sessions')).toEqual(['pi-jsonl .pi/agent/sessions'])
    expect(at(home.path, '.pi', 'agent', 'sessions', '--w--')).toEqual(['pi-jsonl .pi/agent/sessions/--w--'])
    expect(at(home.path, '.claude')).toEqual(['claude-jsonl .claude/projects'])
    expect(at(home.path, '.claude', 'projects', '-w')).toEqual(['claude-jsonl .claude/projects/-w'])
    expect(at(home.path, '.codex')).toEqual(['codex-jsonl .codex'])
    expect(at(home.path, '.codex', 'sessions')).toEqual(['codex-jsonl .codex/sessions'])
    expect(at(home.path, '.jcode')).toEqual(['jcode-journal .jcode/sessions'])
    expect(at(home.path, '.jcode', 'sessions')).toEqual(['jcode-journal .jcode/sessions'])
  })

  it('is told by the names in it where it is a copy under another name', () => {
    using copy = folderWith({
      'a/sessions/2026/03/06/rollout-2026-03-06T00-00-27-x.jsonl': '',
      'b/sessions/session_fox_1.json': '',
      'c/agent/sessions/--w--/': '',
      'd/2026-04-05T00-00-00-530Z_e8cb.jsonl': '',
      'e/rollout-2026-03-06T00-00-27-x.jsonl.zst': '',
      'f/archived_sessions/rollout-2026-03-06T00-00-27-x.jsonl': '',
    })
    expect(at(copy.path, 'a')).toEqual(['codex-jsonl a'])
    expect(at(copy.path, 'a', 'sessions')).toEqual(['codex-jsonl a/sessions'])
    expect(at(copy.path, 'b')).toEqual(['jcode-journal b/sessions'])
    expect(at(copy.path, 'c')).toEqual(['pi-jsonl c/agent/sessions'])
    expect(at(copy.path, 'd')).toEqual(['pi-jsonl d'])
    expect(at(copy.path, 'e')).toEqual(['codex-jsonl e'])
    expect(at(copy.path, 'f')).toEqual(['codex-jsonl f'])
  })

  it.each(Object.entries(LINES))('is told by the first lines: %s', (name, line) => {
    const kind = KIND_OF[name.split(',')[0] ?? '']
    const strange = '{"odd":1}\n\nno JSON\n[1]\n'
    using folder = folderWith({ 'x/a.jsonl': `${line}\n`, 'y/p/a.jsonl': `${strange}${line}\n`, 'z/projects/p/s/a.jsonl': `\ufeff${line}` })
    expect(at(folder.path, 'x')).toEqual([`${kind} x`])
    expect(at(folder.path, 'y')).toEqual([`${kind} y`])
    expect(at(folder.path, 'z')).toEqual([`${kind} z/projects`])
    expect(at(folder.path, 'x', 'a.jsonl')).toEqual([`${kind} x/a.jsonl`])
  })

  it('is told by a first line that is longer than what is looked at', () => {
    const long = `{"type":"session_meta","payload":{"id":"i","base_instructions":"${'x'.repeat(100_000)}"}}`
    using folder = folderWith({ 'a.jsonl': long, 'b.jsonl': `{"sessionId":"s","type":"user","message":{"content":"${'x'.repeat(100_000)}"}}` })
    expect(at(folder.path, 'a.jsonl')).toEqual(['codex-jsonl a.jsonl'])
    expect(at(folder.path, 'b.jsonl')).toEqual(['claude-jsonl b.jsonl'])
  })

  it('is told by a log among others that were only just begun, and beside a link that leads round in a circle', () => {
    const begun = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`logs/${at}.jsonl`, '']))
    using home = folderWith({ ...begun, 'logs/x.jsonl': LINES.claude })
    symlinkSync('round', join(home.path, 'logs', 'round'))
    expect(namesIn(home.path, storesAt([join(home.path, 'logs')]))).toEqual(['claude-jsonl logs'])
  })

  it('may be one log by its name, or a snapshot with its journal', () => {
    using folder = folderWith({
      'rollout-x.jsonl.zst': 'packed',
      '2026-04-05T00-00-00-530Z_e8cb.jsonl': '',
      'session_fox_1.json': SNAPSHOT,
      'session_fox_1.journal.jsonl': '',
      'session_owl_2.journal.jsonl': '',
      'copy.json': SNAPSHOT,
    })
    expect(at(folder.path, 'rollout-x.jsonl.zst')).toEqual(['codex-jsonl rollout-x.jsonl.zst'])
    expect(at(folder.path, '2026-04-05T00-00-00-530Z_e8cb.jsonl')).toEqual(['pi-jsonl 2026-04-05T00-00-00-530Z_e8cb.jsonl'])
    expect(at(folder.path, 'session_fox_1.json')).toEqual(['jcode-journal session_fox_1.json'])
    expect(at(folder.path, 'session_fox_1.journal.jsonl')).toEqual(['jcode-journal session_fox_1.json'])
    expect(at(folder.path, 'session_owl_2.journal.jsonl')).toEqual(['jcode-journal session_owl_2.journal.jsonl'])
    expect(at(folder.path, 'copy.json')).toEqual(['jcode-journal copy.json'])
  })

  it('is STORE_MISSING where nothing tells an agent, and the sentence says what was looked for', () => {
    using folder = folderWith({
      'a.jsonl': '{"odd":1}\n',
      'b.json': '{"id":"session","messages":[]}',
      'c/auth.json': SNAPSHOT,
      '.codex/auth.json': '{}',
    })
    const issueAt = (name: string) => storesAt([join(folder.path, name)]).issues
    for (const name of ['a.jsonl', 'b.json', 'c/auth.json']) {
      expect(issueAt(name)).toMatchObject([
        { code: 'STORE_MISSING', reason: expect.stringMatching(/none of a log of pi, Claude Code, Codex or jcode/) },
      ])
    }
    for (const name of ['c', '.codex']) {
      expect(issueAt(name)).toMatchObject([
        { code: 'STORE_MISSING', reason: expect.stringMatching(/no data of OpenCode, no logs of pi, Claude Code/) },
      ])
    }
  })

  it('gives nothing of agents that are not wanted, and no issue', () => {
    using home = folderWith(HOME_FILES)
    expect(
      namesIn(
        home.path,
        storesAt([home.path, join(home.path, '.jcode')], (agent) => agent === 'jcode'),
      ),
    ).toEqual(['jcode-journal .jcode/sessions'])
    using other = folderWith({ '.claude/projects/': '' })
    expect(storesAt([other.path], (agent) => agent === 'pi')).toEqual({ places: [], issues: [] })
  })

  it('keeps what can be read of a home when one agent in it cannot', () => {
    using home = folderWith(HOME_FILES)
    close(join(home.path, '.jcode'))
    const found = storesAt([home.path])
    expect(found.places).toHaveLength(5)
    expect(found.issues).toMatchObject([{ code: 'STORE_UNREADABLE', path: join(home.path, '.jcode', 'sessions') }])
    expect(storesAt([join(home.path, '.jcode')]).issues).toMatchObject([{ code: 'STORE_UNREADABLE', path: join(home.path, '.jcode') }])
  })
})
