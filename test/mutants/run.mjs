/**
 * npm run test:mutants -- [--only TEXT]
 *
 * Puts one fault after the other (mutants.mjs) into a copy of the sources and runs the tests that should find it. Fails when a fault
 * stays unfound, when a patch does not fit exactly once, and when the tests fail without any fault.
 */
import { spawn } from 'node:child_process'
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { killAll, start, temporaryFolder } from '../soak/processes.mjs'
import { MUTANTS } from './mutants.mjs'

const REPOSITORY = join(import.meta.dirname, '..', '..')
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json', 'tsconfig.build.json', 'vitest.config.ts']
const TEST_MS = 180_000

const { values } = parseArgs({ options: { only: { type: 'string' } } })
const chosen = MUTANTS.filter(({ name }) => name.includes(values.only ?? ''))
const { path: copy } = temporaryFolder('mutants')

for (const name of COPIED) cpSync(join(REPOSITORY, name), join(copy, name), { recursive: true })
symlinkSync(join(REPOSITORY, 'node_modules'), join(copy, 'node_modules'))

await build()
const unfound = []
await checkUnchanged()
for (const mutant of chosen) {
  const failed = await tried(mutant)
  const verdict = failed.length === 0 ? 'SURVIVED' : `killed by ${failed[0]}${failed.length > 1 ? ` and ${failed.length - 1} more` : ''}`
  if (failed.length === 0) unfound.push(mutant.name)
  console.log(`${mutant.name} -> ${verdict}`)
}
killAll()
console.log(`${chosen.length - unfound.length} of ${chosen.length} faults were found`)
process.exit(unfound.length === 0 ? 0 : 1)

/** The names of the tests that fail with the fault in place. */
async function tried({ name, patches, tests, only }) {
  const originals = new Map()
  try {
    for (const { file, find, replace } of patches) {
      const path = join(copy, file)
      const text = readFileSync(path, 'utf8')
      if (!originals.has(path)) originals.set(path, text)
      const found = text.split(find).length - 1
      if (found !== 1) throw new Error(`${name}: the text to be replaced stands ${found} times in ${file}`)
      writeFileSync(
        path,
        text.replace(find, () => replace),
      )
    }
    if (tests.some(isCompiled)) await build()
    return (await run(tests, only)).failed
  } finally {
    for (const [path, text] of originals) writeFileSync(path, text)
    if (tests.some(isCompiled)) await build()
  }
}

/** Tests that kill processes run the compiled code. */
function isCompiled(test) {
  return /crash/.test(test)
}

/** Without a fault all of them must pass, or a failure would prove nothing. */
async function checkUnchanged() {
  for (const compiled of [false, true]) {
    const mutants = chosen.filter(({ tests }) => tests.some(isCompiled) === compiled)
    const only = compiled ? [...new Set(mutants.map((mutant) => mutant.only))].join('|') : undefined
    const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))]
    if (tests.length === 0) continue
    const { failed, passed } = await run(tests, only)
    if (failed.length > 0 || passed === 0)
      throw new Error(`without a fault, of ${tests.join(', ')} there fail: ${failed.join(', ') || 'all, or none ran'}`)
  }
}

async function run(tests, only) {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const filter = only === undefined ? [] : ['-t', only]
  const child = start(
    process.execPath,
    [join(REPOSITORY, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--reporter=json', `--outputFile=${report}`, ...filter, ...tests],
    {
      cwd: copy,
    },
  )
  const timer = setTimeout(() => child.kill(), TEST_MS)
  await child.ended
  clearTimeout(timer)
  return read(report)
}

/** A run that did not come to its end counts as one that failed: the fault hung it. */
function read(report) {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    const results = testResults.flatMap(({ name, status, message, assertionResults }) => {
      const file = name.slice(copy.length + 1)
      if (assertionResults.length === 0 && status === 'failed') return [{ status, name: `${file}: ${message}` }]
      return assertionResults.map((result) => ({ status: result.status, name: `${file}: ${result.fullName}` }))
    })
    return {
      failed: results.filter(({ status }) => status === 'failed').map(({ name }) => name),
      passed: results.filter(({ status }) => status === 'passed').length,
    }
  } catch {
    return { failed: ['a run that did not end'], passed: 0 }
  }
}

/** Emits although a fault may not fit the types. */
function build() {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(REPOSITORY, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'], {
      cwd: copy,
      stdio: 'ignore',
    })
    child.once('close', resolve)
  })
}
