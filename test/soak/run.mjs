/**
 * npm run test:soak -- [--seeds N] [--seed S] [--sink local|chroma|both] [--kills K] [--minutes M] [--keep]
 *
 * Per seed: three processes of the indexer on one home over a store that changes all the time, killed and stopped at odd moments
 * until K of them were killed; then everything rests and the sink is compared with what the store was given. Even seeds have a tree
 * of files, odd ones a database; every fourth makes edits that only the slow scan finds, and the others run without it.
 * --minutes goes on with further seeds for so long. Fails when anything differs; what is needed to repeat it is printed.
 */
import { parseArgs } from 'node:util'
import { startChroma } from './chroma-server.mjs'
import { soakRound } from './round.mjs'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    sink: { type: 'string', default: 'both' },
    kills: { type: 'string', default: '50' },
    minutes: { type: 'string' },
    keep: { type: 'boolean' },
  },
})
const [seeds, first, kills] = ['seeds', 'seed', 'kills'].map((name) => Number(values[name]))
const until = values.minutes === undefined ? 0 : performance.now() + Number(values.minutes) * 60_000
const sinks = values.sink === 'both' ? ['local', 'chroma'] : [values.sink]
if (![seeds, first, kills].every(Number.isSafeInteger) || sinks.some((sink) => !['local', 'chroma'].includes(sink))) {
  console.error('test:soak: --seeds, --seed and --kills are whole numbers, --sink is local, chroma or both')
  process.exit(2)
}

const chroma = sinks.includes('chroma') ? await startChroma() : undefined
if (chroma?.skipped !== undefined) console.log(`sink chroma: skipped, because ${chroma.skipped}`)
const usable = sinks.filter((sink) => sink !== 'chroma' || chroma?.url !== undefined)
const sum = { rounds: 0, kills: 0, stops: 0, operations: 0, documents: 0, embedded: 0, failed: 0 }
for (let seed = first; usable.length > 0 && (seed < first + seeds || performance.now() < until); seed++) {
  const sink = usable[(seed - first) % usable.length]
  const startedAt = performance.now()
  const facts = await soakRound({ seed, sink, chroma, kills, keep: values.keep })
  report(facts, performance.now() - startedAt)
}
console.log(
  `${sum.rounds} rounds, ${sum.kills} kills, ${sum.stops} stops, ${sum.operations} changes, ${sum.documents} documents compared, ${sum.embedded} texts embedded, ${sum.failed} failed`,
)
chroma?.stop?.()
process.exit(sum.failed > 0 ? 1 : 0)

function report(facts, ms) {
  sum.rounds++
  for (const name of ['kills', 'stops', 'operations', 'documents', 'embedded']) sum[name] += facts[name]
  const wrong = facts.problems.length > 0
  if (wrong) sum.failed++
  const { seed, sink, kind } = facts
  const what = `${facts.kills} kills, ${facts.stops} stops, ${facts.operations} changes, ${facts.documents} documents`
  console.log(`${wrong ? 'FAIL' : 'ok  '} seed ${seed} ${kind} -> ${sink}: ${what}, ${(ms / 1000).toFixed(1)} s`)
  for (const problem of facts.problems) console.log(`     ${problem}`)
  if (wrong) console.log(`     repeat: npm run test:soak -- --seeds 1 --seed ${seed} --sink ${sink} --kills ${kills}; kept: ${facts.folder}`)
}
