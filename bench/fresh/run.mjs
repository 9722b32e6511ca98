/**
 * npm run bench:fresh -- [--quick] [--only open[,refresh...]] [--json FILE] [--check]
 * Opening, paging, refreshing, watching. Medians after one run that is discarded; --quick leaves out what needs 10,000 sessions or more.
 * Bars are printed as met or not met; only --check makes one that is not met an error.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { toolsPresent } from '../corpus.mjs'
import { describeMachine } from '../machine.mjs'
import { Skipped } from '../measure.mjs'
import { ROWS } from './rows.mjs'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, json: { type: 'string' }, check: { type: 'boolean' } },
})
const chosen = options.only?.split(',')
const rows = ROWS.filter(({ name, large }) => (chosen === undefined ? !(options.quick && large) : chosen.includes(name)))
if (rows.length === 0) {
  console.error(`bench:fresh: --only takes of ${ROWS.map(({ name }) => name).join(',')}`)
  process.exit(2)
}
if (!toolsPresent()) {
  console.log('bench:fresh: skipped, because the shared tools (gen-corpus.mjs, naive-reader.mjs, read-floor.c) are not beside this repository.')
  process.exit(0)
}

const size = options.quick ? 'quick' : 'full'
const machine = describeMachine()
console.log(`${machine.node}, ${machine.cpu}, ${machine.kernel}; reference op ${machine.referenceMs.toFixed(1)} ms`)
const results = []
for (const row of rows) {
  try {
    for (const line of row.run(row.runs?.[size] ?? 1, row.size?.[size] ?? {})) {
      const verdict = line.met === undefined ? '' : line.met ? ` (bar ${line.bar}: met)` : ` (bar ${line.bar}: NOT MET)`
      console.log(`${line.label}: ${line.figure}${verdict}`)
      results.push(line)
    }
  } catch (error) {
    if (!(error instanceof Skipped)) throw error
    console.log(`${row.name}: skipped: ${error.message}`)
  }
}
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ machine, size, results }, null, 2)}\n`)
process.exit(options.check && results.some(({ met }) => met === false) ? 1 : 0)
