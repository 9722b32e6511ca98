// Packs the package, installs it in an empty project, and uses it from there: what is published is what was tested.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'spanleaf-package-'))
const run = (command, args, options = {}) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options })
try {
  const packed = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: repository }))
  const [{ filename, files }] = Array.isArray(packed) ? packed : Object.values(packed)
  const strangers = files
    .map(({ path }) => path)
    .filter((path) => !/^(dist|docs)\/|^examples\/[\w-]+\.js$|^bench\/README\.md$|^(README|CHANGELOG)\.md$|^LICENSE$|^package\.json$/.test(path))
  if (strangers.length > 0) throw new Error(`the package holds what it should not: ${strangers.join(', ')}`)
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  run('npm', ['install', '--no-audit', '--no-fund', join(folder, filename)])
  writeFileSync(
    join(folder, 'use.js'),
    `
    import { openSessions, listSessions, verifyStores } from 'spanleaf'
    import { hashEmbedder, openChromaSink } from 'spanleaf/indexer'
    const sessions = await openSessions({ data: ${JSON.stringify(join(repository, 'examples/demo-store/opencode/storage'))} })
    if (listSessions(sessions).length !== 15) throw new Error('15 sessions were expected')
    if ((await verifyStores(sessions)).total.damaged !== 1) throw new Error('one damaged record was expected')
    await sessions.close()
    if ((await hashEmbedder().embed(['a text'], { kind: 'query' })).length !== 384) throw new Error('384 numbers were expected')
    const opened = openChromaSink({ url: 'http://127.0.0.1:9', collection: 'abc', space: 'x/1' })
    const code = await opened.then(() => 'opened', (error) => error.code)
    if (code !== 'CHROMA_CLIENT_MISSING') throw new Error('the client of Chroma is an optional package, so it was expected to be missing: ' + code)
  `,
  )
  run(process.execPath, ['use.js'])
  const help = run(join(folder, 'node_modules/.bin/spanleaf'), ['--help'])
  if (!help.includes('Usage: spanleaf')) throw new Error('the command does not help')
  console.log(`${filename}: ${files.length} files, installed and used`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
