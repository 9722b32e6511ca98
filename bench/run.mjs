/**
 * npm run bench -- [--quick] [--only NAME] [--json FILE] [--check]
 * --only takes the name of a row or the beginning of several; --quick makes fewer runs, and none of 10,000 sessions.
 * Ratios against a plain reader of the same store, in turns, in one run, on this Node.
 * Targets are printed as met or not met; only --check makes a target that is not met an error.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { corpus, toolsPresent } from './corpus.mjs'
import { readFloor } from './floor.mjs'
import { describeMachine } from './machine.mjs'
import { Skipped } from './measure.mjs'
import { databaseBaseline, ROWS } from './rows.mjs'
import { header, line, verdicts } from './table.mjs'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, json: { type: 'string' }, check: { type: 'boolean' } },
})

if (toolsPresent()) main()
else console.log('bench: skipped, because the shared tools (gen-corpus.mjs, naive-reader.mjs, read-floor.c) are not beside this repository.')

function main() {
  const runs = options.quick ? 3 : 7
  const rows = chosenRows()
  if (rows.length === 0) {
    console.error(`bench: --only must be one of: ${ROWS.map(({ name }) => name).join(', ')}`)
    process.exitCode = 2
    return
  }
  const machine = describeMachine()
  console.log(`${machine.node}, ${machine.cpu}, ${machine.kernel}; reference op ${machine.referenceMs.toFixed(1)} ms`)
  console.log(
    `median of ${runs} after one discarded, [lowest-highest]; baseline of JSON rows: naive-reader.mjs, of database rows: ${databaseBaseline()}, of lists: naive-list.mjs`,
  )
  console.log(header())
  const results = rows.map((row) => measured(row, runs))
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ machine, runs, databaseBaseline: databaseBaseline(), results }, null, 2)}\n`)
  const missed = results.flatMap(({ verdicts = [] }) => verdicts.filter(({ met }) => !met))
  if (options.check && missed.length > 0) process.exitCode = 1
}

/** A row's whole name is that row alone. */
function chosenRows() {
  const { only, quick } = options
  if (only === undefined) return ROWS.filter(({ large }) => !(quick && large))
  const exact = ROWS.filter(({ name }) => name === only)
  return exact.length > 0 ? exact : ROWS.filter(({ name }) => name.startsWith(only))
}

function measured(row, runs) {
  const { name, title } = row
  try {
    const figures = row.run(runs)
    const result = {
      name,
      title,
      ...figures,
      verdicts: verdicts(row.targets, figures),
      ...(name === 'read-json' && { floor: readFloor(corpus('main').json) }),
    }
    console.log(line(result))
    return result
  } catch (error) {
    if (!(error instanceof Skipped)) throw error
    console.log(line({ name, skipped: error.message }))
    return { name, title, skipped: error.message }
  }
}
