#!/usr/bin/env node
// Makes examples/demo-store: one OpenCode data dir of a machine that upgraded, written by real binaries.
// The JSON sessions come from a 1.1 binary, the SQLite sessions from a 1.18 binary run on the same data
// dir. The model is a scripted stand-in on loopback, so nothing here needs the network.
// usage: node test/lab/make-demo-store.mjs --bin-json B1 --bin-sqlite B2
//          [--lab ../shared/tools/opencode-lab] [--root /home/dev] [--out examples/demo-store]
// Needs git, ripgrep and sqlite3. What the run puts below ROOT is removed at the end.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const SCREENPLAY = new URL('../../examples/demo-store/screenplay.txt', import.meta.url)
const SCRIPT = 'test/lab/make-demo-store.mjs'

// ---- the screenplay ------------------------------------------------------------------------------

/** One section of screenplay.txt, which explains its marks at its head. */
function section(name) {
  const sections = fs.readFileSync(SCREENPLAY, 'utf8').split(/^== /m)
  return sections.find((text) => text.startsWith(`${name}\n`)).slice(name.length)
}

/** What the project folders hold before the first session: { project: { file: text } }. */
function projects() {
  const lines = section('projects').trim().split('\n')
  const files = lines.map((line) => /^([^/]+)\/(\S+) (.*)$/.exec(line).slice(1))
  const textsOf = (project) => files.filter(([name]) => name === project).map(([, file, text]) => [file, JSON.parse(text)])
  return Object.fromEntries(files.map(([project]) => [project, Object.fromEntries(textsOf(project))]))
}

/** The scenes of one era: { name, project, title, acts: [[mark, rest], ...] }. */
function scenes(era) {
  return section(era)
    .split(/^@ /m)
    .slice(1)
    .map((scene) => {
      const [head, ...acts] = scene.trim().split('\n')
      const [, name, project, title] = /^(\S+) (\S+) \| (.*)$/.exec(head)
      return { name, project, title, acts: acts.map((act) => /^(\S+) (.*)$/.exec(act).slice(1)) }
    })
}

const STATUS = { done: 'completed', now: 'in_progress', next: 'pending' }

/** The model's tool call for one act; undefined when the act is none. */
function toolCall([mark, rest], dir, script) {
  if (mark === '$') return { name: 'bash', args: { command: rest.split(' # ')[0], description: rest.split(' # ')[1] } }
  if (mark === '*') {
    const [, name, json] = /^(\w+) (.*)$/.exec(rest)
    const args = JSON.parse(json)
    return { name, args: args.filePath ? { ...args, filePath: path.join(dir, args.filePath) } : args }
  }
  if (mark === '[]') {
    const todos = rest.split(', ').map((item, i) => {
      const [, word, content] = /^(\w+) (.*)$/.exec(item)
      return { id: String(i + 1), content, status: STATUS[word], priority: i ? 'medium' : 'high' }
    })
    return { name: 'todowrite', args: { todos } }
  }
  if (mark === '&') {
    const [subagent_type, description, prompt, tool, answer] = rest.split(' // ')
    script(prompt, [{ tools: [toolCall(/^(\S+) (.*)$/.exec(tool).slice(1), dir, script)] }, { text: answer }])
    return { name: 'task', args: { subagent_type, description, prompt } }
  }
}

/** Groups the acts of a scene into turns { prompt, steps, files, aborted } and actions { action }. */
function turns(acts, dir, script) {
  const out = []
  const files = []
  let pending = {}
  for (const act of acts) {
    const [mark, rest] = act
    if (mark === '!') out.push({ action: rest })
    else if (mark === '+') files.push(rest.replaceAll('\\n', '\n').split(' // '))
    else if (mark === '>' || mark === '>!') out.push({ prompt: rest, steps: [], files: files.splice(0), aborted: mark === '>!' })
    else if (mark === '~') pending.reasoning = rest
    else if (mark === '-') pending.text = rest
    else {
      const call = toolCall(act, dir, script)
      out.at(-1).steps.push({ ...pending, chunkMs: out.at(-1).aborted ? 3 * PACE : PACE, ...(call ? { tools: [call] } : { text: rest }) })
      pending = {}
    }
  }
  return out
}

// ---- the play ------------------------------------------------------------------------------------

/** The session that loses half of its last answer. */
const DAMAGED = 'cart-rounding'
/** Milliseconds between chunks of an answer: no faster than the git snapshots OpenCode takes around each step. */
const PACE = 30
const MODEL = { providerID: 'example', modelID: 'example-1' }
const SUMMARY = '## Summary\n\nThe options were compared and one was recommended. Open: the choice, then the change itself.'

/** Plays one scene on a running server and returns the ids it made. */
async function play(scene, { server, stub, lab, L }) {
  const dir = path.join(L.projects, scene.project)
  const api = (method, url, body) => server.api(method, url, body, { directory: dir })
  const { id } = await api('POST', '/session', { title: scene.title })
  const messages = () => api('GET', `/session/${id}/message`)
  for (const turn of turns(scene.acts, dir, stub.script)) {
    if (turn.action) await act(turn.action, { id, api, messages, stub })
    if (turn.action) continue
    stub.script(turn.prompt, turn.steps)
    const files = turn.files.map(([name, content]) => lab.dataFile(name, 'text/plain', content))
    const body = { model: MODEL, parts: [lab.text(turn.prompt), ...files] }
    await api('POST', `/session/${id}/${turn.aborted ? 'prompt_async' : 'message'}`, body)
    if (!turn.aborted) continue
    while (!(await messages()).some((m) => m.parts.some((p) => p.type === 'text' && m.info.role === 'assistant'))) await lab.sleep(PACE)
    await lab.sleep(25 * PACE) // a few words of the answer
    await api('POST', `/session/${id}/abort`)
  }
  const children = (await api('GET', `/session/${id}/children`)).map((c) => c.id).sort()
  return { name: scene.name, session: id, title: scene.title, project: scene.project, children }
}

async function act(action, { id, api, messages, stub }) {
  if (action === 'archive') return api('PATCH', `/session/${id}`, { time: { archived: Date.now() } })
  if (action === 'revert') {
    const prompt = (await messages()).filter((m) => m.info.role === 'user').at(-1)
    return api('POST', `/session/${id}/revert`, { messageID: prompt.info.id })
  }
  for (const request of ['prompt for continuing our conversation', 'anchored summary']) stub.script(request, [{ text: SUMMARY }])
  return api('POST', `/session/${id}/summarize`, MODEL)
}

async function runEra(bin, era, stage) {
  const { lab, L } = stage
  const server = await lab.startServer({ bin, L, cwd: path.join(L.projects, 'checkout') })
  const played = []
  try {
    for (const scene of scenes(era)) played.push(await play(scene, { ...stage, server }))
    await lab.sleep(2000) // late writes: diff summaries of the last turns
  } finally {
    await server.stop()
  }
  return played
}

// ---- from a data dir to the demo store -----------------------------------------------------------

const json = (file) => JSON.parse(fs.readFileSync(file, 'utf8'))

function filesUnder(dir) {
  const paths = fs.readdirSync(dir, { recursive: true }).map((name) => path.join(dir, name))
  return paths.filter((file) => fs.statSync(file).isFile()).sort()
}

/** Cuts the answer of the named session in half; the only record that is damaged. */
function damage(dataDir, sessionID) {
  const storage = path.join(dataDir, 'storage')
  const messages = filesUnder(path.join(storage, 'message', sessionID)).map(json)
  const answers = messages.filter((message) => message.role === 'assistant')
  const parts = answers.flatMap((answer) => filesUnder(path.join(storage, 'part', answer.id)))
  const file = parts.findLast((part) => json(part).type === 'text')
  fs.truncateSync(file, Math.floor(fs.statSync(file).size / 2))
  return path.relative(dataDir, file)
}

/** Keeps session storage alone: storage/** and opencode.db, with the write-ahead log folded in. */
function settle(dataDir) {
  execFileSync('sqlite3', [path.join(dataDir, 'opencode.db'), 'PRAGMA wal_checkpoint(TRUNCATE)'])
  for (const name of fs.readdirSync(dataDir))
    if (name !== 'storage' && name !== 'opencode.db') fs.rmSync(path.join(dataDir, name), { recursive: true })
}

/** Refuses a store that names the machine it was made on. */
function assertNeutral(dataDir, paths) {
  const names = [os.hostname(), os.homedir(), os.tmpdir(), ...paths].filter((name) => name.length > 3)
  for (const file of filesUnder(dataDir)) {
    const bytes = fs.readFileSync(file)
    const found = names.find((name) => bytes.includes(name))
    if (found) throw new Error(`${file} contains ${found}`)
  }
}

/** The file diffs in storage/session_diff of the given sessions; the newer binary writes there too, on a revert. */
function countDiffs(dataDir, sessionIDs) {
  const files = filesUnder(path.join(dataDir, 'storage', 'session_diff'))
  return files.filter((file) => sessionIDs.includes(path.basename(file, '.json'))).flatMap(json).length
}

/** Counts intact records; parts and orphans are disjoint, an orphan being a record whose owner is missing. */
function countJson(dataDir, damaged) {
  const intact = (file) => !damaged.includes(path.relative(dataDir, file))
  const of = (kind) =>
    filesUnder(path.join(dataDir, 'storage', kind))
      .filter(intact)
      .map(json)
  const sessions = of('session').map((session) => session.id)
  const [messages, strays] = partition(of('message'), (message) => sessions.includes(message.sessionID))
  const messageIDs = new Set(messages.map((message) => message.id))
  const [parts, lost] = partition(of('part'), (part) => messageIDs.has(part.messageID))
  const counts = { sessions: sessions.length, messages: messages.length, parts: parts.length, orphans: strays.length + lost.length }
  return { ...counts, todos: of('todo').flat().length, diffs: countDiffs(dataDir, sessions), projects: of('project').length }
}

const partition = (list, test) => [list.filter(test), list.filter((item) => !test(item))]

/** The same for the database, on a copy, so that reading leaves no -wal and -shm beside the original. */
function countSqlite(dataDir, scratch) {
  const copy = path.join(scratch, 'count.db')
  fs.copyFileSync(path.join(dataDir, 'opencode.db'), copy)
  const query = (sql) => execFileSync('sqlite3', ['-readonly', copy, sql], { encoding: 'utf8' }).trim()
  const count = (from) => Number(query(`SELECT count(*) FROM ${from}`))
  const sessions = query('SELECT id FROM session').split('\n')
  const messages = count('message WHERE session_id IN (SELECT id FROM session)')
  const parts = count('part WHERE message_id IN (SELECT id FROM message)')
  const counts = { sessions: sessions.length, messages, parts, orphans: count('message') - messages + count('part') - parts }
  return { ...counts, todos: count('todo'), diffs: countDiffs(dataDir, sessions), projects: count('project') }
}

function readme({ versions, json, sqlite, damaged, scenarios }) {
  const row = (name, c) => `| ${name} | ${c.sessions} | ${c.messages} | ${c.parts} | ${c.orphans} | ${c.todos} | ${c.diffs} | ${c.projects} |`
  return `# Demo store

\`opencode/\` is the data dir of a machine that upgraded OpenCode: \`storage/\` was written by ${versions.json},
\`opencode.db\` afterwards by ${versions.sqlite}, which leaves the JSON files alone. No session is in both. The
model's side of the conversations is scripted (\`screenplay.txt\`); everything on disk was written by OpenCode.

| store | sessions | messages | parts | orphans | todos | file diffs | projects |
|---|---|---|---|---|---|---|---|
${row('`opencode/storage`', json)}
${row('`opencode/opencode.db`', sqlite)}

One record is damaged on purpose, cut in half, and not counted above: \`opencode/${damaged[0]}\`.
Orphans are parts whose message a revert removed. All file diffs lie in \`storage/session_diff\`, also the one of the
session that was reverted in the database. \`contents.json\` holds the same counts and the session of each
of the ${scenarios.length} conversations; subagents add the remaining sessions. Made with

    node ${SCRIPT} --bin-json OPENCODE_${versions.json} --bin-sqlite OPENCODE_${versions.sqlite}
`
}

function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`)
  if (at < 0 && fallback === undefined) throw new Error(`--${name} is missing; see the head of ${SCRIPT}`)
  return at < 0 ? fallback : process.argv[at + 1]
}

const workDirs = (L) => [L.home, L.data, L.config, L.state, L.cache, L.projects]

async function setStage(labDir, root) {
  const load = (name) => import(pathToFileURL(path.resolve(labDir, name)))
  const [lab, { startStub }] = [await load('lib.mjs'), await load('stub-llm.mjs')]
  const L = lab.layout(root)
  const taken = workDirs(L).find((dir) => fs.existsSync(dir))
  if (taken) throw new Error(`${taken} exists; remove it or choose another --root`)
  for (const dir of workDirs(L)) fs.mkdirSync(dir, { recursive: true })
  for (const [name, files] of Object.entries(projects())) lab.makeProject(L, name, files, { git: name !== 'notes' })
  const stub = await startStub({ chunkMs: PACE })
  const traits = { tool_call: true, reasoning: true, attachment: true, limit: { context: 200000, output: 8192 }, cost: { input: 3, output: 15 } }
  const options = { baseURL: `${stub.url}/v1`, apiKey: 'none' }
  const models = { 'example-1': { name: 'Example 1', ...traits } }
  const provider = { example: { npm: '@ai-sdk/openai-compatible', name: 'Example', options, models } }
  const model = 'example/example-1'
  lab.writeConfig(L, stub.url, { model, small_model: model, provider, agent: { title: { disable: true } } })
  return { lab, L, stub }
}

async function main() {
  const bins = { json: path.resolve(option('bin-json')), sqlite: path.resolve(option('bin-sqlite')) }
  const root = path.resolve(option('root', '/home/dev'))
  const out = path.resolve(option('out', 'examples/demo-store'))
  const labDir = path.resolve(option('lab', '../shared/tools/opencode-lab'))
  const stage = await setStage(labDir, root)
  const { lab, L, stub } = stage
  try {
    const versions = {}
    const played = {}
    for (const era of ['json', 'sqlite']) {
      versions[era] = (await lab.cli({ bin: bins[era], L, cwd: L.home, args: ['--version'] })).out.trim()
      played[era] = await runEra(bins[era], era, stage)
      if (era === 'json') played.damaged = [damage(L.opencode, played.json.find((s) => s.name === DAMAGED).session)]
    }
    settle(L.opencode)
    assertNeutral(L.opencode, [process.cwd(), labDir, ...Object.values(bins)])
    const scenarios = ['json', 'sqlite'].flatMap((store) => played[store].map(({ name, ...rest }) => ({ name, store, ...rest })))
    const counts = { json: countJson(L.opencode, played.damaged), sqlite: countSqlite(L.opencode, L.home) }
    const facts = { versions, ...counts, damaged: played.damaged, scenarios }
    lab.copyTree(L.opencode, path.join(out, 'opencode'))
    fs.writeFileSync(path.join(out, 'contents.json'), `${JSON.stringify(facts, null, 2)}\n`)
    fs.writeFileSync(path.join(out, 'README.md'), readme(facts))
    console.log(JSON.stringify({ ...facts, scenarios: scenarios.length }, null, 2))
  } finally {
    await stub.close()
    for (const dir of [...workDirs(L), path.join(root, 'server.log')]) fs.rmSync(dir, { recursive: true, force: true })
  }
}

await main()
