/** The bars of the indexer that are measured. Each row gives lines of { label, figure, bar, met }; bench/indexer/run.mjs prints them. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { startChroma } from '../../test/soak/chroma-server.mjs'
import { start, temporaryFolder } from '../../test/soak/processes.mjs'
import { inTurns, runOnce, spread } from '../measure.mjs'

const script = (name) => join(import.meta.dirname, `${name}.mjs`)
const once = (name, options) => runOnce([script(name), JSON.stringify(options)])

async function inFolder(work) {
  const { path, remove } = temporaryFolder('bench')
  try {
    return await work(path)
  } finally {
    remove()
  }
}

function inFolderSync(work) {
  const { path, remove } = temporaryFolder('bench')
  try {
    return work(path)
  } finally {
    remove()
  }
}

const round = (value, digits = 1) => Number(value.toFixed(digits))

async function* overhead(runs) {
  const chroma = await startChroma()
  const sinks = chroma.url === undefined ? ['local'] : ['local', 'chroma']
  if (chroma.skipped !== undefined) yield { label: 'B5 chroma', figure: `skipped: ${chroma.skipped}` }
  for (const sink of sinks) {
    for (const [msPerText, texts] of [
      [0, 1920],
      [5, 640],
      [50, 128],
    ]) {
      let turn = 0
      const one = (how) =>
        inFolderSync((folder) => {
          const collection = `bench_${Date.now().toString(36)}_${++turn}`
          return once('overhead', { how, msPerText, texts, sink, folder, chroma: chroma.url && { url: chroma.url, collection } })
        })
      const { a, b } = inTurns(
        () => one('plain'),
        () => one('indexer'),
        runs,
      )
      const pairs = a.map(({ ms }, at) => ({ ratio: b[at].ms / ms - 1, perBatch: (b[at].ms - ms) / (texts / 32) }))
      const ratio = spread(pairs.map((pair) => pair.ratio * 100))
      const perBatch = spread(pairs.map((pair) => pair.perBatch))
      yield {
        label: `B5 overhead, ${sink}, ${msPerText} ms per text`,
        figure: `${round(ratio.median)} % [${round(ratio.min)}..${round(ratio.max)}], ${round(perBatch.median, 2)} ms per batch of 32`,
        bar: msPerText === 5 ? '<= 3 %' : '<= 5 ms per batch',
        met: msPerText === 5 ? ratio.median <= 3 : perBatch.median <= 5,
      }
    }
  }
  chroma.stop?.()
}

const RATES = { synced: '4 KiB written and synced, for comparison', append: 'walAppend 575 KiB, durable', commit: 'commit of 32 rows' }

function rates(runs, { sessions }) {
  return inFolder(async (directory) => {
    once('state-rates', { what: 'prepare', directory, sessions })
    const lines = []
    for (const processes of [1, 4]) {
      const each = []
      for (let run = 0; run <= runs; run++) {
        const figures = await together(processes, () => ['state-rates', { what: 'rates', directory, count: 100 }])
        if (run > 0) each.push(figures)
      }
      for (const [name, bar] of [
        ['synced', undefined],
        ['claim', 500],
        ['renew', 500],
        ['append', 500],
        ['commit', 1000],
        ['release', 500],
      ]) {
        const perSecond = spread(each.map((figures) => figures.reduce((sum, { perSecond }) => sum + perSecond[name], 0)))
        const what = RATES[name] ?? name
        lines.push({
          label: `B6 ${what}, ${processes} process${processes === 1 ? '' : 'es'}, ${sessions} sessions`,
          figure: `${Math.round(perSecond.median)}/s [${Math.round(perSecond.min)}..${Math.round(perSecond.max)}]`,
          ...(bar !== undefined && { bar: `>= ${bar}/s`, met: perSecond.median >= bar }),
        })
      }
    }
    return lines
  })
}

/** Processes beside each other; the figures of each. */
async function together(count, argumentsOf) {
  const children = Array.from({ length: count }, (_, at) => {
    const [name, options] = argumentsOf(at)
    return start(process.execPath, [script(name), JSON.stringify(options)])
  })
  const ends = await Promise.all(children.map(({ ended }) => ended))
  if (ends.some((end) => end !== 0)) throw new Error(`a process ended with ${ends}: ${children.map((child) => child.errors()).join('\n')}`)
  return children.map((child) => lastLine(child.output()))
}

const lastLine = (output) => JSON.parse(output.trim().split('\n').at(-1))

function recovery(runs) {
  const of = (records) => {
    const figures = Array.from({ length: runs + 1 }, () =>
      inFolderSync((directory) => {
        once('recovery', { what: 'prepare', directory, records })
        return once('recovery', { what: 'recover', directory, records })
      }),
    ).slice(1)
    return { ms: spread(figures.map(({ ms }) => ms)), grown: spread(figures.map(({ grownMb }) => grownMb)) }
  }
  const half = of(100)
  const whole = of(200)
  return [
    {
      label: 'B7 recovery of 200 records x 32 x 1024',
      figure: `${Math.round(whole.ms.median)} ms [${Math.round(whole.ms.min)}..${Math.round(whole.ms.max)}]`,
      bar: '<= 3000 ms',
      met: whole.ms.median <= 3000,
    },
    {
      label: 'B7 linear: 200 against 100 records',
      figure: `${round(whole.ms.median / half.ms.median, 2)} times`,
      bar: '<= 2.5 times',
      met: whole.ms.median / half.ms.median <= 2.5,
    },
    {
      label: 'B7 memory grown, 200 and 100 records',
      figure: `${Math.round(whole.grown.median)} MB, ${Math.round(half.grown.median)} MB`,
      bar: 'flat: <= 32 MB more',
      met: whole.grown.median - half.grown.median <= 32,
    },
  ]
}

async function takeover(runs) {
  const times = []
  for (let run = 0; run < runs + 1; ) {
    const ms = await inFolder(async (directory) => {
      const survivor = start(process.execPath, [script('takeover'), JSON.stringify({ what: 'survivor', directory })])
      await survivor.ready
      const victim = start(process.execPath, [script('takeover'), JSON.stringify({ what: 'victim', directory })])
      const timer = setTimeout(() => victim.kill(), 15_000)
      await victim.ended
      clearTimeout(timer)
      // The survivor was first, and took the session itself.
      if (!victim.output().includes('killedAt')) return survivor.kill()
      const { killedAt } = lastLine(victim.output())
      for (let waited = 0; !survivor.output().includes('firstWriteAt') && waited < 15_000; waited += 20)
        await new Promise((next) => setTimeout(next, 20))
      survivor.kill()
      await survivor.ended
      return (lastLine(survivor.output()).firstWriteAt ?? Number.POSITIVE_INFINITY) - killedAt
    })
    if (ms === undefined) continue
    if (run > 0) times.push(ms)
    run++
  }
  const { median, min, max } = spread(times)
  return [
    {
      label: 'B8 takeover, SIGKILL to the first call of the sink',
      figure: `${Math.round(median)} ms [${Math.round(min)}..${Math.round(max)}]`,
      bar: '<= 2000 ms',
      met: max <= 2000,
    },
  ]
}

async function* idle(_, { seconds, sessions }) {
  for (const kind of ['memory', 'sqlite']) {
    const figures = await inFolder((folder) => {
      const data = kind === 'memory' ? undefined : join(folder, 'opencode')
      if (data !== undefined) once('many-sessions', { data, sessions })
      return once('idle', { directory: join(folder, 'index'), sessions, seconds, data })
    })
    const { cores, hydrated, embedded, scans } = figures
    yield {
      label: `B12 idle, ${sessions} sessions, ${kind === 'memory' ? 'the indexer alone' : 'with a real database'}`,
      figure: `${round(cores * 100, 2)} % of a core, ${hydrated === undefined ? '' : `${hydrated} messages read, `}${scans} scanned, ${embedded} embedded`,
      bar: '< 1 % of a core, nothing read or embedded',
      met: cores < 0.01 && embedded === 0 && (hydrated ?? 0) === 0,
    }
  }
}

async function* memory(_, { megabytes, messages }) {
  for (const kind of ['json', 'sqlite']) {
    const { baseline, texts, large } = await inFolder((folder) => {
      const of = (name, size) => {
        const data = join(folder, name, 'opencode')
        once('large-session', { data, prepare: kind, ...size })
        return once('large-session', { data, directory: join(folder, name, 'index') })
      }
      return {
        baseline: of('small', { messages: 40, megabytes: 0.1 }),
        texts: of('texts', { messages, megabytes: 1 }),
        large: of('large', { messages, megabytes }),
      }
    })
    if (large.held < messages) throw new Error(`${large.held} documents of ${messages} messages`)
    const grown = large.rssMb - texts.rssMb
    yield {
      label: `B13 one session of ${messages} messages and ${megabytes} MB, ${kind}`,
      figure: `peak ${Math.round(large.rssMb)} MB; without its pictures ${Math.round(texts.rssMb)} MB, a small session ${Math.round(baseline.rssMb)} MB`,
      bar: '<= 128 MB above the same without pictures (2 x maxInflightBytes)',
      met: grown <= 128,
    }
  }
}

function growth(_, { batches }) {
  return inFolderSync((directory) => {
    once('state-rates', { what: 'prepare', directory, sessions: 256 })
    const empty = statSync(join(directory, 'state.mdb')).size
    const { peakWalBytes, fileBytes } = once('state-rates', { what: 'churn', directory, count: batches, live: 64 })
    const times = (fileBytes - empty) / peakWalBytes
    return [
      {
        label: `B14 state file after ${batches} records, 64 alive at a time`,
        figure: `${round(fileBytes / 2 ** 20)} MB, ${round(times, 2)} x the peak of living records (${round(peakWalBytes / 2 ** 20)} MB)`,
        bar: '<= 4 x',
        met: times <= 4,
      },
    ]
  })
}

function walBytes() {
  return inFolderSync((directory) => {
    once('state-rates', { what: 'prepare', directory, sessions: 8 })
    const { sizes } = once('state-rates', { what: 'bytes', directory })
    return Object.entries(sizes).map(([dimensions, { wal, ratio }]) => ({
      label: `B15 record of 32 texts of 2 kB, ${dimensions} dimensions`,
      figure: `${round(wal / 1024)} KiB, ${round(ratio, 3)} x (matrix + deflated texts)`,
      bar: '<= 1.05 x',
      met: ratio <= 1.05,
    }))
  })
}

async function* loopDelay(runs) {
  for (const sink of ['instant', 'local']) {
    for (const processes of [1, 3]) {
      const worst = []
      for (let run = 0; run <= runs; run++) {
        const figures = await inFolder((folder) =>
          together(processes, () => ['loop-delay', { directory: join(folder, 'index'), home: folder, sink }]),
        )
        if (run > 0) worst.push(Math.max(...figures.map(({ p99 }) => p99)))
      }
      const { median, min, max } = spread(worst)
      const most = processes === 1 ? 10 : 20
      yield {
        label: `B22 delay of the event loop, p99, ${processes} process${processes === 1 ? '' : 'es'}, ${sink} sink`,
        figure: `${round(median)} ms [${round(min)}..${round(max)}]`,
        bar: `< ${most} ms`,
        met: median < most,
      }
    }
  }
}

/** `quick`: fewer runs, smaller sizes; the figures are then no verdict. */
export const ROWS = [
  { name: 'B5', run: overhead, runs: { full: 5, quick: 1 } },
  { name: 'B6', run: rates, runs: { full: 5, quick: 1 }, size: { full: { sessions: 20_000 }, quick: { sessions: 2000 } } },
  { name: 'B7', run: recovery, runs: { full: 5, quick: 1 } },
  { name: 'B8', run: takeover, runs: { full: 5, quick: 1 } },
  { name: 'B12', run: idle, size: { full: { sessions: 5000, seconds: 60 }, quick: { sessions: 500, seconds: 5 } } },
  { name: 'B13', run: memory, size: { full: { messages: 10_000, megabytes: 480 }, quick: { messages: 1000, megabytes: 48 } } },
  { name: 'B14', run: growth, size: { full: { batches: 10_000 }, quick: { batches: 500 } } },
  { name: 'B15', run: walBytes },
  { name: 'B22', run: loopDelay, runs: { full: 5, quick: 1 } },
]
