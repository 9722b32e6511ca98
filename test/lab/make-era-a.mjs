#!/usr/bin/env node
// Makes data folders of era A with real 0.x binaries, each step in a folder of its own below OUT:
//   a1      what 0.1 wrote: messages that hold their parts
//   a2      the same after 0.5: converted in place, parts split off
//   half    the same after 0.5, which one message kept from converting it: shapes side by side
//   copied  a2 and half after 1.0, which copied to era B what it could find the worktree of
// usage: node test/lab/make-era-a.mjs --bins ROOT --out OUT [--lab ../shared/tools/opencode-lab]
// ROOT/<version>/opencode for 0.1.174, 0.5.29 and 1.0.0 (install.sh of the lab). Needs git, ripgrep and npm: 0.x loads its
// provider package from its cache folder, which is filled here; the model is a scripted stand-in on loopback.
// 0.1 does not exit when it is done, so each of its runs is ended after 20 seconds.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const argument = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`)
  return path.resolve(at < 0 ? otherwise : process.argv[at + 1])
}
const bins = argument('bins', '.')
const out = argument('out', 'era-a')
const lab = argument('lab', path.join(import.meta.dirname, '../../../shared/tools/opencode-lab'))
const { layout, writeConfig, makeProject, cli } = await import(pathToFileURL(path.join(lab, 'lib.mjs')))
const { startStub } = await import(pathToFileURL(path.join(lab, 'stub-llm.mjs')))

const PROVIDER = '@ai-sdk/openai-compatible'
/** The line of the provider package that each binary's own copy of the AI SDK goes with. */
const PROVIDER_VERSION = { '0.1.174': '0.2.16', '0.5.29': '1.0.19', '1.0.0': '1.0.19' }
/** What 0.1 refuses a configuration for. */
const LATER_OPTIONS = ['share', 'small_model', 'permission', 'autoupdate']

const projects = layout(out)
const files = { 'a.txt': 'alpha\nbeta\n', '.gitignore': 'opencode.json\n' }
const sky = makeProject(projects, 'my_sky.app', files)
const plain = makeProject(projects, 'plain', files, { git: false })
const stub = await startStub()
stub.script('read the file', [
  {
    reasoning: 'let me see',
    text: 'I look. ',
    tools: [
      { name: 'read', args: { filePath: `${sky}/a.txt` } },
      { name: 'bash', args: { command: 'echo hi', description: 'say hi' } },
    ],
  },
  { text: 'It says alpha.' },
])
stub.script('no such file', [{ tools: [{ name: 'read', args: { filePath: `${sky}/nope.txt` } }] }, { text: 'It is not there.' }])
stub.script('fail', [{ status: 400, message: 'a bad request' }])

const a1 = layout(path.join(out, 'a1'))
for (const prompt of ['read the file', 'no such file', 'fail']) await run('0.1.174', a1, sky, prompt)
await run('0.1.174', a1, plain, 'hello')
const [a2, half] = ['a2', 'half'].map((name) => copied(a1, name))
spoil(half)
for (const root of [a2, half]) {
  await run('0.5.29', root, sky, 'read the file')
  await run('0.5.29', root, plain, 'hello')
  await run('1.0.0', copied(root, `copied-${path.basename(root.root)}`), sky, 'hello')
}
stub.close()
for (const name of fs.readdirSync(out)) {
  const data = layout(path.join(out, name)).opencode
  if (fs.existsSync(data)) console.log(`${name}: ${data}`)
}

async function run(version, root, cwd, prompt) {
  for (const folder of [root.home, root.data, root.config, root.state, root.cache]) fs.mkdirSync(folder, { recursive: true })
  const old = version.startsWith('0.1.')
  provide(root, PROVIDER_VERSION[version])
  writeConfig(root, stub.url)
  const configuration = JSON.parse(fs.readFileSync(path.join(root.config, 'opencode', 'opencode.json'), 'utf8'))
  if (old) for (const name of LATER_OPTIONS) delete configuration[name]
  for (const file of [
    path.join(root.config, 'opencode', 'opencode.json'),
    path.join(root.config, 'opencode', 'config.json'),
    path.join(cwd, 'opencode.json'),
  ]) {
    fs.writeFileSync(file, JSON.stringify(configuration))
  }
  const bin = path.join(bins, version, 'opencode')
  const { code, ms } = await cli({ bin, L: root, cwd, args: ['run', '--model', 'stub/stub-1', prompt], timeoutMs: old ? 20_000 : 60_000 })
  console.log(`${path.basename(root.root)} ${version} ${JSON.stringify(prompt)} in ${path.basename(cwd)}: exit ${code}, ${Math.round(ms)} ms`)
}

/** Puts the provider package where 0.x would have installed it, under the version that it asks for. */
function provide(root, version) {
  const cache = path.join(root.cache, 'opencode')
  const installed = path.join(cache, 'node_modules', PROVIDER, 'package.json')
  if (fs.existsSync(installed) && JSON.parse(fs.readFileSync(installed, 'utf8')).version === version) return
  fs.rmSync(path.join(cache, 'node_modules'), { recursive: true, force: true })
  fs.mkdirSync(cache, { recursive: true })
  const manifest = path.join(cache, 'package.json')
  fs.writeFileSync(manifest, JSON.stringify({ dependencies: { [PROVIDER]: version } }))
  execFileSync('npm', ['install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: cache, stdio: 'inherit' })
  fs.writeFileSync(manifest, JSON.stringify({ dependencies: { [PROVIDER]: 'latest' } }))
}

function copied(root, name) {
  const to = layout(path.join(out, name))
  fs.cpSync(root.root, to.root, { recursive: true, verbatimSymlinks: true })
  return to
}

/** One message that the conversion of 0.5 gives up at, and with it on all that come after. */
function spoil(root) {
  const trees = path.join(root.opencode, 'project')
  const slug = fs.readdirSync(trees).find((name) => name.endsWith('my_sky-app'))
  const messages = path.join(trees, slug, 'storage', 'session', 'message')
  for (const session of fs.readdirSync(messages)) {
    const [file] = fs.readdirSync(path.join(messages, session)).sort()
    const message = path.join(messages, session, file)
    const document = JSON.parse(fs.readFileSync(message, 'utf8'))
    fs.writeFileSync(message, JSON.stringify({ ...document, role: 'system' }))
  }
}
