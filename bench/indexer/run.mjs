/**
 * npm run bench:indexer -- [--quick] [--only B5[,B6...]] [--json FILE] [--check]
 * The measured bars of the indexer (docs/indexer.md says what each is). Medians, [lowest..highest], after one run that is discarded.
 * Bars are printed as met or not met; only --check makes one that is not met an error.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { describeMachine } from '../machine.mjs'
import { ROWS } from './rows.mjs'

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, json: { type: 'string' }, check: { type: 'boolean' } },
})
const chosen = options.only?.split(',')
const rows = ROWS.filter(({ name }) => chosen === undefined || chosen.includes(name))
if (rows.length === 0) {
  console.error(`bench:indexer: --only takes of ${ROWS.map(({ name }) => name).join(',')}`)
  process.exit(2)
}

const size = options.quick ? 'quick' : 'full'
const machine = describeMachine()
console.log(`${machine.node}, ${machine.cpu}, ${machine.kernel}; reference op ${machine.referenceMs.toFixed(1)} ms`)
const results = []
for (const row of rows) {
  for await (const line of await row.run(row.runs?.[size] ?? 1, row.size?.[size] ?? {})) {
    const verdict = line.met === undefined ? '' : line.met ? ` (bar ${line.bar}: met)` : ` (bar ${line.bar}: NOT MET)`
    console.log(`${line.label}: ${line.figure}${verdict}`)
    results.push(line)
  }
}
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ machine, size, results }, null, 2)}\n`)
process.exit(options.check && results.some(({ met }) => met === false) ? 1 : 0)
