/** Rows of mapped files against read ones. A file that is mapped is mapped anew in each round, as it is read anew; both sides give spans. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, REPOSITORY } from './corpus.mjs'
import { inTurns, runOnce, Skipped, spread } from './measure.mjs'

const READER = join(REPOSITORY, 'bench', 'map-reader.mjs')
const KIB = 2 ** 10
const MIB = 2 ** 20

/** name, bytes, and rounds of which the time is taken: 64 MB to 256 MB in total. */
const SIZES = [
  ['64k', 64 * KIB, 1000],
  ['2m', 2 * MIB, 64],
  ['64m', 64 * MIB, 4],
  ['256m', 256 * MIB, 1],
]

const ACCESSES = {
  whole: { title: 'searched whole, against a read into a warm buffer', baseline: 'read' },
  own: { title: 'searched whole, against a read into a buffer of its own', baseline: 'read-own' },
  random: { title: '1,000 leaves of 4 KB at random, against a read of each into a slab', baseline: 'read' },
}
const RANDOM_ROUNDS = 10

export const MAP_ROWS = SIZES.flatMap(([size, bytes, rounds]) => Object.keys(ACCESSES).map((access) => mapped(size, bytes, rounds, access)))

function mapped(size, bytes, rounds, access) {
  const { title, baseline } = ACCESSES[access]
  const times = access === 'random' ? RANDOM_ROUNDS : rounds
  const run = (runs) => {
    const path = fileOf(bytes)
    const side = (way) => () => {
      const figures = runOnce([READER, way, access === 'random' ? 'random' : 'whole', path, String(times)])
      if (figures.unsupported !== undefined) throw new Skipped(figures.unsupported)
      return figures
    }
    side('map')() // skipped before anything is measured
    const { a, b } = inTurns(side(baseline), side('map'), runs)
    const figures = (of, pick) => spread(of.map(pick))
    return {
      unit: 'ms',
      baseline: figures(a, ({ ms }) => ms),
      measured: figures(b, ({ ms }) => ms),
      ratio: figures(b, ({ ms }) => ms).median / figures(a, ({ ms }) => ms).median,
      pairedRatio: spread(b.map(({ ms }, at) => ms / a[at].ms)).median,
      baselineRssMb: figures(a, ({ rssMb }) => rssMb).median,
      rssMb: figures(b, ({ rssMb }) => rssMb).median,
    }
  }
  return { name: `map-${size}-${access}`, title: `${times} x a file of ${size.toUpperCase()}B, mapped and ${title}`, targets: {}, run }
}

/** Lines of JSON; kept beside the corpora. */
function fileOf(bytes) {
  const path = join(cacheFolder(), `map-${bytes}.jsonl`)
  if (existsSync(path)) return path
  mkdirSync(cacheFolder(), { recursive: true })
  const line = `${JSON.stringify({ type: 'message', text: 'the same text in every line. '.repeat(100) })}\n`
  writeFileSync(`${path}.new`, line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes))
  renameSync(`${path}.new`, path)
  return path
}
